import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Uuid } from "../../shared/core/ids.ts";
import { expireRpcs, removeOldRpcs } from "../../shared/store/rpc-store.ts";
import { addCustomerUser, startTestCloud, type Answer, type TestCloud } from "../support/test-cloud.ts";

let cloud: TestCloud;
let customer: { readonly customerId: string; readonly token: string };
let deviceId: Uuid;
let names = 0;

beforeAll(async () => {
  cloud = await startTestCloud();
  customer = await addCustomerUser(cloud);
  deviceId = await createDevice();
});
afterAll(() => cloud[Symbol.asyncDispose]());

async function createDevice(more: object = {}): Promise<Uuid> {
  names += 1;
  const body = { name: `Device ${names}`, ...more };
  return (await cloud.call<{ id: { id: Uuid } }>("POST", "/api/device", body)).id.id;
}

const send = (
  body: unknown,
  { path = "/api/rpc/twoway", token }: { path?: string; token?: string } = {},
): Promise<Answer> => cloud.request("POST", `${path}/${deviceId}`, { body, ...(token === undefined ? {} : { token }) });
const queue = async (more: object = {}): Promise<Uuid> =>
  (await send({ method: "m", params: { pin: 7 }, persistent: true, timeout: 60_000, ...more })).json?.["rpcId"] as Uuid;
const list = (
  query = "",
): Promise<{ readonly data: readonly Record<string, unknown>[]; readonly totalElements: number }> =>
  cloud.call("GET", `/api/rpc/persistent/device/${deviceId}?pageSize=100&page=0${query}`);

describe("POST /api/rpc", () => {
  test.each([
    ["/api/rpc/oneway", true],
    ["/api/rpc/twoway", false],
    ["/api/plugins/rpc/oneway", true],
    ["/api/plugins/rpc/twoway", false],
  ])("%s answers at once with the id of a persistent request", async (path, oneway) => {
    const answer = await send({ method: "m", params: "on", persistent: true, timeout: 1 }, { path });
    expect(answer.status).toBe(200);
    const id = answer.json?.["rpcId"];
    const stored = await cloud.call("GET", `/api/rpc/persistent/${String(id)}`);
    const createdTime = Number(stored["createdTime"]);
    expect(stored).toEqual({
      id: { entityType: "RPC", id },
      createdTime,
      tenantId: { entityType: "TENANT", id: cloud.first.tenantId },
      deviceId: { entityType: "DEVICE", id: deviceId },
      expirationTime: createdTime + 5_000,
      request: {
        id,
        oneway,
        expirationTime: createdTime + 5_000,
        body: { method: "m", params: '"on"' },
        persisted: true,
        retries: 5,
      },
      response: null,
      status: "QUEUED",
      additionalInfo: null,
      trail: [{ status: "QUEUED", attempt: 0, ts: createdTime }],
    });
  });

  test("keeps what the caller sets", async () => {
    const requestUUID = crypto.randomUUID();
    const id = await queue({ requestUUID, retries: 9, expirationTime: 9_999_999_999_999, additionalInfo: { a: 1 } });
    expect(id).toBe(requestUUID as Uuid);
    expect(await cloud.call<object>("GET", `/api/rpc/persistent/${id}`)).toMatchObject({
      expirationTime: 9_999_999_999_999,
      additionalInfo: { a: 1 },
      request: { retries: 5 },
    });
  });

  test("keeps numbers in params as they are written", async () => {
    const id = await cloud.request("POST", `/api/rpc/twoway/${deviceId}`, {
      body: '{"method":"m","params":{"level":1.0,"big":12345678901234567890},"persistent":true}',
    });
    const stored = await cloud.call<{ request: { body: { params: string } } }>(
      "GET",
      `/api/rpc/persistent/${String(id.json?.["rpcId"])}`,
    );
    expect(stored.request.body.params).toBe('{"level":1.0,"big":12345678901234567890}');
  });

  test.each<[string, unknown, number]>([
    ["without a method", { params: {} }, 400],
    ["with an empty method", { method: " ", params: {} }, 400],
    ["without params", { method: "m" }, 400],
    ["with a timeout that is no number", { method: "m", params: {}, timeout: "soon" }, 400],
    ["that is unreadable", "{", 400],
    ["that is no object", "[]", 400],
    ["above the limit of a message", { method: "m", params: "x".repeat(65_536) }, 413],
  ])("refuses a body %s", async (_, body, status) => {
    expect((await send(body)).status).toBe(status);
  });

  test("refuses an id that belongs to another request", async () => {
    const requestUUID = await queue();
    const other = await createDevice();
    const body = { method: "m", params: {}, persistent: true, requestUUID };
    expect((await cloud.request("POST", `/api/rpc/oneway/${other}`, { body })).status).toBe(400);
    expect((await send({ ...body, persistent: false })).status).toBe(400);
  });

  test("lets users reach the devices of their customer only", async () => {
    const own = await createDevice({ customerId: { id: customer.customerId } });
    const body = { method: "m", params: {}, persistent: true };
    const asCustomer = (id: Uuid) => cloud.request("POST", `/api/rpc/oneway/${id}`, { body, token: customer.token });
    expect((await asCustomer(own)).status).toBe(200);
    expect((await asCustomer(deviceId)).status).toBe(404);
    expect((await send(body, { token: cloud.system })).status).toBe(404);
  });

  test("is in the audit log, with who asked for what", async () => {
    const device = await createDevice();
    const body = { method: "openValve", params: { by: 7 }, persistent: true };
    await cloud.call("POST", `/api/rpc/oneway/${device}`, body);
    const log = await cloud.call<{ data: readonly Record<string, unknown>[] }>(
      "GET",
      `/api/audit/logs/entity/DEVICE/${device}?pageSize=10&page=0&actionTypes=RPC_CALL`,
    );
    expect(log.data).toHaveLength(1);
    expect(log.data[0]).toMatchObject({
      userName: cloud.first.email,
      actionData: { method: "openValve", params: '{"by":7}', oneway: true, persisted: true },
    });
  });

  test("is answered after its time when no edge has the device", async () => {
    const asking = send({ method: "m", params: {}, timeout: 5_000 }, { path: "/api/plugins/rpc/twoway" });
    while ((await cloud.database.sql`select from rpc where not is_persistent`).length === 0) await cloud.clock.yield();
    cloud.clock.advance(6_000);
    expect(await asking).toMatchObject({ status: 409, text: "The device was not connected in time" });
    expect(await cloud.database.sql`select from rpc where not is_persistent`).toHaveLength(0);
  });
});

describe("/api/rpc/persistent", () => {
  test("lists the requests to a device by status, in pages", async () => {
    deviceId = await createDevice();
    const [first, second] = [await queue({ timeout: 5_000 }), await queue({ method: "other" })];
    cloud.clock.advance(6_000);
    await cloud.unitOfWork.run((tx) => expireRpcs(tx, cloud.clock.nowMs()));
    const ids = async (query: string) => (await list(query)).data.map(({ id }) => (id as { id: Uuid }).id);
    expect(await ids("&sortProperty=createdTime")).toEqual([first, second]);
    expect(await ids("&sortProperty=request&sortOrder=DESC")).toEqual([second, first]);
    expect(await ids("&sortProperty=response")).toHaveLength(2);
    expect(await ids("&rpcStatus=EXPIRED")).toEqual([first]);
    expect(await ids("&rpcStatus=QUEUED")).toEqual([second]);
    expect(await ids("&textSearch=OTHER")).toEqual([second]);
    expect((await list("&sortProperty=createdTime&sortOrder=DESC")).data[0]).toMatchObject({ status: "QUEUED" });
  });

  test.each(["DELETED", "SOON"])("refuses rpcStatus=%s", async (status) => {
    const answer = await cloud.request(
      "GET",
      `/api/rpc/persistent/device/${deviceId}?pageSize=1&page=0&rpcStatus=${status}`,
    );
    expect(answer.json).toMatchObject({ status: 400, errorCode: 31 });
  });

  test("forgets what was deleted, and leaves deleting to administrators", async () => {
    const id = await queue();
    const path = `/api/rpc/persistent/${id}`;
    expect((await cloud.request("DELETE", path, { token: customer.token })).status).toBe(403);
    expect((await cloud.request("GET", path, { token: customer.token })).status).toBe(404);
    const before = (await list()).totalElements;
    expect(await cloud.request("DELETE", path)).toMatchObject({ status: 200, text: "" });
    expect((await cloud.request("GET", path)).status).toBe(404);
    expect((await list()).totalElements).toBe(before - 1);
  });

  test("keeps requests for 90 days after their end, or until their device goes", async () => {
    const { db } = cloud.database;
    const id = await queue();
    const path = `/api/rpc/persistent/${id}`;
    // Not before it has come to its end.
    await removeOldRpcs(db, cloud.clock.nowMs() + 91 * 24 * 3_600_000);
    await cloud.unitOfWork.run((tx) => expireRpcs(tx, cloud.clock.nowMs() + 60_001));
    await removeOldRpcs(db, cloud.clock.nowMs() + 89 * 24 * 3_600_000);
    expect((await cloud.request("GET", path)).status).toBe(200);
    await removeOldRpcs(db, cloud.clock.nowMs() + 91 * 24 * 3_600_000);
    expect((await cloud.request("GET", path)).status).toBe(404);
    const other = await queue();
    await cloud.call("DELETE", `/api/device/${deviceId}`);
    expect(await db.execute(`select from rpc where id = '${other}'`)).toHaveLength(0);
  });
});
