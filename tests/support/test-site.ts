import { loadEntityChanges } from "../../cloud/store/downlink-source.ts";
import { readDownlinks } from "../../cloud/store/downlink-store.ts";
import { openSession } from "../../cloud/store/edge-session-store.ts";
import { hashEdgeSecret } from "../../cloud/store/edge-store.ts";
import { applyUplink } from "../../cloud/store/uplink-apply.ts";
import { applyDownlinks } from "../../edge/store/downlink-apply.ts";
import { ensureLocalAdmin } from "../../edge/store/first-start.ts";
import { saveSite } from "../../edge/store/site-store.ts";
import { createUuid, NULL_UUID, type Uuid } from "../../shared/core/ids.ts";
import { systemRandom as random } from "../../shared/runtime/system-random.ts";
import { encodeItems } from "../../shared/wire/changes-codec.ts";
import { compress } from "../../shared/wire/compression.ts";
import { HELLO } from "../unit/sync-values.ts";
import { createTestBlobs } from "./postgres.ts";
import { PASSWORD, plainPasswords, signIn, type TestCloud } from "./test-cloud.ts";
import { startTestEdge, type TestEdge } from "./test-edge.ts";

/** An edge of the cloud with real stores on both ends; what is on its way is carried when the test says so. */
export interface TestSite {
  readonly edgeId: Uuid;
  readonly edge: TestEdge;
  /** As the edge's administrator; the body's JSON of a 200. @throws Error for another status */
  call<T = Record<string, unknown>>(method: string, path: string, body?: unknown): Promise<T>;
  up(): Promise<void>;
  down(): Promise<void>;
  /** Both, until nothing is on its way. @throws Error when either side refuses something */
  sync(): Promise<void>;
  /** What was in the memory of the edge is gone. */
  restart(): Promise<void>;
}

const ADMIN = "admin@skerry.local";

export async function openTestSite(cloud: TestCloud, name: string): Promise<TestSite> {
  const record = await cloud.call<{ id: { id: Uuid }; routingKey: string; secret: string }>("POST", "/api/edge", {
    name,
  });
  const edgeId = record.id.id;
  const { tenantId } = cloud.first;
  const database = await cloud.createEdgeDatabase();
  const storeId = createUuid(cloud.clock, random);
  const session = await openTestSession(cloud, { record, name, storeId });
  let edge = await startTestEdge(database, cloud.clock);
  await saveSite(database.db, {
    edgeId,
    tenantId,
    name,
    type: "default",
    cloudId: createUuid(cloud.clock, random),
    downlinkApplied: 0,
  });
  const deps = { clock: cloud.clock, random, passwords: plainPasswords };
  await ensureLocalAdmin(database.db, deps, { tenantId, email: ADMIN, password: PASSWORD });
  let token = await signIn(edge.api, ADMIN);
  let sent = 0;
  let applied = 0;

  async function up(): Promise<void> {
    for (const change of edge.changes.splice(0)) {
      sent += 1;
      const payload = encodeItems([{ changedMs: cloud.clock.nowMs(), changes: [change] }]);
      const batch = { type: "batch", lane: "config", firstSeq: sent, count: 1, ...compress(payload) } as const;
      const origin = {
        edgeId,
        storeId,
        lane: "config",
        session,
        tenantId,
        edgeName: name,
        cloudVersion: "2.0.0",
      } as const;
      const uplinkDeps = { clock: cloud.clock, random, blobs: createTestBlobs(cloud.database) };
      const { effects, rejections } = await applyUplink(cloud.database.db, uplinkDeps, { origin, batches: [batch] });
      refuse(rejections);
      cloud.calls.note(effects);
    }
  }
  async function down(): Promise<void> {
    const { db } = cloud.database;
    const rows = await readDownlinks(db, edgeId, { afterSeq: applied, limit: 1000 });
    const nowMs = cloud.clock.nowMs();
    const items = await Promise.all(
      rows.map(async (row) => ({ changedMs: row.createdMs, changes: await loadEntityChanges(db, row, nowMs) })),
    );
    if (items.length === 0) return;
    const batch = { type: "batch", lane: "downlink", firstSeq: applied + 1, count: items.length } as const;
    applied += items.length;
    const downlinkDeps = { clock: cloud.clock, random, edgeVersion: "test", blobs: createTestBlobs(database) };
    const batches = [{ ...batch, ...compress(encodeItems(items)) }];
    const { effects, rejections } = await applyDownlinks(edge.unitOfWork, downlinkDeps, batches);
    refuse(rejections);
    edge.hear(effects);
  }
  return {
    edgeId,
    get edge() {
      return edge;
    },
    async call<T>(method: string, path: string, body?: unknown) {
      const answer = await edge.request(method, path, { token, ...(body === undefined ? {} : { body }) });
      if (answer.status !== 200) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`);
      // The test says what it expects.
      return (answer.text === "" ? undefined : JSON.parse(answer.text)) as T;
    },
    up,
    down,
    sync: async () => {
      for (let round = 0; round < 10; round += 1) {
        const before = applied;
        await up();
        await down();
        if (edge.changes.length === 0 && applied === before) return;
      }
      throw new Error("The two sides never come to rest");
    },
    restart: async () => {
      const waiting = edge.changes;
      edge = await startTestEdge(database, cloud.clock);
      edge.changes.push(...waiting);
      token = await signIn(edge.api, ADMIN);
    },
  };
}

function refuse(rejections: readonly { readonly text: string }[]): void {
  if (rejections.length > 0) throw new Error(`Refused: ${rejections.map(({ text }) => text).join("; ")}`);
}

/** @returns the number of a session of the edge */
export async function openTestSession(
  cloud: TestCloud,
  {
    record,
    name,
    storeId,
  }: { record: { id: { id: Uuid }; routingKey: string; secret: string }; name: string; storeId: Uuid },
): Promise<number> {
  const { tenantId } = cloud.first;
  const secretHash = hashEdgeSecret(record.routingKey, record.secret);
  const account = { edgeId: record.id.id, tenantId, name, type: "default", secretHash };
  const lanes = (["config", "telemetry"] as const).map((lane) => ({
    lane,
    nextSeq: 1,
    oldestSeq: 1,
    ackedSeq: 0,
    firstSeq: 1,
  }));
  const hello = {
    ...HELLO,
    storeId,
    lanes,
    cloudId: NULL_UUID,
    machineId: null,
    wallClockMs: cloud.clock.nowMs(),
  } as const;
  const deps = { cloudId: NULL_UUID, replicaId: NULL_UUID, clock: cloud.clock };
  return (await openSession(cloud.database.db, account, hello, deps)).session;
}
