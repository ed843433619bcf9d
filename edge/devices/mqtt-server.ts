import type { Clock } from "../../shared/core/clock.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { Log } from "../../shared/observe/log.ts";
import type { DeviceActivity } from "./activity.ts";
import type { ByteStream, ByteStreamHandler } from "./byte-stream.ts";
import type { DeviceErrors } from "./device-errors.ts";
import { TelemetryIntake } from "./device-session.ts";
import { DEFAULT_KEPT_LIMITS, type KeptLimits, KeptSessions } from "./kept-sessions.ts";
import { MqttConnection, type MqttConnectionHost } from "./mqtt-connection.ts";
import type { KeptSessionStore } from "./mqtt-kept.ts";
import { createMqttCounters, DEFAULT_MQTT_LIMITS, type MqttCounters, type MqttLimits } from "./mqtt-limits.ts";
import type { ConnectRefusal } from "./mqtt-reasons.ts";
import { allMqttTopics } from "./mqtt-topics/list.ts";
import { provisioningTopics } from "./mqtt-topics/provisioning.ts";
import { publishWill } from "./mqtt-wills.ts";
import type { MqttProfiles } from "./payloads.ts";
import type {
  AuthenticatedDevice,
  DeviceData,
  DeviceDirectory,
  DeviceEvent,
  DeviceEvents,
  DevicePackages,
  DeviceProvisioning,
} from "./ports.ts";
import type { RateLimits } from "./rate-limits.ts";
import type { DeviceQuestions, DeviceRpcs } from "./rpc-ports.ts";
import type { ServerTimes } from "./server-times.ts";
import type { SourceLimits } from "./source-limits.ts";

export interface MqttServerDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly directory: DeviceDirectory;
  readonly data: DeviceData;
  readonly events: DeviceEvents;
  readonly packages: DevicePackages;
  readonly provisioning: DeviceProvisioning;
  readonly errors: DeviceErrors;
  /** Shared with the other protocols of the edge. */
  readonly times: ServerTimes;
  readonly rates: RateLimits;
  readonly rpcs: DeviceRpcs;
  readonly questions: DeviceQuestions;
  readonly activity: DeviceActivity;
  readonly profiles: MqttProfiles;
  readonly sources: SourceLimits;
  /** Sessions that outlive their connection. */
  readonly keptSessions: KeptSessionStore;
}

export interface MqttServerOptions extends Partial<MqttLimits> {
  /** Devices connected at once; further ones get "server unavailable". @default 5000 */
  readonly sessionsMax?: number;
  /** How often deadlines are checked. @default 1000 */
  readonly sweepMs?: number;
  readonly kept?: Partial<KeptLimits>;
}

export interface MqttServer {
  /** Takes a new connection, whatever listener it comes from. */
  readonly accept: (stream: ByteStream) => ByteStreamHandler;
  /** Watches deadlines and pushes changes until the signal; then ends all connections, those with stored data acknowledged first. */
  run(signal: AbortSignal): Promise<void>;
  /** Itself, or by its gateway. */
  isConnected(deviceId: Uuid): boolean;
  readonly sessions: number;
  readonly counters: Readonly<MqttCounters>;
}

/** How often the end of all connections is looked for while the server stops. */
const DRAIN_STEP_MS = 20;

/**
 * MQTT for devices: not a broker, since no message goes from one device to another. A device has one live session;
 * a further connection with its credentials ends the one before.
 *
 * @example
 * const server = createMqttServer(deps);
 * const listener = await listenTcp({ port: 1883, accept: server.accept });
 * await server.run(signal);
 */
export function createMqttServer(deps: MqttServerDeps, options: MqttServerOptions = {}): MqttServer {
  const { sessionsMax = 5000, sweepMs = 1000, kept: keptLimits, ...given } = options;
  const limits = { ...DEFAULT_MQTT_LIMITS, ...given };
  const { clock, events } = deps;
  const connections = new Set<MqttConnection>();
  const sessions = new Map<Uuid, MqttConnection>();
  /** Devices behind gateways, with the one that spoke for them last. */
  const behind = new Map<Uuid, { readonly connection: MqttConnection; readonly device: AuthenticatedDevice }>();
  const counters = createMqttCounters();

  const topics = allMqttTopics({ ...deps, intake: new TelemetryIntake(deps.times) });
  const kept = new KeptSessions(
    {
      ...deps,
      store: deps.keptSessions,
      topics,
      publishWill: (device, will) => publishWill({ ...deps, topics }, device, will),
    },
    { ...DEFAULT_KEPT_LIMITS, subscriptionsMax: limits.subscriptionsMax, ...keptLimits },
  );
  const host: MqttConnectionHost = {
    ...deps,
    topics,
    provisioningTopics: provisioningTopics(deps.provisioning),
    kept,
    limits,
    counters,
    admit,
    attach: (connection, device) => {
      const former = behind.get(device.deviceId);
      behind.set(device.deviceId, { connection, device });
      deps.activity.connected(device);
      if (former !== undefined && former.connection !== connection)
        former.connection.lose(former.device.name, device.deviceId);
    },
    detach,
    retire: (connection) => {
      for (const { device } of behind.values()) detach(connection, device);
      const deviceId = connection.device?.deviceId;
      if (deviceId !== undefined && sessions.get(deviceId) === connection) sessions.delete(deviceId);
    },
    forget: (connection) => {
      connections.delete(connection);
      deps.sources.close(connection.source);
    },
  };

  function detach(connection: MqttConnection, device: AuthenticatedDevice): void {
    if (behind.get(device.deviceId)?.connection !== connection) return;
    behind.delete(device.deviceId);
    deps.activity.disconnected(device);
  }

  function admit(connection: MqttConnection, device: AuthenticatedDevice): ConnectRefusal | undefined {
    const former = sessions.get(device.deviceId);
    if (former === undefined && sessions.size >= sessionsMax) return "too-many-connections";
    former?.end("taken-over", `now from ${connection.source}`);
    sessions.set(device.deviceId, connection);
    return undefined;
  }

  function onEvent(event: DeviceEvent): void {
    const session = sessions.get(event.deviceId);
    const gateway = behind.get(event.deviceId);
    gateway?.connection.pushBehind(gateway.device.name, event);
    if (event.kind !== "access-ended") {
      if (session === undefined) kept.push(event);
      else session.push(event);
      return;
    }
    // First, so that nobody publishes the will of a device that is gone.
    kept.push(event);
    session?.end("access-ended");
    for (const connection of connections) connection.noteAccessEnded(event.deviceId);
  }

  async function run(signal: AbortSignal): Promise<void> {
    const unsubscribe = events.subscribe(onEvent);
    const loading = kept.load(signal);
    try {
      while (!signal.aborted) {
        await clock.sleep(sweepMs, signal).catch(() => undefined);
        checkDeadlines();
      }
    } finally {
      unsubscribe();
    }
    await loading;
    for (const connection of connections) connection.end("shutting-down");
    while (connections.size > 0) {
      await clock.sleep(DRAIN_STEP_MS);
      checkDeadlines();
    }
    await kept.close(limits.endTimeoutMs);
  }

  function checkDeadlines(): void {
    const nowMs = clock.monotonicMs();
    for (const connection of connections) connection.checkDeadline(nowMs);
    kept.checkDeadlines(nowMs);
  }

  return {
    accept: (stream) => {
      counters.connectionsOpened += 1;
      const place = deps.sources.open(stream.source);
      const connection = new MqttConnection(host, stream, place);
      connections.add(connection);
      if (place === "destroy") stream.destroy();
      return connection;
    },
    run,
    isConnected: (deviceId) => sessions.has(deviceId) || behind.has(deviceId),
    get sessions() {
      return sessions.size;
    },
    counters,
  };
}
