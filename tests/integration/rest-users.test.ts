import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Uuid } from "../../shared/core/ids.ts";
import { addCustomerUser, PASSWORD, signIn, startTestCloud, type TestCloud } from "../support/test-cloud.ts";

let cloud: TestCloud;
let customer: { readonly customerId: Uuid; readonly token: string };
let names = 0;
beforeAll(async () => {
  cloud = await startTestCloud();
  customer = await addCustomerUser(cloud);
});
afterAll(() => cloud[Symbol.asyncDispose]());

interface UserAnswer {
  readonly id: { readonly entityType: string; readonly id: Uuid };
  readonly email: string;
  readonly version: number;
  readonly additionalInfo: Record<string, unknown>;
  readonly [key: string]: unknown;
}

const newEmail = (): string => `user-${(names += 1)}@example.com`;
const create = (input: object = {}): Promise<UserAnswer> =>
  cloud.call<UserAnswer>("POST", "/api/user?sendActivationMail=false", {
    email: newEmail(),
    authority: "TENANT_ADMIN",
    ...input,
  });
const login = (username: string, password: string) =>
  cloud.request("POST", "/api/auth/login", { body: { username, password }, token: null });
const tokenOf = (link: string): string => new URL(link).searchParams.values().next().value ?? "";
const linkOf = async (user: UserAnswer): Promise<string> =>
  (await cloud.request("GET", `/api/user/${user.id.id}/activationLink`)).text;
const activate = (activateToken: string, password = PASSWORD) =>
  cloud.request("POST", "/api/noauth/activate?sendActivationMail=false", {
    body: { activateToken, password },
    token: null,
  });
const createActive = async (input: object = {}): Promise<UserAnswer> => {
  const user = await create(input);
  expect((await activate(tokenOf(await linkOf(user)))).status).toBe(200);
  return user;
};

describe("a new user", () => {
  test("is activated by its link, once, and signs in then", async () => {
    const user = await create({ firstName: "Ada", additionalInfo: { lang: "en_US" } });
    expect(user).toMatchObject({
      id: { entityType: "USER" },
      authority: "TENANT_ADMIN",
      firstName: "Ada",
      version: 1,
      tenantId: { id: cloud.first.tenantId },
      additionalInfo: { lang: "en_US", userActivated: false, userCredentialsEnabled: false },
    });
    expect((await login(user.email, "")).status).toBe(401);
    const link = await linkOf(user);
    expect(link).toStartWith("http://cloud.test/api/noauth/activate?activateToken=");
    const page = await cloud.request("GET", link.slice("http://cloud.test".length), { token: null });
    expect(page.status).toBe(303);
    expect(page.headers.get("location")).toBe(`/login/createPassword?activateToken=${tokenOf(link)}`);
    expect((await activate(tokenOf(link), "short")).json).toMatchObject({ status: 400, errorCode: 31 });
    const activated = await activate(tokenOf(link));
    expect(activated.json).toMatchObject({ scope: null });
    const token = String(activated.json?.["token"]);
    expect((await cloud.request("GET", "/api/auth/user", { token })).json).toMatchObject({ email: user.email });
    expect((await activate(tokenOf(link), "another one")).json).toMatchObject({ status: 404, errorCode: 32 });
    expect((await cloud.request("GET", link.slice("http://cloud.test".length), { token: null })).status).toBe(409);
    expect((await cloud.request("GET", `/api/user/${user.id.id}/activationLink`)).json).toMatchObject({
      message: "User is already activated!",
    });
    await signIn(cloud.api, user.email);
    expect(await cloud.call("GET", `/api/user/${user.id.id}`)).toMatchObject({
      additionalInfo: { userActivated: true, userCredentialsEnabled: true, lastLoginTs: expect.any(Number) },
    });
  });

  test.each([
    [{ email: "no-address", authority: "TENANT_ADMIN" }, 400, "Invalid email address format 'no-address'!"],
    [{ authority: "TENANT_ADMIN" }, 400, "User email should be specified!"],
    [{ email: "x@example.com" }, 400, "User authority should be specified!"],
    [{ email: "x@example.com", authority: "CUSTOMER_USER" }, 400, "Customer user should be assigned to customer!"],
    [{ email: "x@example.com", authority: "SYS_ADMIN" }, 403, undefined],
    [
      { email: "FIRST@example.com", authority: "TENANT_ADMIN" },
      400,
      "User with email 'FIRST@example.com' already present in database!",
    ],
  ])("is refused as %j", async (body, status, message) => {
    const answer = await cloud.request("POST", "/api/user", { body });
    expect(answer.status).toBe(status);
    if (message !== undefined) expect(answer.json?.["message"]).toBe(message);
  });

  test("can't be of a customer of another tenant, or of a tenant that there is not", async () => {
    const body = { email: newEmail(), authority: "CUSTOMER_USER", customerId: { id: customer.customerId } };
    expect((await cloud.request("POST", "/api/user", { body, token: cloud.second.token })).status).toBe(404);
    const admin = { email: newEmail(), authority: "TENANT_ADMIN", tenantId: { id: customer.customerId } };
    expect((await cloud.request("POST", "/api/user", { body: admin, token: cloud.system })).status).toBe(404);
  });
});

describe("changing users", () => {
  test("keeps what is derived out of what is stored, counts versions and refuses stale ones", async () => {
    const user = await createActive();
    const read = await cloud.call<UserAnswer>("GET", `/api/user/${user.id.id}`);
    const saved = await cloud.call<UserAnswer>("POST", "/api/user", { ...read, lastName: "Lovelace" });
    expect(saved).toMatchObject({ lastName: "Lovelace", version: read.version + 1 });
    const [row] = await cloud.database.sql`select additional_info from app_user where id = ${user.id.id}`;
    expect(row?.["additional_info"]).toEqual({});
    expect((await cloud.request("POST", "/api/user", { body: read })).json).toMatchObject({
      status: 409,
      errorCode: 35,
    });
    const other = await cloud.request("POST", "/api/user", { body: { ...saved, email: cloud.second.email } });
    expect(other.json).toMatchObject({ status: 400, errorCode: 31 });
  });

  test("disabling ends tokens at once, enabling lets sign in again", async () => {
    const user = await createActive();
    const token = await signIn(cloud.api, user.email);
    const path = `/api/user/${user.id.id}/userCredentialsEnabled?userCredentialsEnabled=`;
    await cloud.call("POST", `${path}false`);
    expect((await cloud.request("GET", "/api/auth/user", { token })).status).toBe(401);
    expect((await login(user.email, PASSWORD)).json).toMatchObject({ message: "User account is not active" });
    await cloud.call("POST", `${path}true`);
    expect((await login(user.email, PASSWORD)).status).toBe(200);
  });

  test("a reset link sets another password, once, and ends older tokens", async () => {
    const user = await createActive();
    const token = await signIn(cloud.api, user.email);
    cloud.clock.advance(1);
    const link = (await cloud.request("GET", `/api/user/${user.id.id}/resetLink`)).text;
    const reset = (password: string) =>
      cloud.request("POST", "/api/noauth/resetPassword", {
        body: { resetToken: tokenOf(link), password },
        token: null,
      });
    cloud.clock.advance(1);
    expect(await reset("something new")).toMatchObject({ status: 200, text: "" });
    expect((await login(user.email, "something new")).status).toBe(200);
    expect((await cloud.request("GET", "/api/auth/user", { token })).status).toBe(401);
    expect((await reset("yet another")).status).toBe(400);
    const byMail = { body: { email: "nobody@example.com" }, token: null };
    expect(await cloud.request("POST", "/api/noauth/resetPasswordByEmail", byMail)).toMatchObject({ status: 200 });
  });

  test("the last administrator of a tenant stays, whoever deletes", async () => {
    const own = await cloud.call<UserAnswer>("GET", "/api/auth/user");
    const { data } = await cloud.call<{ data: UserAnswer[] }>("GET", "/api/users?pageSize=100&page=0");
    for (const user of data) {
      if (user["authority"] === "TENANT_ADMIN" && user.id.id !== own.id.id)
        await cloud.call("DELETE", `/api/user/${user.id.id}`);
    }
    for (const token of [cloud.first.token, cloud.system]) {
      const answer = await cloud.request("DELETE", `/api/user/${own.id.id}`, { token });
      expect(answer.json).toMatchObject({ status: 400, message: "At least one tenant administrator must remain!" });
    }
    const gone = await create();
    await cloud.call("DELETE", `/api/user/${gone.id.id}`);
    expect((await cloud.request("GET", `/api/user/${gone.id.id}`)).status).toBe(404);
    expect((await cloud.request("DELETE", `/api/user/${gone.id.id}`)).status).toBe(404);
  });
});

describe("who sees whom", () => {
  test("a tenant administrator its tenant, a customer user its customer, the system administrators only", async () => {
    const admin = await create();
    const colleague = await create({ authority: "CUSTOMER_USER", customerId: { id: customer.customerId } });
    const status = async (token: string, user: UserAnswer) =>
      (await cloud.request("GET", `/api/user/${user.id.id}`, { token })).status;
    expect(await status(cloud.first.token, colleague)).toBe(200);
    expect(await status(customer.token, colleague)).toBe(200);
    expect(await status(customer.token, admin)).toBe(404);
    expect(await status(cloud.second.token, admin)).toBe(404);
    expect(await status(cloud.system, admin)).toBe(200);
    expect(await status(cloud.system, colleague)).toBe(404);
    const emails = async (path: string, token = cloud.first.token) => {
      const answer = await cloud.request("GET", path, { token });
      const rows = (Array.isArray(answer.json) ? answer.json : answer.json?.["data"]) as { email: string }[];
      return rows.map(({ email }) => email).toSorted();
    };
    const page = "pageSize=100&page=0";
    expect(await emails(`/api/users?${page}`, customer.token)).toEqual(
      ["customer@example.com", colleague.email].toSorted(),
    );
    expect(await emails(`/api/users/info?${page}&textSearch=${colleague.email.toUpperCase()}`)).toEqual([
      colleague.email,
    ]);
    expect(await emails(`/api/customer/${customer.customerId}/users?${page}`)).toContain(colleague.email);
    expect(await emails(`/api/customer/${customer.customerId}/users?${page}`, cloud.second.token)).toEqual([]);
    for (const path of ["/api/users/list", "/api/users"]) {
      const ids = `${path}?userIds=${admin.id.id},${colleague.id.id}`;
      expect(await emails(ids)).toEqual([admin.email, colleague.email].toSorted());
      expect(await emails(ids, customer.token)).toEqual([colleague.email]);
      expect(await emails(ids, cloud.second.token)).toEqual([]);
    }
    expect(await emails(`/api/tenant/${cloud.first.tenantId}/users?${page}`, cloud.system)).toContain(admin.email);
  });

  test("a customer user changes nobody but itself", async () => {
    const colleague = await create({ authority: "CUSTOMER_USER", customerId: { id: customer.customerId } });
    const save = (body: object) => cloud.request("POST", "/api/user", { body, token: customer.token });
    const own = (await cloud.request("GET", "/api/auth/user", { token: customer.token })).json ?? {};
    expect((await save({ ...own, firstName: "Me" })).json).toMatchObject({ firstName: "Me" });
    expect((await save({ ...colleague, firstName: "Me" })).status).toBe(404);
    expect((await save({ ...own, authority: "TENANT_ADMIN" })).status).toBe(400);
    expect((await save({ email: newEmail(), authority: "CUSTOMER_USER" })).status).toBe(403);
  });

  test("administrators get tokens of those whom they manage", async () => {
    const user = await createActive({ authority: "CUSTOMER_USER", customerId: { id: customer.customerId } });
    const pair = await cloud.call<{ token: string }>("GET", `/api/user/${user.id.id}/token`);
    expect((await cloud.request("GET", "/api/auth/user", pair)).json).toMatchObject({ email: user.email });
    expect((await cloud.request("GET", `/api/user/${user.id.id}/token`, { token: cloud.second.token })).status).toBe(
      404,
    );
    const system = (await cloud.request("GET", "/api/auth/user", { token: cloud.system })).json;
    const systemId = (system?.["id"] as { readonly id: string } | undefined)?.id;
    expect((await cloud.request("GET", `/api/user/${systemId}/token`, { token: cloud.system })).status).toBe(403);
    expect(await cloud.call<boolean>("GET", "/api/user/tokenAccessEnabled")).toBe(true);
  });
});

test("settings are kept per user, replaced as a whole or by path", async () => {
  const read = () => cloud.call("GET", "/api/user/settings");
  expect(await read()).toEqual({});
  await cloud.call("POST", "/api/user/settings", { theme: "dark", list: { size: 10, sort: "name" } });
  await cloud.call("PUT", "/api/user/settings", { "list.size": 20, "new.deep": true, list: { dense: true } });
  expect(await read()).toEqual({
    theme: "dark",
    list: { size: 20, sort: "name", dense: true },
    new: { deep: true },
  });
  await cloud.call("DELETE", "/api/user/settings/theme,list.sort,none.at.all");
  expect(await read()).toMatchObject({ list: { size: 20, dense: true } });
  expect(await read()).not.toHaveProperty("theme");
  const other = await cloud.request("GET", "/api/user/settings", { token: cloud.second.token });
  expect(other.json).toEqual({});
  const tooLarge = await cloud.request("POST", "/api/user/settings", { body: { a: "x".repeat(1_100_000) } });
  expect(tooLarge.status).toBe(400);
});

// Behind all others: their tokens run out.
test("an activation link is no access token, and ends after a day", async () => {
  const user = await create();
  const info = await cloud.call<{ value: string; ttlMs: number }>("GET", `/api/user/${user.id.id}/activationLinkInfo`);
  expect(info.ttlMs).toBe(86_400_000);
  expect((await cloud.request("GET", "/api/auth/user", { token: tokenOf(info.value) })).status).toBe(401);
  cloud.clock.advance(86_402_000);
  expect((await activate(tokenOf(info.value))).status).toBe(404);
});
