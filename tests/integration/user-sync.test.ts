import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { loadEntityChanges } from "../../cloud/store/downlink-source.ts";
import { readDownlinks } from "../../cloud/store/downlink-store.ts";
import { readCloudDigest, repairDifferences } from "../../cloud/store/reconcile-store.ts";
import { answerDigest } from "../../edge/store/digest-answer.ts";
import { applyDownlinks } from "../../edge/store/downlink-apply.ts";
import { ensureLocalAdmin } from "../../edge/store/first-start.ts";
import { saveSite } from "../../edge/store/site-store.ts";
import { createUuid, type Uuid } from "../../shared/core/ids.ts";
import { systemRandom as random } from "../../shared/runtime/system-random.ts";
import { encodeItems } from "../../shared/wire/changes-codec.ts";
import { compress } from "../../shared/wire/compression.ts";
import { createTestBlobs } from "../support/postgres.ts";
import { addCustomerUser, PASSWORD, plainPasswords, startTestCloud, type TestCloud } from "../support/test-cloud.ts";
import { startTestEdge, type TestEdge } from "../support/test-edge.ts";

// Users of the cloud on an edge: what the cloud writes for it is applied there, without a link between them.

let cloud: TestCloud;
let edge: TestEdge;
let edgeId: Uuid;
let customer: { readonly customerId: Uuid; readonly token: string };
let applied = 0;
let names = 0;

const LOCAL = { email: "admin@skerry.local", password: "made at enrolment" };
const CUSTOMER_EMAIL = "customer@example.com";

beforeAll(async () => {
  cloud = await startTestCloud();
  customer = await addCustomerUser(cloud);
  edge = await startTestEdge(await cloud.createEdgeDatabase(), cloud.clock);
  edgeId = (await cloud.call<{ id: { id: Uuid } }>("POST", "/api/edge", { name: "Edge" })).id.id;
  const { db } = edge.database;
  const { tenantId } = cloud.first;
  const deps = { clock: cloud.clock, random, passwords: plainPasswords };
  const site = { edgeId, name: "Edge", type: "default", cloudId: createUuid(cloud.clock, random), downlinkApplied: 0 };
  await saveSite(db, { ...site, tenantId });
  await ensureLocalAdmin(db, deps, { tenantId, ...LOCAL });
});
afterAll(() => cloud[Symbol.asyncDispose]());

/** Brings all downlinks to the edge. @returns what it refused */
async function deliver() {
  const { db } = cloud.database;
  const rows = await readDownlinks(db, edgeId, { afterSeq: applied, limit: 1_000 });
  const items = await Promise.all(
    rows.map(async (row) => ({
      changedMs: row.createdMs,
      changes: await loadEntityChanges(db, row, cloud.clock.nowMs()),
    })),
  );
  if (items.length === 0) return [];
  const batch = { type: "batch", lane: "downlink", firstSeq: applied + 1, count: items.length } as const;
  const deps = { clock: cloud.clock, random, edgeVersion: "test", blobs: createTestBlobs(edge.database) };
  applied += items.length;
  const { rejections } = await applyDownlinks(edge.unitOfWork, deps, [{ ...batch, ...compress(encodeItems(items)) }]);
  return rejections;
}

/** One comparison, and its repairs brought to the edge. @returns how many differences there were */
async function reconcile(): Promise<number> {
  const { types } = await readCloudDigest(cloud.database.db, edgeId);
  const diff = await answerDigest(edge.database.db, { type: "digest", round: 1, types });
  let differences = 0;
  for (const buckets of diff.type === "digest-diff" ? diff.types : []) {
    if (buckets.entityType !== "USER") continue;
    const entries = await answerDigest(edge.database.db, { type: "entries-wanted", round: 1, buckets });
    if (entries.type !== "entries") throw new Error("Expected entries");
    const deps = { nowMs: cloud.clock.nowMs(), isNew: () => true };
    const { found } = await repairDifferences(cloud.database.db, { edgeId, entries }, deps);
    differences += found.missing + found.stale + found.surplus;
  }
  await deliver();
  return differences;
}

const signInOnEdge = (username: string, password = PASSWORD) =>
  edge.request("POST", "/api/auth/login", { body: { username, password } });
const statusOnEdge = async (username: string, password = PASSWORD) => (await signInOnEdge(username, password)).status;
const newAdmin = async (): Promise<{ readonly id: Uuid; readonly email: string }> => {
  const email = `admin-${(names += 1)}@example.com`;
  const user = await cloud.call<{ id: { id: Uuid } }>("POST", "/api/user", { email, authority: "TENANT_ADMIN" });
  const link = await cloud.request("GET", `/api/user/${user.id.id}/activationLink`);
  const activateToken = new URL(link.text).searchParams.get("activateToken");
  await cloud.request("POST", "/api/noauth/activate", { body: { activateToken, password: PASSWORD }, token: null });
  return { id: user.id.id, email };
};

describe("users of the cloud", () => {
  test("come with the first comparison, sign in on the edge, and the local administrator stays", async () => {
    expect(await statusOnEdge(cloud.first.email)).toBe(401);
    expect(await reconcile()).toBe(1);
    expect(await statusOnEdge(cloud.first.email)).toBe(200);
    expect(await statusOnEdge(LOCAL.email, LOCAL.password)).toBe(200);
    for (const stranger of [cloud.second.email, "system@example.com", CUSTOMER_EMAIL])
      expect([stranger, await statusOnEdge(stranger)]).toEqual([stranger, 401]);
    expect(await reconcile()).toBe(0);
  });

  test("are made, disabled and deleted by downlinks; tokens of the edge end with that", async () => {
    const { id, email } = await newAdmin();
    expect(await deliver()).toEqual([]);
    const token = String((await signInOnEdge(email)).json?.["token"]);
    const whoAmI = async () => (await edge.request("GET", "/api/auth/user", { token })).status;
    expect(await whoAmI()).toBe(200);
    await cloud.call("POST", `/api/user/${id}/userCredentialsEnabled?userCredentialsEnabled=false`);
    await deliver();
    expect([await whoAmI(), await statusOnEdge(email)]).toEqual([401, 401]);
    await cloud.call("POST", `/api/user/${id}/userCredentialsEnabled?userCredentialsEnabled=true`);
    await deliver();
    expect(await statusOnEdge(email)).toBe(200);
    await cloud.call("DELETE", `/api/user/${id}`);
    await deliver();
    expect([await whoAmI(), await statusOnEdge(email)]).toEqual([401, 401]);
    expect(await reconcile()).toBe(0);
  });

  test("get their new password on the edge, which ends its older tokens, and can't change it there", async () => {
    const { email } = await newAdmin();
    await deliver();
    const token = String((await signInOnEdge(email)).json?.["token"]);
    const body = { currentPassword: PASSWORD, newPassword: "another one" };
    const onEdge = await edge.request("POST", "/api/auth/changePassword", { token, body });
    expect(onEdge.json).toMatchObject({ status: 400, message: "This user comes from the cloud; change it there" });
    expect(await statusOnEdge(email)).toBe(200);
    cloud.clock.advance(1_000);
    const login = await cloud.request("POST", "/api/auth/login", {
      body: { username: email, password: PASSWORD },
      token: null,
    });
    await cloud.request("POST", "/api/auth/changePassword", { token: String(login.json?.["token"]), body });
    await deliver();
    expect([await statusOnEdge(email), await statusOnEdge(email, "another one")]).toEqual([401, 200]);
    expect((await edge.request("GET", "/api/auth/user", { token })).status).toBe(401);
    expect(edge.changes).toEqual([]);
  });

  test("the local administrator changes its password on the edge, and nobody else hears of it", async () => {
    const token = String((await signInOnEdge(LOCAL.email, LOCAL.password)).json?.["token"]);
    const body = { currentPassword: LOCAL.password, newPassword: "its own" };
    expect((await edge.request("POST", "/api/auth/changePassword", { token, body })).status).toBe(200);
    expect(await statusOnEdge(LOCAL.email, "its own")).toBe(200);
    expect(edge.changes).toEqual([]);
    expect(await reconcile()).toBe(0);
  });

  test("whose address a local user has are refused with the reason, and the local one stays", async () => {
    const user = { email: LOCAL.email.toUpperCase(), authority: "TENANT_ADMIN" };
    const { id } = await cloud.call<{ id: { id: Uuid } }>("POST", "/api/user", user);
    expect(await deliver()).toMatchObject([{ code: "ALREADY_EXISTS" }]);
    expect(await statusOnEdge(LOCAL.email, "its own")).toBe(200);
    await cloud.call("DELETE", `/api/user/${id.id}`);
    expect(await deliver()).toEqual([]);
    expect(await statusOnEdge(LOCAL.email, "its own")).toBe(200);
  });

  test("exchange their addresses", async () => {
    const [one, two] = [await newAdmin(), await newAdmin()];
    await deliver();
    const rename = (id: Uuid, email: string) => cloud.call("POST", "/api/user", { id: { id }, email });
    await rename(one.id, "parking@example.com");
    await rename(two.id, one.email);
    await rename(one.id, two.email);
    expect(await deliver()).toEqual([]);
    await reconcile();
    const emails = await edge.database
      .sql`select id, email from app_user where id in ${edge.database.sql([one.id, two.id])}`;
    expect(Object.fromEntries(emails.map((row) => [String(row["id"]), String(row["email"])]))).toEqual({
      [one.id]: two.email,
      [two.id]: one.email,
    });
    expect(await reconcile()).toBe(0);
  });
});

describe("users of a customer", () => {
  const path = (): string => `/api/customer/${customer.customerId}/edge/${edgeId}`;

  test("come and leave with the edge's assignment to their customer", async () => {
    expect(await statusOnEdge(CUSTOMER_EMAIL)).toBe(401);
    expect(await cloud.call("POST", path())).toMatchObject({ customerId: { id: customer.customerId } });
    await deliver();
    expect(await statusOnEdge(CUSTOMER_EMAIL)).toBe(200);
    const onEdge = () => edge.database.sql`select name from entity where id = ${customer.customerId}`;
    expect(await onEdge()).toHaveLength(1);
    expect(await reconcile()).toBe(0);
    await cloud.call("DELETE", `/api/customer/edge/${edgeId}`);
    await deliver();
    expect(await statusOnEdge(CUSTOMER_EMAIL)).toBe(401);
    expect(await onEdge()).toHaveLength(0);
    expect(await reconcile()).toBe(0);
  });

  test("leave with their customer", async () => {
    await cloud.call("POST", path());
    await deliver();
    expect(await statusOnEdge(CUSTOMER_EMAIL)).toBe(200);
    await cloud.call("DELETE", `/api/customer/${customer.customerId}`);
    await deliver();
    expect(await statusOnEdge(CUSTOMER_EMAIL)).toBe(401);
    const signIn = { body: { username: CUSTOMER_EMAIL, password: PASSWORD }, token: null };
    expect((await cloud.request("POST", "/api/auth/login", signIn)).status).toBe(401);
    expect(await reconcile()).toBe(0);
  });
});
