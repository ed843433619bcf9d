import process from "node:process";
import { MIGRATIONS } from "../drizzle/cloud.gen.ts";
import { AppError, ERROR_CODES } from "../shared/core/errors.ts";
import { createSha256 } from "../shared/core/hash.ts";
import { createUuid, type Uuid } from "../shared/core/ids.ts";
import { runTasks } from "../shared/core/lifecycle.ts";
import { createToken } from "../shared/core/random.ts";
import { TokenBuckets } from "../shared/core/token-buckets.ts";
import { Turns } from "../shared/core/turns.ts";
import type { Change } from "../shared/entities/change.ts";
import { createNotificationJob, type NotificationJob } from "../shared/notifications/job.ts";
import { createNotificationSender } from "../shared/notifications/sender.ts";
import { createLog, type Log } from "../shared/observe/log.ts";
import { createMetrics, type Metrics } from "../shared/observe/metrics.ts";
import { databaseError } from "../shared/postgres/connect.ts";
import type { Database } from "../shared/postgres/database.ts";
import { openExternalDatabase } from "../shared/postgres/external.ts";
import { findPostgresPackage } from "../shared/postgres/package-source.ts";
import { startPostgresServer } from "../shared/postgres/server.ts";
import { createCallerScope } from "../shared/runtime/caller-scope.ts";
import { createChecksum } from "../shared/runtime/checksum.ts";
import { collectGarbage } from "../shared/runtime/collect.ts";
import { readArguments, readEnv, readTextFile, writeLine, writeLog } from "../shared/runtime/env.ts";
import { serveHttp } from "../shared/runtime/http-server.ts";
import { createTransports } from "../shared/runtime/notification-transports.ts";
import { createPasswordHasher } from "../shared/runtime/password.ts";
import { listenForShutdown } from "../shared/runtime/signals.ts";
import { systemClock as clock } from "../shared/runtime/system-clock.ts";
import { systemRandom as random } from "../shared/runtime/system-random.ts";
import { removeOldAudit } from "../shared/store/audit-store.ts";
import { keepBlobs, removeUnusedBlobs } from "../shared/store/blob-store.ts";
import { createContents, readNamedContents } from "../shared/store/blob-upload.ts";
import { createNotificationJobStore } from "../shared/store/notification-store.ts";
import { expireRpcs, removeOldRpcs } from "../shared/store/rpc-store.ts";
import type { Queryable } from "../shared/store/unit-of-work.ts";
import { createCloudApi } from "./api/cloud-api.ts";
import { describeSettings, readCloudConfig, type CloudConfig, type CloudConfigResult } from "./config.ts";
import { runAuditUpkeep } from "./jobs/audit-upkeep.ts";
import { runBlobUpkeep } from "./jobs/blob-upkeep.ts";
import { createRpcCalls } from "./jobs/rpc-calls.ts";
import { runRpcUpkeep } from "./jobs/rpc-upkeep.ts";
import { runSecretGrace } from "./jobs/secret-grace.ts";
import { createTelemetryUpkeep } from "./jobs/telemetry-upkeep.ts";
import { startReplica, type Replica } from "./replica.ts";
import { remoteAddressOf, startRpcServer } from "./runtime/rpc-server.ts";
import { createWebPages } from "./runtime/web-pages.ts";
import { openCloudStores, type CloudStores } from "./store/cloud-stores.ts";
import { countFailedDownlinks } from "./store/downlink-replay.ts";
import { hashEdgeSecret } from "./store/edge-store.ts";
import { createRpcCallStore } from "./store/rpc-call-store.ts";
import { endSessionsOfOldSecrets } from "./store/secret-grace.ts";
import {
  createFirstSystemAdmin,
  createFirstTenant,
  ensureRootChainsOfAll,
  hasSystemAdmin,
  hasTenant,
} from "./store/tenant-store.ts";
import { createEdgeSignals } from "./sync/edge-signals.ts";
import { createLiveSessions, type LiveSessions } from "./sync/live-sessions.ts";
import { createLiveWords } from "./sync/live-words.ts";
import { registerSyncService } from "./sync/service.ts";
import { createSessionStore } from "./sync/session-store.ts";
import { CLOUD_VERSION } from "./version.ts";
import { watchEdges } from "./watch-edges.ts";

/** What the server takes at all: the routes have limits of their own, the largest for files in a form. */
const BODY_BYTES_MIN = 64 * 1024 * 1024;
const FORM_BYTES = 1024 * 1024;
/** How long requests and sessions may go on after the first SIGTERM. */
const DRAIN_MS = 5_000;
/** How long what was said last to edges may take on its way. */
const FAREWELL_MS = 1_000;
/** When edges come back after a stop if there is nobody else to go to, so that a restart finds its port free. */
const RETRY_AFTER_MS = 1_000;
/** Digests that are read or compared side by side, over all edges. */
const DIGESTS_AT_ONCE = 4;
/** What an edge may send beyond the last acknowledgement. */
const UPLINK_WINDOW = { bytes: 16 * 1024 * 1024, items: 200_000 };

/** The cloud from start to stop, top down. What was opened last is closed first. */
async function runCloud({ config, warnings }: CloudConfigResult): Promise<void> {
  const log = createLog({ level: config.logLevel, write: writeLog });
  for (const warning of warnings) log.warn(warning);
  using shutdown = listenForShutdown();
  await using stack = new AsyncDisposableStack();

  const database = stack.use(await openDatabase(config, log, shutdown.drain));
  const metrics = createMetrics();
  const live = createLiveSessions();
  const replicaId = createUuid(clock, random);
  const notify = (payload: string): Promise<void> => replica.notify(payload);
  const signals = createEdgeSignals({ replicaId, live, notify, clock, metrics, log });
  const onDownlinks = (edgeIds: readonly Uuid[]): void => signals.wake(edgeIds);
  const callers = createCallerScope();
  const stores = stack.use(
    await openCloudStores({
      database,
      migrations: MIGRATIONS,
      clock,
      random,
      log,
      onDownlinks,
      currentCaller: () => callers.current(),
    }),
  );
  const { db, instance, sendDb } = stores;
  await startFirst(config, stores);
  const keep = (nowMs: number) => stores.keepTelemetryPartitions({ nowMs, keptMs: config.telemetryKeptMs });
  const telemetryUpkeep = createTelemetryUpkeep({ keep, clock, log });
  await telemetryUpkeep.start();
  const words = createLiveWords({
    replicaId,
    watched: () => api.live.watched(),
    hear: (ids) => api.live.hear(ids),
    notify,
    clock,
    log,
  });
  const calls = createRpcCalls({ store: createRpcCallStore({ ...stores, clock }), clock, log });
  const tls = config.tls === null ? {} : { tls: config.tls };
  const api = createCloudApi({
    ...stores,
    clock,
    random,
    log,
    metrics,
    openScriptSandbox: async (inputs) =>
      (await import("../shared/runtime/script-sandbox.ts")).openScriptSandbox(inputs),
    passwords: createPasswordHasher(),
    jwtSecret: instance.jwtSecret,
    sessions: { sentSeq: (edgeId) => live.sentSeq(edgeId), end: (ending) => signals.end(ending) },
    tenantLimits: config.tenantLimits,
    callDevice: (record) => calls.call(record),
    elsewhere: words,
    asCaller: (caller, work) => callers.run(caller, work),
    secretGraceMs: config.secretGraceMs,
    claimCodeLifeMs: config.claimCodeLifeMs,
    // Asked for when edges can dial already.
    rpcAddress: () => ({ protocol: config.tls === null ? "http:" : "https:", port: Number(new URL(rpc.url).port) }),
    contents: createContents(
      { db, clock, random, createHasher: createSha256 },
      { bytesMax: config.contentBytesMax, ownerOf: (tenantId) => tenantId },
    ),
    createChecksum,
    notReady: () => (shutdown.drain.aborted ? Promise.resolve("The cloud stops") : stores.notReady()),
    toAppError: databaseError,
    version: CLOUD_VERSION,
    pages: createWebPages(),
  });
  const replica = stack.use(
    await startReplica(
      { db, connection: database.connection, live, signals, words, clock, random, log, metrics },
      { id: replicaId, isAlone: config.databaseUrl === null },
    ),
  );
  describeProcess(metrics, live, replica);
  describeDownlinks(metrics, db);

  const http = serveHttp({
    ...config.http,
    ...tls,
    bodyBytesMax: Math.max(BODY_BYTES_MIN, config.contentBytesMax + FORM_BYTES),
    fetch: (request, connection) => api.fetch(request, connection),
    openSocket: (request) => api.live.openSocket(request),
  });
  stack.defer(() => http.close(DRAIN_MS));
  stack.defer(() => api.live.close());

  const cloudId = instance.id;
  const { ends } = replica;
  const cloudVersion = CLOUD_VERSION;
  const storeDeps = {
    db,
    sendDb,
    cloudId,
    cloudVersion,
    replicaId,
    hashEdgeSecret,
    onDownlinks,
    ends,
    clock,
    random,
    log,
  };
  const blobs = { createHasher: createSha256, blobBytesMax: config.contentBytesMax };
  const onTelemetry = (entityIds: readonly Uuid[]): void => api.live.wake(entityIds);
  const onEffects = (effects: readonly Change[]): void => {
    calls.note(effects);
    api.live.note(effects);
  };
  const store = createSessionStore({ ...storeDeps, ...blobs, collectGarbage, onTelemetry, onEffects });
  const watch = watchEdges({ db, live, metrics, clock, log });
  const { reports, traffic } = watch;
  const turns = new Turns(DIGESTS_AT_ONCE);
  const edgeItems = config.edgeLimits === null ? null : new TokenBuckets(clock, config.edgeLimits);
  const settings = { cloudId, cloudVersion, window: UPLINK_WINDOW, roundsEveryMs: config.roundsEveryMs, edgeItems };
  const parts = { store, live, signals, traffic, reports, turns, remoteAddress: remoteAddressOf };
  const service = { ...parts, ...settings, clock, log };
  const rpc = await startRpcServer({ ...config.rpc, ...tls, routes: (router) => registerSyncService(router, service) });
  stack.defer(async () => {
    rpc.stopListening();
    await live.drain("The cloud process stops", replica.others() > 0 ? 0 : RETRY_AFTER_MS);
    await rpc.close(FAREWELL_MS);
  });

  writeLine(JSON.stringify({ event: "ready", http: http.url, rpc: rpc.url }));
  log.info("Cloud is ready", { http: http.url, rpc: rpc.url, replicaId, version: CLOUD_VERSION });
  const removeUnused = async (nowMs: number): Promise<number> => {
    await keepBlobs(db, await readNamedContents(db), nowMs);
    return removeUnusedBlobs(db, nowMs);
  };
  const blobUpkeep = (signal: AbortSignal): Promise<void> => runBlobUpkeep({ removeUnused, clock, log }, signal);
  const liveData = (signal: AbortSignal): Promise<void> => api.live.run(signal);
  const auditDeps = { removeOld: (beforeMs: number) => removeOldAudit(db, beforeMs), keptMs: config.auditKeptMs };
  const auditUpkeep = (signal: AbortSignal): Promise<void> => runAuditUpkeep({ ...auditDeps, clock, log }, signal);
  const endSessions = (nowMs: number) => endSessionsOfOldSecrets(db, nowMs);
  const secretGrace = (signal: AbortSignal): Promise<void> =>
    runSecretGrace({ endSessions, signals, clock, log }, signal);
  const notifications = createNotifications(config, { ...stores, log });
  const upkeep = {
    notifications: (signal: AbortSignal) => notifications.run(signal),
    liveData,
    blobUpkeep,
    auditUpkeep,
    secretGrace,
    rpcUpkeep: (signal: AbortSignal) =>
      runRpcUpkeep(
        {
          expire: (nowMs) => stores.unitOfWork.run((tx) => expireRpcs(tx, nowMs)),
          removeOld: (nowMs) => removeOldRpcs(db, nowMs),
          clock,
          log,
        },
        signal,
      ),
    telemetryUpkeep: (signal: AbortSignal) => telemetryUpkeep.run(signal),
  };
  await runTasks({ ...replica.tasks, ...watch.tasks, ...upkeep }, shutdown.drain);
  log.info("Cloud stops: requests under way may end");
}

function createNotifications(
  { mailFrom, smtpUrl }: CloudConfig,
  { db, log }: Pick<CloudStores, "db"> & { readonly log: Log },
): NotificationJob {
  const send = createNotificationSender(createTransports({ mailFrom, smtpUrl }), { clock });
  return createNotificationJob({ store: createNotificationJobStore(db), send, clock, random, log });
}

function describeProcess(metrics: Metrics, live: LiveSessions, replica: Replica): void {
  metrics.gauge("skerry_build_info", ["version"]).set({ version: CLOUD_VERSION }, 1);
  const connected = metrics.gauge("skerry_edges_connected");
  const replicas = metrics.gauge("skerry_cloud_replicas");
  metrics.onRender(() => {
    connected.set(live.held().length);
    replicas.set(1 + replica.others());
  });
}

function describeDownlinks(metrics: Metrics, db: Queryable): void {
  const failed = metrics.gauge("skerry_downlinks_failed", ["tenant"]);
  metrics.onRender(async () => {
    // A database that is down must not hide the other metrics.
    const counts = await countFailedDownlinks(db).catch(() => new Map<string, number>());
    failed.reset();
    for (const [tenant, count] of counts) failed.set({ tenant }, count);
  });
}

function openDatabase(config: CloudConfig, log: Log, signal: AbortSignal): Promise<Database> {
  if (config.databaseUrl !== null) {
    return openExternalDatabase({ clock, log, random }, { url: config.databaseUrl.reveal(), exclusive: false });
  }
  const source = findPostgresPackage();
  return startPostgresServer({ clock, log, source }, { dataDir: config.dataDir, profile: "cloud", signal });
}

/** The first start makes a tenant with its administrator, and one of the system; passwords made up for them are shown this once. */
async function startFirst(config: CloudConfig, { db }: CloudStores): Promise<void> {
  const made: { readonly user: string; readonly password: string }[] = [];
  const hash = (password: string): Promise<string> => createPasswordHasher().hash(password);
  if (!(await hasTenant(db))) {
    const password = config.adminPassword?.reveal() ?? createToken(random, 16);
    const first = { adminEmail: config.adminEmail, adminPasswordHash: await hash(password) };
    const isOurs = await createFirstTenant(db, { clock, random }, first);
    if (isOurs && config.adminPassword === null) made.push({ user: config.adminEmail, password });
  }
  await ensureRootChainsOfAll(db, { clock, random });
  if (!(await hasSystemAdmin(db))) {
    const password = config.sysadminPassword?.reveal() ?? createToken(random, 16);
    const first = { email: config.sysadminEmail, passwordHash: await hash(password) };
    const isOurs = await createFirstSystemAdmin(db, { clock, random }, first);
    if (isOurs && config.sysadminPassword === null) made.push({ user: config.sysadminEmail, password });
  }
  if (made.length === 0) return;
  writeLine("");
  writeLine("  Skerry cloud: first start. Sign in with");
  for (const { user, password } of made) {
    writeLine("");
    writeLine(`      user      ${user}`);
    writeLine(`      password  ${password}`);
  }
  writeLine("");
  writeLine("  Passwords are shown this once; change them by POST /api/auth/changePassword.");
  writeLine("");
}

/** 0: stopped when asked to. 1: failed. 2: wrong settings. */
async function main(): Promise<number> {
  const argv = readArguments();
  if (argv.includes("--help")) {
    writeLine(describeSettings());
    return 0;
  }
  if (argv.includes("--version")) {
    writeLine(CLOUD_VERSION);
    return 0;
  }
  try {
    await runCloud(readCloudConfig({ argv, env: readEnv(), readFile: readTextFile }));
    return 0;
  } catch (thrown) {
    const error = AppError.from(thrown);
    writeLog(`${error.code}: ${error.message}\n${ERROR_CODES[error.code]}\n`);
    if (error.code === "INTERNAL" && error.cause instanceof Error) writeLog(`${error.cause.stack ?? ""}\n`);
    return error.code === "CONFIG_INVALID" ? 2 : 1;
  }
}

if (import.meta.main) process.exitCode = await main();
