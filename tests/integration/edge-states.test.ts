import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createEdgeStatistics } from "../../cloud/jobs/edge-statistics.ts";
import { isDeletedEdge, noteRefusal, saveReports } from "../../cloud/store/edge-report-store.ts";
import {
  closeSession,
  findEdgeByCredentials,
  openSession,
  settleDownlinks,
  type EdgeAccount,
} from "../../cloud/store/edge-session-store.ts";
import { saveStatistics } from "../../cloud/store/edge-statistics-store.ts";
import { hashEdgeSecret, readEdgeStatuses } from "../../cloud/store/edge-store.ts";
import { endGoneReplicas } from "../../cloud/store/replica-store.ts";
import { createEdgeTraffic } from "../../cloud/sync/edge-traffic.ts";
import { createUuid, type Uuid } from "../../shared/core/ids.ts";
import { silentLog } from "../../shared/observe/log.ts";
import { createMetrics } from "../../shared/observe/metrics.ts";
import { systemRandom as random } from "../../shared/runtime/system-random.ts";
import type { EdgeReport } from "../../shared/sync/edge-report.ts";
import { startTestCloud, type TestCloud } from "../support/test-cloud.ts";
import { HELLO } from "../unit/sync-values.ts";

let cloud: TestCloud;
let names = 0;
beforeAll(async () => {
  cloud = await startTestCloud();
});
afterAll(() => cloud[Symbol.asyncDispose]());

interface TestEdge extends EdgeAccount {
  readonly routingKey: string;
  readonly secret: string;
}

async function newEdge(): Promise<TestEdge> {
  const { routingKey, secret } = await cloud.call<{ routingKey: string; secret: string }>("POST", "/api/edge", {
    name: `Edge ${(names += 1)}`,
  });
  const account = await findEdgeByCredentials(cloud.database.db, {
    routingKey,
    secretHash: hashEdgeSecret(routingKey, secret),
    nowMs: 0,
  });
  if (account === null) throw new Error("Expected the edge to be found");
  return { ...account, routingKey, secret };
}

const newId = (): Uuid => createUuid(cloud.clock, random);
const open = (edge: TestEdge, replicaId = newId()) =>
  openSession(
    cloud.database.db,
    edge,
    { ...HELLO, storeId: edge.edgeId, wallClockMs: cloud.clock.nowMs() },
    { cloudId: newId(), replicaId, clock: cloud.clock },
  );
const close = ({ edgeId }: TestEdge, session: number, reason = "LINK_DOWN") =>
  closeSession(cloud.database.db, edgeId, { session, reason, nowMs: cloud.clock.nowMs() });

interface RestStatus {
  readonly lastSeenTime: number | null;
  readonly clockSkewMs: number | null;
  readonly sync: {
    readonly state: string;
    readonly reasons: readonly { readonly code: string; readonly detail: string | null }[];
    readonly sinceTime: number | null;
    readonly reportedTime: number | null;
    readonly backlog: readonly object[];
    readonly lagMs: number | null;
    readonly thinned: readonly object[];
  };
}

const statusOf = async ({ edgeId }: TestEdge): Promise<RestStatus> =>
  (await cloud.call<{ status: RestStatus }>("GET", `/api/edge/${edgeId}`)).status;
const stateOf = async (edge: TestEdge): Promise<string> => (await statusOf(edge)).sync.state;

function reportOf(change: Partial<EdgeReport> = {}): EdgeReport {
  const wallClockMs = cloud.clock.nowMs();
  return { wallClockMs, lanes: [], parkedItems: 0, quota: "ok", state: "IN_SYNC", stateForMs: 0, ...change };
}

const report = ({ edgeId }: TestEdge, session: number, change: Partial<EdgeReport> = {}) =>
  saveReports(cloud.database.db, [{ edgeId, session, report: reportOf(change), nowMs: cloud.clock.nowMs() }]);

describe("the record of an edge", () => {
  test("shows which keys the edge thins", async () => {
    const edge = await newEdge();
    await open(edge);
    const thinned = [{ key: "t", came: 10, sent: 1, cameBytes: 100, sentBytes: 10 }];
    await report(edge, 1, { thinned });
    expect((await statusOf(edge)).sync.thinned).toEqual(thinned);
    await report(edge, 1);
    expect((await statusOf(edge)).sync.thinned).toEqual([]);
  });

  test("says why it is not in sync, from before its first session to after its last", async () => {
    const edge = await newEdge();
    expect(await stateOf(edge)).toBe("NEVER_CONNECTED");
    await open(edge);
    expect(await stateOf(edge)).toBe("IN_SYNC");
    await close(edge, 1);
    expect(await stateOf(edge)).toBe("LINK_DOWN");
    await open(edge);
    await close(edge, 2, "CANCELLED");
    expect(await stateOf(edge)).toBe("PEER_STOPPED");
  });

  test("shows who was refused in its name, until it is let in", async () => {
    const edge = await newEdge();
    const { db } = cloud.database;
    const refusal = { code: "UNAUTHENTICATED", text: "wrong", nowMs: cloud.clock.nowMs() };
    await noteRefusal(db, { routingKey: "nobody" }, refusal);
    await noteRefusal(db, { routingKey: edge.routingKey }, refusal);
    expect((await statusOf(edge)).sync).toMatchObject({
      state: "CREDENTIALS_REFUSED",
      reasons: [{ code: "CREDENTIALS_REFUSED", detail: "wrong" }],
      sinceTime: Math.round(refusal.nowMs),
    });
    // The same again within 5 s is not written down, another reason is.
    await noteRefusal(db, { edgeId: edge.edgeId }, { ...refusal, text: "again", nowMs: refusal.nowMs + 1_000 });
    expect((await statusOf(edge)).sync.reasons[0]?.detail).toBe("wrong");
    await noteRefusal(
      db,
      { edgeId: edge.edgeId },
      { ...refusal, code: "PEER_UNSUPPORTED", nowMs: refusal.nowMs + 1_000 },
    );
    expect(await stateOf(edge)).toBe("PEER_UNSUPPORTED");
    await open(edge);
    expect(await stateOf(edge)).toBe("IN_SYNC");
    await close(edge, 1);
    expect(await stateOf(edge)).toBe("LINK_DOWN");
  });

  test("holds what the edge told last, also when it is gone", async () => {
    const edge = await newEdge();
    await open(edge);
    const nowMs = cloud.clock.nowMs();
    const lanes = [{ lane: "telemetry", items: 40, bytes: null, oldestMs: nowMs - 90_000 }] as const;
    await report(edge, 1, { lanes, wallClockMs: nowMs - 60_000, parkedItems: 2, state: "SENDING" });
    const status = await statusOf(edge);
    expect(status.sync).toMatchObject({
      state: "PARKED_ITEMS",
      reasons: [{ code: "PARKED_ITEMS" }, { code: "SENDING" }, { code: "CLOCK_SKEW" }],
      backlog: [{ lane: "telemetry", items: 40 }],
      edgeState: "SENDING",
      parkedItems: 2,
    });
    expect(Math.abs((status.clockSkewMs ?? 0) + 60_000)).toBeLessThan(1_000);
    expect(Math.abs((status.sync.lagMs ?? 0) - 30_000)).toBeLessThan(1_000);
    await close(edge, 1);
    expect((await statusOf(edge)).sync).toMatchObject({
      state: "LINK_DOWN",
      reasons: [{ code: "LINK_DOWN" }, { code: "PARKED_ITEMS" }, { code: "CLOCK_SKEW" }],
      backlog: [{ items: 40 }],
      reportedTime: status.sync.reportedTime,
    });
  });

  test("does not take a report of a session that is not the newest", async () => {
    const edge = await newEdge();
    await open(edge);
    await open(edge);
    const kept = async () => (await readEdgeStatuses(cloud.database.db, [edge.edgeId])).get(edge.edgeId)?.report;
    await report(edge, 1, { parkedItems: 1 });
    expect(await kept()).toBeNull();
    await report(edge, 2, { parkedItems: 2 });
    await report(edge, 1, { parkedItems: 1 });
    expect(await kept()).toMatchObject({ session: 2, parkedItems: 2 });
  });

  test("is remembered by its key when it was deleted", async () => {
    const { edgeId, routingKey, secret } = await newEdge();
    const hash = hashEdgeSecret(routingKey, secret);
    await cloud.call("DELETE", `/api/edge/${edgeId}`);
    expect(await isDeletedEdge(cloud.database.db, routingKey, hash)).toBe(true);
    expect(await isDeletedEdge(cloud.database.db, routingKey, hashEdgeSecret(routingKey, "other"))).toBe(false);
  });
});

describe("connect and disconnect events", () => {
  const eventsOf = async ({ edgeId }: TestEdge, query = "") => {
    const path = `/api/events/EDGE/${edgeId}/LC_EVENT?pageSize=10000&page=0${query}`;
    const page = await cloud.call<{ data: { body: { event: string; error: string | null; session: number } }[] }>(
      "GET",
      path,
    );
    return page.data.map(({ body }) => `${body.event} ${body.session} ${body.error ?? ""}`.trim());
  };

  test("come in pairs, the newest first, however a session ended", async () => {
    const edge = await newEdge();
    const step = (): void => cloud.clock.advance(10);
    await open(edge);
    step();
    await close(edge, 1);
    step();
    await open(edge);
    step();
    // Nobody closed the second one, and its end comes too late.
    await open(edge);
    step();
    await close(edge, 2);
    await endGoneReplicas(cloud.database.db, 0);
    expect((await eventsOf(edge, "&sortOrder=ASC")).slice(0, 3)).toEqual([
      "CONNECTED 1",
      "DISCONNECTED 1 LINK_DOWN",
      "CONNECTED 2",
    ]);
    const events = await eventsOf(edge);
    expect(events.toSorted()).toEqual([
      "CONNECTED 1",
      "CONNECTED 2",
      "CONNECTED 3",
      "DISCONNECTED 1 LINK_DOWN",
      "DISCONNECTED 2 SESSION_FENCED",
      "DISCONNECTED 3 LINK_DOWN",
    ]);
  });

  test("are found by a filter, and forgotten when they are over", async () => {
    const edge = await newEdge();
    await open(edge);
    await close(edge, 1);
    await open(edge);
    const path = `/api/events/EDGE/${edge.edgeId}`;
    const find = async (filter: object): Promise<number> => {
      const body = { eventType: "LC_EVENT", ...filter };
      const page = await cloud.call<{ totalElements: number }>("POST", `${path}?pageSize=1&page=0`, body);
      return page.totalElements;
    };
    expect(await find({})).toBe(3);
    expect(await find({ event: "disconnected" })).toBe(1);
    expect(await find({ status: "Failure", errorStr: "link" })).toBe(1);
    expect(await find({ status: "Success" })).toBe(2);
    expect(await find({ eventType: "STATS" })).toBe(0);
    expect((await cloud.request("POST", `${path}?pageSize=1&page=0`, { body: { eventType: "X" } })).status).toBe(400);
    await cloud.call("POST", `${path}/clear`, { eventType: "LC_EVENT" });
    expect(await eventsOf(edge)).toEqual(["CONNECTED 2"]);
  });

  test("are of edges alone; others have none", async () => {
    const { id } = await cloud.call<{ id: { id: string } }>("POST", "/api/device", { name: "Without events" });
    const path = `/api/events/DEVICE/${id.id}/ERROR?pageSize=10&page=0&tenantId=${cloud.first.tenantId}`;
    expect(await cloud.call("GET", path)).toMatchObject({ data: [], totalElements: 0 });
    expect((await cloud.request("GET", path, { token: cloud.second.token })).status).toBe(404);
  });

  test("are kept of the newest 500 sessions, and shown to nobody else", async () => {
    const edge = await newEdge();
    const { edgeId } = edge;
    await open(edge);
    await cloud.database.sql`update edge_sync set session = 600 where edge_id = ${edgeId}`;
    await open(edge);
    expect(await eventsOf(edge)).toEqual(["CONNECTED 601"]);
    const path = `/api/events/EDGE/${edgeId}/LC_EVENT?pageSize=10&page=0`;
    expect((await cloud.request("GET", path, { token: cloud.second.token })).status).toBe(404);
  });
});

describe("statistics", () => {
  const KEYS = [
    "downlinkMsgsAdded",
    "downlinkMsgsLag",
    "downlinkMsgsPermanentlyFailed",
    "downlinkMsgsPushed",
    "downlinkMsgsTmpFailed",
    "uplinkLagMs",
    "uplinkMsgsApplied",
    "uplinkMsgsLag",
    "uplinkMsgsPushed",
    "uplinkMsgsRejected",
  ] as const;

  const createStatistics = (edge: TestEdge) => {
    const metrics = createMetrics();
    const traffic = createEdgeTraffic(metrics);
    const { clock, database } = cloud;
    const live = { held: () => [{ edgeId: edge.edgeId, session: 1, sentSeq: null }] };
    let isFailing = false;
    const statistics = createEdgeStatistics({
      live,
      traffic,
      save: (edgeIds, toRecords) =>
        saveStatistics(database.db, edgeIds, (positions) => {
          const records = toRecords(positions);
          if (isFailing) throw new Error("The database is gone");
          return records;
        }),
      clock,
      log: silentLog,
    });
    return { metrics, traffic, statistics, fail: (failing: boolean) => void (isFailing = failing) };
  };

  /** Every point of each key, the oldest first. */
  const seriesOf = async ({ edgeId }: TestEdge): Promise<Record<string, number[]>> => {
    const range = `startTs=0&endTs=${Math.round(cloud.clock.nowMs()) + 1}&orderBy=ASC&useStrictDataTypes=true`;
    const path = `/api/plugins/telemetry/EDGE/${edgeId}/values/timeseries?keys=${KEYS.join(",")}&${range}`;
    const series = await cloud.call<Record<string, { value: number }[]>>("GET", path);
    return Object.fromEntries(Object.entries(series).map(([key, points]) => [key, points.map(({ value }) => value)]));
  };

  test("are telemetry of the edge, a point for each minute in which something happened", async () => {
    const edge = await newEdge();
    const { edgeId } = edge;
    const { db, sql } = cloud.database;
    await open(edge);
    const { statistics, traffic, fail, metrics } = createStatistics(edge);
    await sql`update edge_sync set downlink_last = 7, downlink_acked = 4 where edge_id = ${edgeId}`;
    traffic.add(edgeId, { uplinkApplied: 5, uplinkRejected: 1 });
    traffic.add(edgeId, { uplinkApplied: 5, downlinkPushed: 4, downlinkFailed: 1, downlinkUnanswered: 2 });
    await statistics.save();
    const first = {
      downlinkMsgsAdded: [7],
      downlinkMsgsLag: [3],
      downlinkMsgsPermanentlyFailed: [1],
      downlinkMsgsPushed: [3],
      downlinkMsgsTmpFailed: [2],
      uplinkLagMs: [0],
      uplinkMsgsApplied: [10],
      uplinkMsgsLag: [0],
      uplinkMsgsPushed: [11],
      uplinkMsgsRejected: [1],
    };
    expect(await seriesOf(edge)).toEqual(first);
    cloud.clock.advance(60_000);
    await statistics.save();
    expect(await seriesOf(edge)).toEqual(first);
    // What could not be saved is saved with the next.
    cloud.clock.advance(60_000);
    traffic.add(edgeId, { uplinkApplied: 2 });
    // Said again after a lost acknowledgement.
    traffic.add(edgeId, { downlinkPushed: 0, downlinkFailed: 1 });
    await settleDownlinks(db, { edgeId, session: 1, seq: 7, rejections: [], nowMs: 0 });
    fail(true);
    await statistics.save().catch(() => undefined);
    fail(false);
    await statistics.save();
    const series = await seriesOf(edge);
    expect(series).toMatchObject({ downlinkMsgsAdded: [7, 0], downlinkMsgsLag: [3, 0], uplinkMsgsApplied: [10, 2] });
    expect(await metrics.render()).toContain('skerry_uplinks_total{result="applied"} 12');
  });

  test("count downlinks once, whichever process does it", async () => {
    const edge = await newEdge();
    const { edgeId } = edge;
    await open(edge);
    await cloud.database.sql`update edge_sync set downlink_last = 7, downlink_acked = 7 where edge_id = ${edgeId}`;
    await createStatistics(edge).statistics.save();
    await cloud.database.sql`update edge_sync set downlink_last = 9, downlink_acked = 9 where edge_id = ${edgeId}`;
    cloud.clock.advance(60_000);
    await createStatistics(edge).statistics.save();
    expect((await seriesOf(edge))["downlinkMsgsAdded"]).toEqual([7, 2]);
  });

  test("leave out an edge that was deleted meanwhile", async () => {
    const edge = await newEdge();
    const { statistics, traffic } = createStatistics(edge);
    traffic.add(edge.edgeId, { uplinkApplied: 1 });
    await cloud.call("DELETE", `/api/edge/${edge.edgeId}`);
    await statistics.save();
    expect(await cloud.database.sql`select 1 from telemetry where entity_id = ${edge.edgeId}`).toHaveLength(0);
  });
});
