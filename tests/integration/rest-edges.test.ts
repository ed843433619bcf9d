import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { isOlder } from "../../cloud/api/edge-instructions.ts";
import { findEdgeByCredentials } from "../../cloud/store/edge-session-store.ts";
import { authenticateEdge, hashEdgeSecret } from "../../cloud/store/edge-store.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { startTestCloud, type Answer, type TestCloud, withoutChains } from "../support/test-cloud.ts";

let cloud: TestCloud;
let names = 0;
beforeAll(async () => {
  cloud = await startTestCloud();
});
afterAll(() => cloud[Symbol.asyncDispose]());

interface Entity {
  readonly id: { readonly id: Uuid };
  readonly name: string;
  readonly routingKey: string;
  readonly secret: string;
  readonly version: number;
  readonly [key: string]: unknown;
}
interface EventPage {
  readonly data: readonly {
    readonly seqId: number;
    readonly action: string;
    readonly type: string;
    readonly entityId: string;
    readonly [key: string]: unknown;
  }[];
}

const UNKNOWN_ID = "784f394c-42b6-435a-983c-b7beff2784f9";
const MASK = "********";
const create = async (kind: "edge" | "device" | "asset", input: object = {}): Promise<Entity> => {
  names += 1;
  const made = await cloud.call<Entity>("POST", `/api/${kind}`, { name: `${kind} ${names}`, ...input });
  return kind === "edge" ? withoutChains(cloud, made) : made;
};
const expectError = (answer: Answer, status: number, errorCode: number, message?: string): void => {
  expect(answer.json).toMatchObject({ status, errorCode });
  if (message !== undefined) expect(answer.json?.["message"]).toBe(message);
};
const events = async (edge: Entity, query = "pageSize=100&page=0") =>
  (await cloud.call<EventPage>("GET", `/api/edge/${edge.id.id}/events?${query}`)).data;
/** As when a replica has opened a session. */
const connect = (edge: Entity) =>
  cloud.database
    .sql`update edge_sync set replica_id = ${UNKNOWN_ID}, session = session + 1, connected_ms = 1000 where edge_id = ${edge.id.id}`;
const told = async (edge: Entity) => (await events(edge)).map(({ type, action, entityId }) => [type, action, entityId]);

describe("POST /api/edge", () => {
  test.each([
    [{}, "Edge name should be specified!"],
    [{ name: " " }, "Edge name should be specified!"],
    [{ name: "x".repeat(256) }, "Validation error: name length must be equal or less than 255"],
    [{ name: "a", secret: "x".repeat(256) }, "Validation error: secret length must be equal or less than 255"],
  ])("refuses %j", async (body, message) => {
    expectError(await cloud.request("POST", "/api/edge", { body }), 400, 31, message);
  });

  test("makes key and secret when absent, and shows the secret once", async () => {
    const edge = await create("edge");
    expect(edge).toMatchObject({ id: { entityType: "EDGE" }, type: "default", version: 1 });
    expect(edge.routingKey).toMatch(/^[A-Za-z0-9]{36}$/);
    expect(edge.secret).toMatch(/^[A-Za-z0-9]{20}$/);
    const { db } = cloud.database;
    expect(await authenticateEdge(db, edge)).toMatchObject({ id: edge.id.id });
    expect(await authenticateEdge(db, { ...edge, secret: "wrong" })).toBeNull();
    for (const path of [
      `/api/edge/${edge.id.id}`,
      `/api/edge/info/${edge.id.id}`,
      "/api/edges?pageSize=100&page=0",
      `/api/tenant/edge?edgeName=${encodeURIComponent(edge.name)}`,
    ]) {
      const answer = await cloud.request("GET", path);
      expect(answer.text).toContain(`"secret":"${MASK}"`);
      expect(answer.text).not.toContain(edge.secret);
    }
    const [row] = await cloud.database.sql<
      { row: string }[]
    >`select e::text as row from edge e where id = ${edge.id.id}`;
    expect(row?.row).not.toContain(edge.secret);
  });

  test("keeps the secret when the mask comes back, and replaces it otherwise", async () => {
    const edge = await create("edge", { routingKey: "key-1", secret: "secret-1" });
    expect(edge).toMatchObject({ routingKey: "key-1", secret: "secret-1" });
    const renamed = await cloud.call<Entity>("POST", "/api/edge", { ...edge, secret: MASK, label: "L" });
    expect(renamed).toMatchObject({ label: "L", version: 2, secret: MASK });
    const { db } = cloud.database;
    expect(await authenticateEdge(db, { routingKey: "key-1", secret: "secret-1" })).not.toBeNull();
    expect(cloud.sessions.ended).toHaveLength(0);
    await connect(edge);
    expect(await cloud.call("POST", "/api/edge", { ...renamed, secret: "secret-2" })).toMatchObject({
      secret: "secret-2",
      version: 3,
    });
    expect(await authenticateEdge(db, { routingKey: "key-1", secret: "secret-1" })).toBeNull();
    expect(await authenticateEdge(db, { routingKey: "key-1", secret: "secret-2" })).not.toBeNull();
    expect(cloud.sessions.ended).toEqual([{ edgeId: edge.id.id, fence: 2, code: "UNAUTHENTICATED" }]);
    const [sync] = await cloud.database.sql`select session, replica_id from edge_sync where edge_id = ${edge.id.id}`;
    expect(sync).toEqual({ session: 2, replica_id: null });
    expect(await cloud.call("GET", `/api/edge/info/${edge.id.id}`)).toMatchObject({
      status: { state: "disconnected", reason: "UNAUTHENTICATED" },
    });
    expectError(
      await cloud.request("POST", "/api/edge", { body: { ...edge, version: null, secret: MASK, routingKey: "key-2" } }),
      400,
      31,
    );
  });

  test("a new secret is shown once, and the one before works for the grace time", async () => {
    const edge = await create("edge");
    const opens = async (secret: string): Promise<boolean> => {
      const secretHash = hashEdgeSecret(edge.routingKey, secret);
      const shown = { routingKey: edge.routingKey, secretHash, nowMs: cloud.clock.nowMs() };
      return (await findEdgeByCredentials(cloud.database.db, shown)) !== null;
    };
    const rotated = await cloud.call<Entity>("POST", `/api/edge/${edge.id.id}/secret`, {});
    expect(rotated).toMatchObject({ id: edge.id, routingKey: edge.routingKey, version: 2 });
    expect(rotated.secret).not.toBe(edge.secret);
    expect((await cloud.request("GET", `/api/edge/${edge.id.id}`)).text).toContain(`"secret":"${MASK}"`);
    expect([await opens(edge.secret), await opens(rotated.secret), await opens("x")]).toEqual([true, true, false]);
    cloud.clock.advance(50_000);
    expect(await opens(edge.secret)).toBeTrue();
    cloud.clock.advance(10_000);
    expect([await opens(edge.secret), await opens(rotated.secret)]).toEqual([false, true]);
    await cloud.call("POST", `/api/edge/${edge.id.id}/secret`);
    await cloud.call("POST", "/api/edge", { ...edge, version: null, secret: "given" });
    expect([await opens(rotated.secret), await opens("given")]).toEqual([false, true]);
    const foreign = await cloud.request("POST", `/api/edge/${edge.id.id}/secret`, { token: cloud.second.token });
    expectError(foreign, 404, 32);
  });

  test("refuses a name of the tenant and a routing key of anybody that is taken, and stale versions", async () => {
    const edge = await create("edge");
    expectError(
      await cloud.request("POST", "/api/edge", { body: { name: edge.name } }),
      400,
      31,
      "Edge with such name already exists!",
    );
    const other = { name: "mine", routingKey: edge.routingKey };
    expectError(
      await cloud.request("POST", "/api/edge", { body: other, token: cloud.second.token }),
      400,
      31,
      "Edge with such routing key already exists!",
    );
    expectError(
      await cloud.request("POST", "/api/edge", { body: { ...edge, version: 7 } }),
      409,
      35,
      "Edge was already changed by someone else",
    );
    expectError(
      await cloud.request("POST", "/api/edge", { body: { ...edge, id: { id: UNKNOWN_ID } } }),
      404,
      32,
      `Edge with id [${UNKNOWN_ID}] is not found`,
    );
  });
});

describe("reading edges", () => {
  test("lists, types, names and ids, in both forms of each path", async () => {
    const edge = await create("edge", { type: "gateway" });
    expect(await cloud.call<unknown>("GET", "/api/edges/enabled")).toBe(true);
    expect(await cloud.call<object[]>("GET", "/api/edge/types")).toContainEqual({
      tenantId: { entityType: "TENANT", id: cloud.first.tenantId },
      entityType: "EDGE",
      type: "gateway",
    });
    expect(await cloud.call("GET", "/api/tenant/edges?pageSize=10&page=0&type=gateway")).toMatchObject({
      totalElements: 1,
      hasNext: false,
    });
    for (const path of [`/api/edges/list?edgeIds=${edge.id.id},${UNKNOWN_ID}`, `/api/edges?edgeIds=${edge.id.id}`]) {
      expect(await cloud.call<Entity[]>("GET", path)).toMatchObject([{ id: edge.id }]);
    }
    for (const path of ["/api/tenant/edge", "/api/tenant/edges"]) {
      expect(await cloud.call("GET", `${path}?edgeName=${encodeURIComponent(edge.name)}`)).toMatchObject({
        id: edge.id,
      });
      expectError(await cloud.request("GET", `${path}?edgeName=none`), 404, 32);
    }
  });

  test("infos and server attributes show the presence", async () => {
    const edge = await create("edge");
    const info = () => cloud.call("GET", `/api/edge/info/${edge.id.id}`);
    expect(await info()).toMatchObject({ customerTitle: null, status: { state: "new", downlinksWaiting: 0 } });
    await cloud.database
      .sql`update edge_sync set connected_ms = 1000, disconnected_ms = 2000, edge_version = '0.1.0', clock_skew_ms = 7, reason = 'LINK_DOWN' where edge_id = ${edge.id.id}`;
    expect(await info()).toMatchObject({
      status: { state: "disconnected", reason: "LINK_DOWN", lastSeenTime: 2000, clockSkewMs: 7, edgeVersion: "0.1.0" },
    });
    await connect(edge);
    expect(await info()).toMatchObject({ status: { state: "connected", reason: null } });
    const path = `/api/plugins/telemetry/EDGE/${edge.id.id}/values/attributes/SERVER_SCOPE`;
    const attributes = await cloud.call<{ key: string; value: unknown }[]>("GET", path);
    expect(Object.fromEntries(attributes.map(({ key, value }) => [key, value]))).toEqual({
      active: true,
      edgeVersion: "0.1.0",
      lastConnectTime: 1000,
      lastDisconnectTime: 2000,
      syncInProgress: false,
      queueStartSeqId: 0,
    });
    expect(await cloud.call<object[]>("GET", `${path}?keys=active`)).toHaveLength(1);
    expect((await cloud.request("GET", path, { token: cloud.second.token })).status).toBe(404);
    expect(
      (
        await cloud.request("POST", `/api/plugins/telemetry/EDGE/${edge.id.id}/SERVER_SCOPE`, {
          body: { active: false },
        })
      ).status,
    ).toBe(400);
  });
});

const idOf = (entity: Entity, field: string): string => (entity[field] as { readonly id: string }).id;

describe("instructions", () => {
  test("name address and key for each way of installing, and nothing of the secret", async () => {
    const edge = await create("edge");
    const path = `/api/edge/instructions/install/${edge.id.id}`;
    for (const method of ["docker", "ubuntu", "centos"]) {
      const { instructions } = await cloud.call<{ instructions: string }>("GET", `${path}/${method}`);
      expect(instructions).toContain(`--cloud-url https://cloud.test:7070 --edge-key ${edge.routingKey}`);
      expect(instructions).not.toContain(edge.secret);
    }
    expectError(await cloud.request("GET", `${path}/windows`), 400, 31);
    expectError(await cloud.request("GET", `${path}/docker`, { token: cloud.second.token }), 404, 32);
  });

  test("say whether an edge is behind the cloud, and how it catches up", async () => {
    const edge = await create("edge");
    const isAvailable = () => cloud.call<boolean>("GET", `/api/edge/${edge.id.id}/upgrade/available`);
    expect(await isAvailable()).toBe(false);
    await cloud.database.sql`update edge_sync set edge_version = '0.0.0' where edge_id = ${edge.id.id}`;
    expect(await isAvailable()).toBe(false);
    const older = [
      ["0.9.0", "0.10.0"],
      ["1.9.9", "2.0.0"],
      ["1.0.0", "1.0.1"],
    ] as const;
    for (const [one, other] of older) expect([isOlder(one, other), isOlder(other, one)]).toEqual([true, false]);
    expect(isOlder("unknown", "0.0.0")).toBe(false);
    const answer = await cloud.call("GET", "/api/edge/instructions/upgrade/0.0.0/ubuntu");
    expect(answer).toMatchObject({ instructions: expect.stringContaining("systemctl restart skerry-edge") });
  });
});

describe("assignments", () => {
  test("refuse an unknown edge, another tenant's edge and an unknown entity", async () => {
    const [edge, device] = [await create("edge"), await create("device")];
    expectError(
      await cloud.request("POST", `/api/edge/${UNKNOWN_ID}/device/${device.id.id}`),
      400,
      31,
      "Can't assign device to non-existent edge!",
    );
    expectError(await cloud.request("POST", `/api/edge/${edge.id.id}/asset/${device.id.id}`), 404, 32);
    expectError(await cloud.request("DELETE", `/api/edge/${edge.id.id}/device/${UNKNOWN_ID}`), 404, 32);
    const foreign = await cloud.request("POST", "/api/edge", { body: { name: "theirs" }, token: cloud.second.token });
    const foreignId = (foreign.json?.["id"] as { readonly id: string } | undefined)?.id;
    expectError(await cloud.request("POST", `/api/edge/${foreignId}/device/${device.id.id}`), 400, 31);
    expectError(
      await cloud.request("POST", `/api/edge/${foreignId}/device/${device.id.id}`, { token: cloud.second.token }),
      404,
      32,
    );
    expect(await told(edge)).toEqual([]);
  });

  test.each(["device", "asset"] as const)(
    "a %s is assigned once, its profile first, and unassigned, its profile last",
    async (kind) => {
      const [edge, entity] = [await create("edge"), await create(kind)];
      const path = `/api/edge/${edge.id.id}/${kind}/${entity.id.id}`;
      const type = kind.toUpperCase();
      cloud.woken.length = 0;
      expect(await cloud.call("POST", path, {})).toEqual(entity);
      expect(cloud.woken).toEqual([edge.id.id]);
      expect(await cloud.call("POST", path)).toEqual(entity);
      const list = () => cloud.call<{ data: Entity[] }>("GET", `/api/edge/${edge.id.id}/${kind}s?pageSize=10&page=0`);
      expect((await list()).data).toMatchObject([{ id: entity.id }]);
      expect(await cloud.call("DELETE", path, {})).toEqual(entity);
      await cloud.call("DELETE", path);
      expect((await list()).data).toEqual([]);
      const profileId = idOf(entity, `${kind}ProfileId`);
      expect(await told(edge)).toEqual([
        [`${type}_PROFILE`, "ADDED", profileId],
        [type, "ASSIGNED_TO_EDGE", entity.id.id],
        [type, "UNASSIGNED_FROM_EDGE", entity.id.id],
        [`${type}_PROFILE`, "UNASSIGNED_FROM_EDGE", profileId],
      ]);
    },
  );

  test("every change of what is assigned reaches every edge concerned, and no other", async () => {
    const [one, two, three] = [await create("edge"), await create("edge"), await create("edge")];
    const [device, other] = [await create("device"), await create("device")];
    for (const edge of [one, two]) await cloud.call("POST", `/api/edge/${edge.id.id}/device/${device.id.id}`);
    const id = device.id.id;
    const scope = `/api/plugins/telemetry/DEVICE/${id}/SHARED_SCOPE`;
    await cloud.call("POST", "/api/device", { ...device, label: "new" });
    await cloud.call("POST", "/api/device", { ...other, label: "unseen" });
    await cloud.call("POST", "/api/device/credentials", {
      deviceId: device.id,
      credentialsType: "ACCESS_TOKEN",
      credentialsId: "new-token",
    });
    await cloud.call("POST", scope, { a: 1 });
    await cloud.call("DELETE", `${scope}?keys=a`);
    await cloud.call("DELETE", `/api/device/${id}`);
    for (const edge of [one, two]) {
      const rows = await events(edge);
      expect(rows.slice(2).map((row) => row.action)).toEqual([
        "UPDATED",
        "CREDENTIALS_UPDATED",
        "ATTRIBUTES_UPDATED",
        "ATTRIBUTES_DELETED",
        "DELETED",
        // The profile, which nothing there has any more.
        "UNASSIGNED_FROM_EDGE",
      ]);
      expect(rows.map((row) => row.seqId)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
      expect(rows[4]?.["body"]).toEqual({ scope: "SHARED_SCOPE", keys: ["a"] });
      expect(await cloud.call("GET", `/api/edge/${edge.id.id}/devices?pageSize=10&page=0`)).toMatchObject({
        totalElements: 0,
      });
    }
    expect(await told(three)).toEqual([]);
  });
});

describe("GET /api/edge/{edgeId}/events", () => {
  test("shows queued, sent, applied and failed with reason and time", async () => {
    const [edge, device] = [await create("edge"), await create("device")];
    await cloud.call("POST", `/api/edge/${edge.id.id}/device/${device.id.id}`);
    for (const label of ["a", "b"]) await cloud.call("POST", "/api/device", { ...device, version: null, label });
    const { sql } = cloud.database;
    await sql`update edge_sync set downlink_acked = 2 where edge_id = ${edge.id.id}`;
    await sql`insert into edge_event_ack values (${edge.id.id}, 2, 5000)`;
    await sql`insert into edge_event_rejection values (${edge.id.id}, 2, 'ALREADY_EXISTS', 'Why', 5000)`;
    const states = async () => (await events(edge)).map((row) => row["state"]);
    // What another replica says of an edge that is gone counts no more.
    await sql`update edge_sync set downlink_sent = 3 where edge_id = ${edge.id.id}`;
    expect(await states()).toEqual(["applied", "failed", "queued", "queued"]);
    await connect(edge);
    expect(await states()).toEqual(["applied", "failed", "sent", "queued"]);
    cloud.sessions.sent.set(edge.id.id, 4);
    expect(await states()).toEqual(["applied", "failed", "sent", "sent"]);
    cloud.sessions.sent.set(edge.id.id, 3);
    const rows = await events(edge);
    expect(rows.map((row) => [row["state"], row["reason"], row["appliedTime"]])).toEqual([
      ["applied", null, 5000],
      ["failed", "ALREADY_EXISTS: Why", null],
      ["sent", null, null],
      ["queued", null, null],
    ]);
    expect(rows[0]).toMatchObject({
      edgeId: { entityType: "EDGE", id: edge.id.id },
      tenantId: { id: cloud.first.tenantId },
      body: null,
    });
    const newest = await events(edge, "pageSize=1&page=0&sortProperty=createdTime&sortOrder=DESC");
    expect(newest.map((row) => row.seqId)).toEqual([4]);
    expect(await events(edge, "pageSize=9&page=0&startTime=0&endTime=1")).toEqual([]);
    expect(await cloud.call("GET", `/api/edge/info/${edge.id.id}`)).toMatchObject({ status: { downlinksWaiting: 2 } });
    expect(
      (await cloud.request("GET", `/api/edge/${edge.id.id}/events?pageSize=1&page=0`, { token: cloud.second.token }))
        .status,
    ).toBe(404);
  });
});

describe("POST /api/edge/sync/{edgeId}", () => {
  test("needs a connected edge", async () => {
    const edge = await create("edge");
    expectError(await cloud.request("POST", `/api/edge/sync/${edge.id.id}`), 500, 2, "Edge is not connected");
    expectError(await cloud.request("POST", `/api/edge/sync/${UNKNOWN_ID}`), 404, 32);
  });

  test("has everything assigned sent again when full is asked for, else only a comparison", async () => {
    const [edge, device, asset] = [await create("edge"), await create("device"), await create("asset")];
    await cloud.call("POST", `/api/edge/${edge.id.id}/device/${device.id.id}`);
    await cloud.call("POST", `/api/edge/${edge.id.id}/asset/${asset.id.id}`);
    await connect(edge);
    const empty = { status: 200, text: "" };
    expect(await cloud.request("POST", `/api/edge/sync/${edge.id.id}`, { body: {} })).toMatchObject(empty);
    expect((await told(edge)).slice(4)).toEqual([]);
    expect(await cloud.request("POST", `/api/edge/sync/${edge.id.id}?full=true`, { body: {} })).toMatchObject(empty);
    expect((await told(edge)).slice(4)).toEqual([
      ["DEVICE_PROFILE", "ADDED", idOf(device, "deviceProfileId")],
      ["ASSET_PROFILE", "ADDED", idOf(asset, "assetProfileId")],
      ["DEVICE", "ADDED", device.id.id],
      ["ASSET", "ADDED", asset.id.id],
    ]);
  });
});

test("a deleted edge is gone with its rows, its session ends, its devices stay", async () => {
  const [edge, device] = [await create("edge"), await create("device")];
  await cloud.call("POST", `/api/edge/${edge.id.id}/device/${device.id.id}`);
  const path = `/api/edge/${edge.id.id}`;
  expectError(await cloud.request("DELETE", path, { token: cloud.second.token }), 404, 32);
  expect((await cloud.request("DELETE", path, { body: {} })).text).toBe("");
  expect(cloud.sessions.ended.at(-1)).toMatchObject({ edgeId: edge.id.id, code: "NOT_FOUND" });
  expectError(await cloud.request("DELETE", path), 404, 32);
  expect((await cloud.request("GET", `/api/device/${device.id.id}`)).status).toBe(200);
  const { sql } = cloud.database;
  const [rows] = await sql<
    { left: number }[]
  >`select (select count(*) from edge_event where edge_id = ${edge.id.id}) + (select count(*) from edge_assignment where edge_id = ${edge.id.id}) as left`;
  expect(rows?.left).toBe(0);
  await cloud.call("POST", "/api/device", { ...device, label: "still works" });
});
