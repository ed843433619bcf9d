import { MIGRATIONS } from "../drizzle/edge.gen.ts";
import { shareAnswer } from "../shared/core/deferred.ts";
import type { AppError } from "../shared/core/errors.ts";
import { createSha256 } from "../shared/core/hash.ts";
import { createUuid, type Uuid } from "../shared/core/ids.ts";
import { runTasks, untilAborted } from "../shared/core/lifecycle.ts";
import { parseRpcRecord } from "../shared/entities/rpc.ts";
import type { Log } from "../shared/observe/log.ts";
import { createLog } from "../shared/observe/log.ts";
import type { Metrics } from "../shared/observe/metrics.ts";
import { createMetrics } from "../shared/observe/metrics.ts";
import { databaseError } from "../shared/postgres/connect.ts";
import type { Database } from "../shared/postgres/database.ts";
import { openExternalDatabase } from "../shared/postgres/external.ts";
import { startPostgresServer } from "../shared/postgres/server.ts";
import { errorResponse } from "../shared/rest/errors.ts";
import { createCallerScope } from "../shared/runtime/caller-scope.ts";
import { collectGarbage } from "../shared/runtime/collect.ts";
import { writeLine, writeLog } from "../shared/runtime/env.ts";
import { reachableHost, serveHttp } from "../shared/runtime/http-server.ts";
import { createPasswordHasher } from "../shared/runtime/password.ts";
import type { OpenScriptSandbox } from "../shared/runtime/script-sandbox.ts";
import { listenForShutdown } from "../shared/runtime/signals.ts";
import { systemClock as clock } from "../shared/runtime/system-clock.ts";
import { systemRandom as random } from "../shared/runtime/system-random.ts";
import { withCaller, withCallerWork } from "../shared/store/audit-store.ts";
import { createContents } from "../shared/store/blob-upload.ts";
import type { EdgeSettings } from "../shared/sync/edge-settings.ts";
import { UPLINK_LANES, type UplinkLane } from "../shared/sync/lanes.ts";
import { createEdgeApi, type EdgeApi } from "./api/edge-api.ts";
import type { LocalAccessKeeper } from "./api/local-access.ts";
import { createLocalAccess } from "./api/local-access.ts";
import type { OutboxState, StatusSources } from "./api/status.ts";
import type { EdgeConfig } from "./config.ts";
import { ActivityWatch } from "./devices/activity.ts";
import { createDeviceErrors } from "./devices/device-errors.ts";
import { createDeviceQuestions } from "./devices/device-questions.ts";
import { createDeviceRpcs } from "./devices/device-rpcs.ts";
import { createDeviceHttpApi } from "./devices/http-device-api.ts";
import type { MqttServer } from "./devices/mqtt-server.ts";
import { createMqttServer } from "./devices/mqtt-server.ts";
import { openMqttSocket } from "./devices/mqtt-websocket.ts";
import type { DeviceDirectory } from "./devices/ports.ts";
import { answerSessionLimits, parseRateLimit, RateLimits } from "./devices/rate-limits.ts";
import { ServerTimes } from "./devices/server-times.ts";
import { SourceLimits } from "./devices/source-limits.ts";
import { parseDiskQuota, walMaxMb } from "./disk-quota.ts";
import { registerEdgeMetrics } from "./edge-metrics.ts";
import { releaseMemoryWhenQuiet } from "./release-memory.ts";
import { listenCoap } from "./run-coap.ts";
import type { DiskWatch } from "./run-maintenance.ts";
import { createDiskState, openDiskGuard, openDiskWatch, runEdgeMaintenance } from "./run-maintenance.ts";
import { createMemoryRelease, usedProcessorMs } from "./runtime/memory.ts";
import { findPostgresDistribution } from "./runtime/postgres-distribution.ts";
import { privateFiles } from "./runtime/private-files.ts";
import { RUNTIME_NAME } from "./runtime/runtime-name.ts";
import { listenTcp, type TcpServer } from "./runtime/tcp-server.ts";
import { findWebPages } from "./runtime/web-pages.ts";
import { createActivityStore, openInactivityTimeouts } from "./store/activity-store.ts";
import { runBlobUpkeep } from "./store/blob-upkeep.ts";
import { createCertificateDevices } from "./store/certificate-devices.ts";
import { createCloudEvents, readOutboxState } from "./store/cloud-event-list.ts";
import { createDeviceData } from "./store/device-data.ts";
import { createDevicePackages } from "./store/device-packages.ts";
import { createDeviceRpcStore } from "./store/device-rpc-store.ts";
import type { EdgeStores } from "./store/edge-stores.ts";
import { EDGE_CONTENTS, openEdgeStores } from "./store/edge-stores.ts";
import { ensureLocalAdmin } from "./store/first-start.ts";
import { createGatewayDevices } from "./store/gateway-devices.ts";
import { openMqttProfiles } from "./store/mqtt-profiles.ts";
import { createMqttSessions } from "./store/mqtt-sessions.ts";
import { createPackageAnnouncer } from "./store/package-announcer.ts";
import { createProvisioning } from "./store/provisioning.ts";
import { openRateSettings, type RateSettingsStore } from "./store/rate-settings.ts";
import { readRootChainId } from "./store/rule-chain-store.ts";
import { createBackfill } from "./sync/backfill.ts";
import { createLinkStore } from "./sync/link-store.ts";
import type { Link, LinkStatus } from "./sync/link.ts";
import { createLink } from "./sync/link.ts";
import type { SyncMonitor } from "./sync/sync-monitor.ts";
import { createSyncMonitor } from "./sync/sync-monitor.ts";
import { dialCloud } from "./sync/transport.ts";
import { EDGE_VERSION } from "./version.ts";

/** Requests under way may end within this time after the first SIGTERM. */
const DRAIN_MS = 5_000;

/**
 * The edge from start to stop, top down: database, stores, link, devices, HTTP. What was opened last is closed first, so that
 * devices are cut off before their store is, and the store before its database.
 */
export async function runEdge(config: EdgeConfig, warnings: readonly string[]): Promise<void> {
  const startedMs = clock.nowMs();
  const log = createLog({ level: config.logLevel, write: writeLog });
  for (const warning of warnings) log.warn("Setting needs a look", { warning });
  using shutdown = listenForShutdown();
  await using stack = new AsyncDisposableStack();

  const disk = await openDiskGuard(config, log);
  const database = stack.use(await openDatabase(config, log, shutdown.drain));
  let link: Link | null = null;
  const onOutbox = (lane: UplinkLane): void => link?.wake(lane);
  const watch = await openDiskWatch(config, disk);
  const blobBytesMax = config.contentMaxMib * 1024 * 1024;
  const storeDeps = {
    database,
    migrations: MIGRATIONS,
    clock,
    random,
    createHasher: createSha256,
    blobBytesMax,
    log,
    openScriptSandbox,
    onOutbox,
    notifications: { hasMail: config.smtpUrl !== null, offlineMs: config.notifyAfterS * 1_000 },
  };
  const stores = stack.use(await openEdgeStores({ ...storeDeps, ...(disk === null ? {} : { disk }) }));
  await showFirstPassword(config, stores);
  const readOutbox = shareAnswer(() => readOutboxState(stores, (lane) => stores.groupCommit.nextSeq(lane)));
  const monitor = createSyncMonitor(
    {
      link: () => link?.status() ?? null,
      outbox: readOutbox,
      written: () => UPLINK_LANES.map((lane) => stores.groupCommit.nextSeq(lane)).join(" "),
      isDatabaseReady: () => database.status().state === "ready",
      report: (report) => link?.report(report),
      thinned: () => stores.thinning.counts(),
      quota: () => (watch?.guard.isFull === true ? "full" : "ok"),
      clock,
    },
    config,
  );
  const metrics = createMetrics();
  const rateSettings = await openRateSettings({ ...stores, log });
  const onSettings = (settings: EdgeSettings): void => {
    rateSettings.noteSettings(settings);
    stores.ruleChains.noteSettings();
    stores.notifications.noteSettings();
  };
  const onLinkChange = (): void => {
    stores.notifications.noteLink(link?.status().state === "live");
    monitor.wake();
  };
  link = createCloudLink({ config, stores, log, metrics, onChange: onLinkChange, onSettings });

  const devices = { ...(await createDeviceDeps(stores, { config, watch, log, rateSettings })), log };
  const packages = createPackageAnnouncer({ ...stores, clock, log });
  stack.defer(stores.registry.watchChanges((changes) => packages.note(changes)));
  stores.ruleChains.connect({
    callDevice: (record) => devices.rpcs.call(record),
    callHttp: async (call, signal) => (await import("./runtime/http-call.ts")).callHttp(call, signal),
    publishMqtt: async (publication, signal) =>
      (await import("./runtime/mqtt-call.ts")).publishMqtt(publication, signal),
  });
  const backfill = createBackfill({ ...stores, clock, log });
  stack.defer(stores.registry.watchChanges((changes) => backfill.note(changes)));
  const mqtt = createMqttServer(devices);
  const sources = createStatusSources({
    config,
    database,
    stores,
    watch,
    link: () => link?.status() ?? null,
    mqtt,
    monitor,
    readOutbox,
  });
  const local = createLocalAccess(
    { files: privateFiles, random, readTenantId: async () => (await stores.readSite()).tenantId },
    config.dataDir,
  );
  const api = createApi({ config, database, stores, watch, log, metrics, devices, mqtt, sources, local, startedMs });

  const mqttListener = stack.use(
    await listenTcp({ host: config.mqttHost, port: config.mqttPort, accept: (stream) => mqtt.accept(stream) }),
  );
  const mqttTls = config.tls === null ? null : stack.use(await listenMqttTls(config, config.tls, mqtt));
  const { coapHost: host, coapPort } = config;
  const coap =
    coapPort === "off" ? null : stack.use(await listenCoap({ ...devices, random }, { host, port: coapPort }));
  const http = serveHttp({
    host: config.httpHost,
    port: config.httpPort,
    fetch: (request, connection) => api.fetch(request, connection),
    openSocket: (request) => openMqttSocket(request, mqtt.accept) ?? api.live.openSocket(request),
  });
  stack.defer(() => http.close(DRAIN_MS));
  stack.defer(() => api.live.close());
  local.open(http.url);
  stack.defer(() => local.close());

  const mqttUrl = `mqtt://${reachableHost(config.mqttHost)}:${mqttListener.port}`;
  const addresses = {
    mqtt: mqttUrl,
    ...(mqttTls === null ? {} : { mqtts: mqttTls.url }),
    ...(coap === null ? {} : { coap: coap.url }),
    http: http.url,
  };
  writeLine(JSON.stringify({ event: "ready", ...addresses }));
  log.info("Edge is ready", {
    ...addresses,
    version: EDGE_VERSION,
    startMs: Math.round(clock.nowMs() - startedMs),
  });
  await runTasks(
    {
      groupCommit: (signal) => stores.groupCommit.runLoop(signal),
      maintenance: (signal) => {
        const sentTelemetrySeq = (): number => link?.status().sentSeq.telemetry ?? 0;
        return runEdgeMaintenance({ config, stores, watch, sentTelemetrySeq, clock, log }, signal);
      },
      blobUpkeep: (signal) => runBlobUpkeep({ sql: stores.sql, clock, log }, signal),
      mqtt: (signal) => mqtt.run(signal),
      packages: (signal) => packages.run(signal),
      ruleChains: (signal) => stores.ruleChains.run(stores.groupCommit, signal),
      alarmRules: (signal) => stores.alarmRules.run(stores.groupCommit, signal),
      backfill: (signal) => backfill.run(signal),
      notifications: (signal) => runNotifications(stores, { config, log }, signal),
      thinning: (signal) => stores.thinning.run(stores.groupCommit, signal),
      activity: (signal) => devices.activity.run(signal),
      rpcs: (signal) => devices.rpcs.run(signal),
      coap: (signal) => (coap === null ? untilAborted(signal) : coap.run(signal)),
      liveData: (signal) => api.live.run(signal),
      syncMonitor: (signal) => (link === null ? untilAborted(signal) : monitor.run(signal)),
      link: (signal) => (link === null ? untilAborted(signal) : link.run(signal)),
      memory: (signal) => releaseMemoryWhenQuiet({ clock, usedProcessorMs, ...createMemoryRelease() }, signal),
    },
    shutdown.drain,
  );
  log.info("Edge stops");
}

/** Few edges tell of alarms themselves. */
async function runNotifications(
  { db, notifications }: EdgeStores,
  { config, log }: { readonly config: EdgeConfig; readonly log: Log },
  signal: AbortSignal,
): Promise<void> {
  const send = async (abort: AbortSignal): Promise<void> => {
    const { createEdgeNotificationJob } = await import("./run-notifications.ts");
    await createEdgeNotificationJob(config, { db, clock, random, log }).run(abort);
  };
  await notifications.run(send, signal);
}

async function listenMqttTls(
  { mqttHost: host, mqttTlsPort }: EdgeConfig,
  tls: { readonly cert: string; readonly key: string },
  { accept }: MqttServer,
): Promise<TcpServer & { readonly url: string }> {
  const listener = await listenTcp({ host, port: mqttTlsPort, tls, accept });
  return { ...listener, url: `mqtts://${reachableHost(host)}:${listener.port}` };
}

/** Few sites have scripts. */
const openScriptSandbox: OpenScriptSandbox = async (inputs) =>
  (await import("../shared/runtime/script-sandbox.ts")).openScriptSandbox(inputs);

/** The first start makes an administrator; a password made up for it is shown this once. */
async function showFirstPassword(config: EdgeConfig, stores: EdgeStores): Promise<void> {
  const { tenantId } = await stores.readSite();
  const admin = { tenantId, email: config.adminEmail, password: config.adminPassword?.reveal() ?? null };
  const password = await ensureLocalAdmin(stores.db, { clock, random, passwords: createPasswordHasher() }, admin);
  if (password === null) return;
  for (const line of [
    "",
    "  Skerry edge: first start. Sign in with",
    "",
    `      user      ${config.adminEmail}`,
    `      password  ${password}`,
    "",
  ]) {
    writeLine(line);
  }
  writeLine("  The password is shown this once; change it by POST /api/auth/changePassword.\n");
}

interface DeviceParts {
  readonly config: EdgeConfig;
  readonly watch: DiskWatch | null;
  readonly log: Log;
  readonly rateSettings: RateSettingsStore;
}

async function createDeviceDeps(stores: EdgeStores, { config, watch, log, rateSettings }: DeviceParts) {
  const { registry } = stores;
  const errors = createDeviceErrors(clock);
  const errorAnswer = (error: AppError): Response => errorResponse(error, clock.nowMs());
  const rpcStore = createDeviceRpcStore({ ...stores, clock });
  const rpcs = createDeviceRpcs({ store: rpcStore, clock, log });
  registry.subscribeRpcs(({ body, leftMs }) => rpcs.note(parseRpcRecord(body), leftMs));
  const timeouts = await openInactivityTimeouts({ ...stores, log });
  const profiles = await openMqttProfiles({ ...stores, log });
  const { failedLoginsPerAddress, mqttConnectionsPerAddress } = config;
  const sources = new SourceLimits(
    { clock, log },
    {
      connectionsMax: mqttConnectionsPerAddress === "off" ? undefined : mqttConnectionsPerAddress,
      failedLogins: parseRateLimit(failedLoginsPerAddress)[0],
    },
  );
  registry.watchChanges((changes) => {
    for (const change of changes) {
      rateSettings.note(change);
      timeouts.note(change);
      profiles.note(change);
    }
  });
  const activity = new ActivityWatch({
    clock,
    log,
    store: createActivityStore(stores),
    timeoutMsOf: (device) => timeouts.of(device),
  });
  const rates = new RateLimits(clock, (device) => rateSettings.of(device));
  const data = createDeviceData({ ...stores, clock, refusal: () => watch?.guard.refusal() ?? null });
  const newcomers = createCertificateDevices({ ...stores, clock, random });
  return {
    clock,
    data,
    directory: {
      ...registry,
      ...createGatewayDevices({ ...stores, clock, random }),
      findByCertificate: async (chain) =>
        (await registry.findByCertificate(chain)) ?? newcomers.findByCertificate(chain),
    } satisfies DeviceDirectory,
    packages: createDevicePackages(stores),
    provisioning: createProvisioning({ ...stores, clock, random }),
    events: registry,
    errors: {
      ...errors,
      note: (deviceId: Uuid, reason: string) => {
        errors.note(deviceId, reason);
        activity.failed({ deviceId }, reason);
      },
    },
    times: new ServerTimes(),
    rpcs,
    questions: createDeviceQuestions(clock, [answerSessionLimits(rates), stores.ruleChains]),
    rates,
    activity,
    profiles,
    sources,
    keptSessions: createMqttSessions(stores.db),
    errorResponse: errorAnswer,
  };
}

interface StatusParts {
  readonly config: EdgeConfig;
  readonly database: Database;
  readonly stores: EdgeStores;
  readonly watch: DiskWatch | null;
  readonly link: () => LinkStatus | null;
  readonly mqtt: MqttServer;
  readonly monitor: SyncMonitor;
  readonly readOutbox: () => Promise<OutboxState>;
}

function createStatusSources(parts: StatusParts): StatusSources {
  const { config, database, stores, watch, readOutbox, link, mqtt, monitor } = parts;
  return {
    link,
    sync: () => monitor.observe(),
    outbox: readOutbox,
    database: () => {
      const { kind, state, lastError } = database.status();
      const reason =
        lastError === undefined || state === "ready" ? null : { code: lastError.code, text: lastError.message };
      return { kind, state: state === "ready" || state === "starting" ? state : "down", reason, version: null };
    },
    disk: createDiskState(config, { stores, watch, clock }),
    mqttConnections: () => mqtt.sessions,
    ruleNodes: () => stores.ruleChains.nodes(),
    thinned: () => stores.thinning.counts(),
  };
}

interface ApiParts extends Omit<StatusParts, "link" | "monitor" | "readOutbox"> {
  readonly log: Log;
  readonly metrics: Metrics;
  readonly devices: Awaited<ReturnType<typeof createDeviceDeps>>;
  readonly sources: StatusSources;
  readonly local: LocalAccessKeeper;
  readonly startedMs: number;
}

function createApi(parts: ApiParts): EdgeApi {
  const { config, database, stores, log, metrics, devices, mqtt, sources, local, startedMs } = parts;
  registerEdgeMetrics({ metrics, mqtt, sources, version: EDGE_VERSION });
  const callers = createCallerScope();
  const calling = { clock, current: () => callers.current() };
  return createEdgeApi(
    {
      db: withCaller(stores.db, calling),
      unitOfWork: withCallerWork(stores.groupCommit, calling),
      asCaller: (caller, work) => callers.run(caller, work),
      saveTelemetry: (records) => stores.groupCommit.saveTelemetry(records),
      settleLatest: () => stores.groupCommit.settleLatest(),
      clock,
      random,
      log,
      metrics,
      openScriptSandbox,
      passwords: createPasswordHasher(),
      jwtSecret: stores.instance.jwtSecret,
      localAuthenticator: local.authenticator,
      events: createCloudEvents(stores.sql),
      parked: stores.parked,
      ruleDebug: {
        list: (id) => stores.ruleChains.debugEvents(id),
        forget: (id) => stores.ruleChains.forgetDebugEvents(id),
      },
      sources,
      readSite: () => stores.readSite(),
      readRootChainId: () => readRootChainId(stores.db),
      routingKey: config.edgeKey,
      notReady: () => Promise.resolve(database.status().state === "ready" ? null : "The database does not answer"),
      toAppError: databaseError,
      callDevice: (record) => devices.rpcs.call(record),
      deviceApi: createDeviceHttpApi(devices),
      pages: findWebPages(),
      deviceAccess: ({ hostname: host, origin: httpOrigin }) => ({
        host,
        httpOrigin,
        mqttPort: config.mqttPort,
        mqttsPort: config.tls === null ? null : config.mqttTlsPort,
        coapPort: config.coapPort === "off" ? null : config.coapPort,
      }),
      contents: createContents(
        { db: stores.db, clock, random, createHasher: createSha256 },
        { bytesMax: config.contentMaxMib * 1024 * 1024, ownerOf: () => EDGE_CONTENTS },
      ),
    },
    { version: EDGE_VERSION, runtime: RUNTIME_NAME, startedMs, cloudUrl: config.cloudUrl },
  );
}

function openDatabase(config: EdgeConfig, log: Log, signal: AbortSignal): Promise<Database> {
  if (config.databaseUrl !== null) {
    return openExternalDatabase({ clock, log, random }, { url: config.databaseUrl.reveal(), exclusive: true });
  }
  const source = findPostgresDistribution();
  const quota = parseDiskQuota(config.diskQuota);
  const options = { dataDir: config.dataDir, profile: "edge", signal } as const;
  return startPostgresServer(
    { clock, log, source },
    { ...options, walMaxMb: quota === undefined ? undefined : walMaxMb(quota) },
  );
}

interface LinkParts {
  readonly config: EdgeConfig;
  readonly stores: EdgeStores;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly onChange: () => void;
  readonly onSettings: (settings: EdgeSettings) => void;
}

function createCloudLink({ config, stores, log, metrics, onChange, onSettings }: LinkParts): Link | null {
  const { cloudUrl, edgeKey, edgeSecret, tlsCa } = config;
  if (cloudUrl === null || edgeKey === null || edgeSecret === null) return null;
  const { blobs, db, groupCommit, outbox, parked, registry } = stores;
  const address = { url: cloudUrl, edgeKey, edgeSecret: () => edgeSecret.reveal(), caPem: tlsCa ?? undefined };
  return createLink({
    machineId: createUuid(clock, random),
    edgeVersion: EDGE_VERSION,
    backlogOrder: config.backlogOrder,
    store: createLinkStore({
      db,
      outbox,
      parked,
      blobs,
      groupCommit,
      edgeVersion: EDGE_VERSION,
      clock,
      random,
      metrics,
      collectGarbage,
      onEffects: (effects) => registry.publish(effects),
      onSettings,
    }),
    onChange,
    dial: (signal) => dialCloud(address, { clock, signal }),
    clock,
    random,
    log,
  });
}
