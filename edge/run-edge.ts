import { MIGRATIONS } from "../drizzle/edge.gen.ts";
import type { Task } from "../shared/core/lifecycle.ts";
import { runTasks } from "../shared/core/lifecycle.ts";
import type { Log } from "../shared/observe/log.ts";
import { createLog } from "../shared/observe/log.ts";
import type { Database } from "../shared/postgres/database.ts";
import { openExternalDatabase } from "../shared/postgres/external.ts";
import { startPostgresServer } from "../shared/postgres/server.ts";
import { writeLine, writeLog } from "../shared/runtime/env.ts";
import { listenForShutdown } from "../shared/runtime/signals.ts";
import { systemClock as clock } from "../shared/runtime/system-clock.ts";
import { systemRandom as random } from "../shared/runtime/system-random.ts";
import type { EdgeConfig } from "./config.ts";
import { createDeviceErrors } from "./devices/device-errors.ts";
import { createMqttServer } from "./devices/mqtt-server.ts";
import { ServerTimes } from "./devices/server-times.ts";
import { findPostgresDistribution } from "./runtime/postgres-distribution.ts";
import { listenTcp } from "./runtime/tcp-server.ts";
import { createDeviceData } from "./store/device-data.ts";
import type { EdgeStores } from "./store/edge-stores.ts";
import { openEdgeStores } from "./store/edge-stores.ts";
import { runMaintenance } from "./store/maintenance.ts";
import type { Link } from "./sync/link.ts";
import { createLink } from "./sync/link.ts";
import { createLinkStore } from "./sync/link-store.ts";
import { dialCloud } from "./sync/transport.ts";
import { EDGE_VERSION } from "./version.ts";

/**
 * The edge from start to stop, top down: database, stores, link, devices, HTTP. What was opened last is closed first, so that
 * devices are cut off before their store is, and the store before its database.
 */
export async function runEdge(config: EdgeConfig, warnings: readonly string[]): Promise<void> {
  const log = createLog({ level: config.logLevel, write: writeLog });
  for (const warning of warnings) log.warn("Setting needs a look", { warning });
  using shutdown = listenForShutdown();
  await using stack = new AsyncDisposableStack();

  const database = stack.use(await openDatabase(config, log, shutdown.drain));
  let link: Link | null = null;
  const stores = stack.use(
    await openEdgeStores({
      connection: database.connection,
      migrations: MIGRATIONS,
      clock,
      random,
      log,
      onOutbox: (lane) => link?.wake(lane),
    }),
  );
  link = createCloudLink(config, stores, log);

  const data = createDeviceData(stores);
  const times = new ServerTimes();
  const errors = createDeviceErrors(clock);
  const mqtt = createMqttServer({ clock, log, data, directory: stores.registry, events: stores.registry, errors, times });
  const mqttListener = stack.use(await listenTcp({ host: config.mqttHost, port: config.mqttPort, accept: (stream) => mqtt.accept(stream) }));

  const tasks: Record<string, Task> = {
    groupCommit: (signal) => stores.groupCommit.runLoop(signal),
    maintenance: (signal) => runMaintenance({ outbox: stores.outbox, clock, log, sentTelemetrySeq: () => link?.status().sentSeq.telemetry ?? 0 }, signal),
    mqtt: (signal) => mqtt.run(signal),
  };
  if (link !== null) tasks["link"] = link.run.bind(link);
  writeLine(JSON.stringify({ event: "ready", mqtt: `mqtt://${config.mqttHost}:${mqttListener.port}` }));
  await runTasks(tasks, shutdown.drain);
}

function openDatabase(config: EdgeConfig, log: Log, signal: AbortSignal): Promise<Database> {
  if (config.databaseUrl !== null) {
    return openExternalDatabase({ clock, log, random }, { url: config.databaseUrl.reveal(), exclusive: true });
  }
  const source = findPostgresDistribution();
  return startPostgresServer({ clock, log, source }, { dataDir: config.dataDir, profile: "edge", signal });
}

function createCloudLink(config: EdgeConfig, stores: EdgeStores, log: Log): Link | null {
  const { cloudUrl, edgeKey, edgeSecret, tlsCa } = config;
  if (cloudUrl === null || edgeKey === null || edgeSecret === null) return null;
  const { db, groupCommit, instance, outbox, registry } = stores;
  const address = { url: cloudUrl, edgeKey, edgeSecret: () => edgeSecret.reveal(), caPem: tlsCa ?? undefined };
  return createLink({
    storeId: instance.id,
    edgeVersion: EDGE_VERSION,
    store: createLinkStore({ db, outbox, groupCommit, clock, random, onEffects: (effects) => registry.publish(effects) }),
    dial: (signal) => dialCloud(address, { clock, signal }),
    clock,
    random,
    log,
  });
}
