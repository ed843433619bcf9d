import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { decodeJwt, SignJWT } from "jose";
import { PASSWORD, signIn, startTestCloud, type TestCloud } from "../support/test-cloud.ts";

let cloud: TestCloud;
beforeAll(async () => {
  cloud = await startTestCloud();
});
afterAll(() => cloud[Symbol.asyncDispose]());

const login = (username: unknown, password: unknown) =>
  cloud.request("POST", "/api/auth/login", { body: { username, password }, token: null });

describe("signing in", () => {
  test("refuses an unknown name and a wrong password with the same answer", async () => {
    for (const [name, password] of [
      ["nobody@example.com", PASSWORD],
      [cloud.first.email, "wrong"],
    ]) {
      const answer = await login(name, password);
      expect(answer.status).toBe(401);
      expect(answer.json).toMatchObject({ status: 401, errorCode: 10, message: "Invalid username or password" });
      expect(answer.json?.["timestamp"]).toBeNumber();
    }
  });

  test.each([[""], ["{"], ["[]"], ["{}"], ['{"username":"","password":"x"}'], ['{"username":1,"password":2}']])(
    "answers 401/10 to the body %j",
    async (body) => {
      const answer = await cloud.request("POST", "/api/auth/login", { body, token: null });
      expect(answer.status).toBe(401);
      expect(answer.json).toMatchObject({ errorCode: 10, message: "Authentication failed" });
    },
  );

  test("gives a pair of tokens with the claims that clients read, in any case of the name", async () => {
    const answer = await login(cloud.first.email.toUpperCase(), PASSWORD);
    expect(answer.status).toBe(200);
    expect(answer.json?.["scope"]).toBeNull();
    const claims = decodeJwt(String(answer.json?.["token"]));
    expect(claims).toMatchObject({
      sub: cloud.first.email,
      scopes: ["TENANT_ADMIN"],
      tenantId: cloud.first.tenantId,
      customerId: "13814000-1dd2-11b2-8080-808080808080",
      enabled: true,
      isPublic: false,
    });
    expect(Number(claims.exp) - Number(claims.iat)).toBeCloseTo(9000, -1);
    expect(decodeJwt(String(answer.json?.["refreshToken"]))).toMatchObject({ scopes: ["REFRESH_TOKEN"] });
  });

  test("slows down guessing: locks an account after ten failures, until the minute is over", async () => {
    for (let attempt = 0; attempt < 10; attempt += 1) await login("guessed@example.com", "wrong");
    const refused = await login("guessed@example.com", "wrong");
    expect(refused.status).toBe(401);
    expect(refused.json).toMatchObject({ errorCode: 10, message: "User account is locked due to security policy" });
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
    cloud.clock.advance(61_000);
    expect((await login("guessed@example.com", "wrong")).json?.["message"]).toBe("Invalid username or password");
  });
});

describe("tokens", () => {
  test.each([{}, { refreshToken: "x" }, "{"])("/api/auth/token answers 401/10 to %j", async (body) => {
    const answer = await cloud.request("POST", "/api/auth/token", { token: null, body });
    expect(answer.status).toBe(401);
    expect(answer.json).toMatchObject({ errorCode: 10, message: "Authentication failed" });
  });

  const user = (token: string | null, headers = {}) => cloud.request("GET", "/api/auth/user", { token, headers });

  test.each([null, "x", "a.b.c"])("answers 401/10 to the token %j", async (token) => {
    const answer = await user(token);
    expect(answer.status).toBe(401);
    expect(answer.json).toMatchObject({ errorCode: 10, message: "Authentication failed" });
  });

  test("answers 401/11 to a token that somebody else signed", async () => {
    const token = await new SignJWT(decodeJwt(cloud.first.token))
      .setProtectedHeader({ alg: "HS512" })
      .sign(new Uint8Array(64));
    const answer = await user(token);
    expect(answer.status).toBe(401);
    expect(answer.json).toMatchObject({ errorCode: 11, message: "Token has expired" });
  });

  test("refuses a refresh token where an access token is needed, and the reverse", async () => {
    const pair = await login(cloud.first.email, PASSWORD);
    expect((await user(String(pair.json?.["refreshToken"]))).json).toMatchObject({ errorCode: 10 });
    const answer = await cloud.request("POST", "/api/auth/token", {
      body: { refreshToken: pair.json?.["token"] },
      token: null,
    });
    expect(answer.json).toMatchObject({ errorCode: 10 });
  });

  test("are taken from Authorization when X-Authorization is absent", async () => {
    const answer = await user(null, { authorization: `Bearer ${cloud.first.token}` });
    expect(answer.status).toBe(200);
    expect(answer.json).toMatchObject({ email: cloud.first.email, authority: "TENANT_ADMIN" });
  });

  test("are renewed by the refresh token, which keeps the session", async () => {
    const pair = await login(cloud.first.email, PASSWORD);
    const renewed = await cloud.request("POST", "/api/auth/token", {
      body: { refreshToken: pair.json?.["refreshToken"] },
      token: null,
    });
    expect(renewed.status).toBe(200);
    const claims = (token: unknown) => decodeJwt(String(token))["sessionId"];
    expect(claims(renewed.json?.["token"])).toBe(claims(pair.json?.["token"]));
  });

  test("stop working with their session, and no other does", async () => {
    const [ended, kept] = [await signIn(cloud.api, cloud.first.email), await signIn(cloud.api, cloud.first.email)];
    expect((await cloud.request("POST", "/api/auth/logout", { token: ended, body: {} })).text).toBe("");
    expect((await user(ended)).status).toBe(401);
    expect((await user(kept)).status).toBe(200);
  });
});

test("changing the password ends older tokens and needs the old one", async () => {
  const { email } = cloud.second;
  const token = await signIn(cloud.api, email);
  const change = (body: object) => cloud.request("POST", "/api/auth/changePassword", { token, body });
  expect((await change({ currentPassword: "wrong", newPassword: "something new" })).json).toMatchObject({
    status: 400,
    errorCode: 31,
    message: "Current password doesn't match!",
  });
  expect((await change({ currentPassword: PASSWORD, newPassword: PASSWORD })).json?.["message"]).toBe(
    "New password should be different from existing!",
  );
  expect((await change({ currentPassword: PASSWORD, newPassword: "short" })).status).toBe(400);
  const changed = await change({ currentPassword: PASSWORD, newPassword: "something new" });
  expect(changed.status).toBe(200);
  expect((await cloud.request("GET", "/api/auth/user", { token })).json).toMatchObject({ errorCode: 11 });
  expect((await cloud.request("GET", "/api/auth/user", { token: String(changed.json?.["token"]) })).status).toBe(200);
  expect((await login(email, PASSWORD)).status).toBe(401);
});

test("a token that has run out answers 401/11", async () => {
  const token = await signIn(cloud.api, cloud.first.email);
  cloud.clock.advance(9_001_000);
  const answer = await cloud.request("GET", "/api/auth/user", { token });
  expect(answer.status).toBe(401);
  expect(answer.json).toMatchObject({ errorCode: 11, message: "Token has expired" });
});

test("a tenant that calls too often gets 429/33 until its bucket fills again, and nobody else does", async () => {
  await using limited = await startTestCloud({ tenantLimits: { perS: 5, burst: 10 } });
  const call = (token = limited.first.token) => limited.request("GET", "/api/auth/user", { token });
  const answers = await Promise.all(Array.from({ length: 12 }, () => call()));
  expect(answers.filter(({ status }) => status === 200).length).toBeWithin(8, 12);
  const refused = await call();
  expect(refused.json).toMatchObject({ status: 429, errorCode: 33, message: "Too many requests for current tenant!" });
  expect(refused.headers.get("retry-after")).toBe("1");
  expect((await call(limited.second.token)).status).toBe(200);
  for (let count = 0; count < 20; count += 1) expect((await call(limited.system)).status).toBe(200);
  limited.clock.advance(2_000);
  expect((await call()).status).toBe(200);
});

test("GET /api/noauth/userPasswordPolicy answers anyone with all rules of the convention", async () => {
  const answer = await cloud.request("GET", "/api/noauth/userPasswordPolicy", { token: null });
  expect(answer).toMatchObject({
    status: 200,
    json: { minimumLength: 6, maximumLength: null, allowWhitespaces: true },
  });
});
