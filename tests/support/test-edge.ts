import { Hono } from "hono";
import { createEdgeApi } from "../../edge/api/edge-api.ts";
import { createDeviceRpcs, type DeviceRpcHub } from "../../edge/devices/device-rpcs.ts";
import { createCloudEvents } from "../../edge/store/cloud-event-list.ts";
import { createDeviceRpcStore } from "../../edge/store/device-rpc-store.ts";
import { ensurePartitions } from "../../edge/store/outbox-partitions.ts";
import { createParkedItems } from "../../edge/store/parked-items.ts";
import { openSite, readSite } from "../../edge/store/site-store.ts";
import type { Clock } from "../../shared/core/clock.ts";
import { createSha256 } from "../../shared/core/hash.ts";
import { NULL_UUID } from "../../shared/core/ids.ts";
import type { Change } from "../../shared/entities/change.ts";
import { parseRpcRecord } from "../../shared/entities/rpc.ts";
import { silentLog } from "../../shared/observe/log.ts";
import { createMetrics } from "../../shared/observe/metrics.ts";
import { databaseError } from "../../shared/postgres/connect.ts";
import type { RestApp } from "../../shared/rest/app.ts";
import { authenticationFailed } from "../../shared/rest/principal.ts";
import type { RuleDebugEvent } from "../../shared/rest/rule-debug.ts";
import { createCallerScope } from "../../shared/runtime/caller-scope.ts";
import { openScriptSandbox } from "../../shared/runtime/script-sandbox.ts";
import { systemRandom } from "../../shared/runtime/system-random.ts";
import { withCaller, withCallerWork } from "../../shared/store/audit-store.ts";
import { createContents } from "../../shared/store/blob-upload.ts";
import type { UnitOfWork } from "../../shared/store/unit-of-work.ts";
import { createTestBlobs, type TestDatabase } from "./postgres.ts";
import { createRequest, plainPasswords, type Answer, type RequestOptions } from "./test-cloud.ts";

/** The edge's API over a real database, without ports, a link and argon2. */
export interface TestEdge {
  readonly api: RestApp;
  readonly database: TestDatabase;
  readonly unitOfWork: UnitOfWork;
  /** Its loop does not run: nothing expires by itself. */
  readonly rpcs: DeviceRpcHub;
  /** Has the edge hear of what came from the cloud. */
  readonly hear: (committed: readonly Change[]) => void;
  /** What was made for the cloud, in order. */
  readonly changes: Change[];
  /** Of nodes that are debugged, the newest first; for a test to fill. */
  readonly debugEvents: RuleDebugEvent[];
  request(method: string, path: string, options?: RequestOptions): Promise<Answer>;
}

export async function startTestEdge(database: TestDatabase, clock: Clock): Promise<TestEdge> {
  const { db, sql } = database;
  await openSite(db);
  await ensurePartitions(sql, "config", 1, 1);
  const changes: Change[] = [];
  const debugEvents: RuleDebugEvent[] = [];
  const unitOfWork: UnitOfWork = {
    run: (work) =>
      db
        .transaction(async (tx) => {
          const outcome = await work(tx);
          changes.push(...outcome.changes);
          return outcome;
        })
        .then(({ changes: committed, result }) => {
          hear(committed);
          return result;
        }),
  };
  const rpcs = createDeviceRpcs({
    store: createDeviceRpcStore({ db, groupCommit: unitOfWork, clock }),
    clock,
    log: silentLog,
  });
  const hear = (committed: readonly Change[]): void => {
    for (const change of committed)
      if (change.kind === "rpc-saved") rpcs.note(parseRpcRecord(change.body), change.leftMs);
  };
  const secret = systemRandom.bytes(64);
  const callers = createCallerScope();
  const calling = { clock, current: () => callers.current() };
  const api = createEdgeApi(
    {
      db: withCaller(db, calling),
      unitOfWork: withCallerWork(unitOfWork, calling),
      asCaller: (caller, work) => callers.run(caller, work),
      clock,
      random: systemRandom,
      log: silentLog,
      metrics: createMetrics(),
      passwords: plainPasswords,
      openScriptSandbox,
      jwtSecret: () => secret,
      localAuthenticator: { scheme: "local", authenticate: () => Promise.reject(authenticationFailed()) },
      saveTelemetry: () => Promise.resolve(),
      ruleDebug: {
        list: (id) => debugEvents.filter(({ nodeId }) => nodeId === id),
        forget: () => void debugEvents.splice(0),
      },
      settleLatest: () => Promise.resolve(),
      readRootChainId: () => Promise.resolve(null),
      events: createCloudEvents(sql),
      parked: createParkedItems({ db, groupCommit: unitOfWork, blobs: createTestBlobs(database), clock }),
      sources: {
        link: () => null,
        sync: () => Promise.reject(new Error("No link in this test")),
        outbox: () => Promise.reject(new Error("No outbox in this test")),
        database: () => ({ kind: "embedded", state: "ready", reason: null, version: null }),
        disk: () => Promise.reject(new Error("No disk in this test")),
        mqttConnections: () => 0,
        ruleNodes: () => [],
        thinned: () => [],
      },
      readSite: () => readSite(db),
      routingKey: null,
      notReady: () => Promise.resolve(null),
      toAppError: databaseError,
      callDevice: (record) => rpcs.call(record),
      deviceApi: new Hono(),
      deviceAccess: ({ hostname: host, origin: httpOrigin }) => ({
        host,
        httpOrigin,
        mqttPort: 1883,
        mqttsPort: null,
        coapPort: null,
      }),
      contents: createContents(
        { db, clock, random: systemRandom, createHasher: createSha256 },
        { bytesMax: 8 * 1024 * 1024, ownerOf: () => NULL_UUID },
      ),
    },
    { version: "0.0.0", runtime: "test", startedMs: 0, cloudUrl: null },
  );
  return { api, database, unitOfWork, rpcs, hear, changes, debugEvents, request: createRequest(api, () => null) };
}
