import type { DeviceActivity, KnownDevice } from "../../edge/devices/activity.ts";
import { createDeviceErrors, type DeviceErrors } from "../../edge/devices/device-errors.ts";
import { createDeviceQuestions } from "../../edge/devices/device-questions.ts";
import { createDeviceRpcs, type DeviceRpcHub } from "../../edge/devices/device-rpcs.ts";
import type { MqttProfile, MqttProfiles } from "../../edge/devices/payloads.ts";
import type {
  AttributeAnswer,
  AttributeRequest,
  AuthenticatedDevice,
  ClaimRequest,
  DeviceData,
  DeviceDirectory,
  DeviceEvent,
  DeviceEvents,
  DevicePackages,
  DeviceProvisioning,
  ProvisionOutcome,
  ProvisionRequest,
} from "../../edge/devices/ports.ts";
import { NO_RATE_TEXTS, RateLimits, type RateSettings } from "../../edge/devices/rate-limits.ts";
import type { DeviceQuestion, DeviceQuestions, DeviceRpcStore } from "../../edge/devices/rpc-ports.ts";
import { ServerTimes } from "../../edge/devices/server-times.ts";
import { SourceLimits } from "../../edge/devices/source-limits.ts";
/** The ports of the device protocols in memory, with commits and failures under the test's control. */
import type { Clock } from "../../shared/core/clock.ts";
import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { AttributeEntry } from "../../shared/entities/attributes.ts";
import type { OtaType } from "../../shared/entities/ota-package.ts";
import type { CanonicalJson, TelemetryRecord } from "../../shared/entities/telemetry.ts";
import { silentLog } from "../../shared/observe/log.ts";
import { createFakeSessions, type FakeSessions } from "./fake-sessions.ts";

export const DEVICE_A = "0190a000-0000-7000-8000-00000000000a" as Uuid;
export const GATEWAY = "0190a000-0000-7000-8000-00000000000c" as Uuid;
export const DEVICE_B = "0190a000-0000-7000-8000-00000000000b" as Uuid;

const NO_LIMITS: RateSettings = {
  device: NO_RATE_TEXTS,
  gateway: NO_RATE_TEXTS,
  gatewayDevices: NO_RATE_TEXTS,
  tenant: NO_RATE_TEXTS,
};
const FILE_READ_BYTES = 700;

export interface FakeEdge {
  readonly clock: SteppedClock;
  readonly directory: DeviceDirectory;
  readonly data: DeviceData;
  readonly events: DeviceEvents;
  readonly provisioning: DeviceProvisioning;
  readonly packages: DevicePackages;
  /** Of every device. */
  readonly files: Map<OtaType, Uint8Array>;
  readonly errors: DeviceErrors;
  readonly times: ServerTimes;
  /** Requests to devices that somebody waits for; none is kept. */
  readonly rpcs: DeviceRpcHub;
  readonly questions: DeviceQuestions;
  /** Sessions of MQTT; outlives a server over it. */
  readonly keptSessions: FakeSessions;
  readonly rates: RateLimits;
  /** What the protocols tell, as "connected" and the name of the device. */
  readonly activity: DeviceActivity;
  readonly told: string[];
  /** Nothing is limited at first; set before a server is made of it. */
  sources: SourceLimits;
  /** What the profile of each device says from now on; undefined: nothing. */
  profile: MqttProfile | undefined;
  readonly profiles: MqttProfiles;
  /** How much everybody may send from now on. */
  limit(settings: Partial<RateSettings>): void;
  /** By token: "token-a", "token-b" and "gateway" are there at first. */
  readonly devices: Map<string, AuthenticatedDevice>;
  /** Behind gateways, by name. */
  readonly behind: ReadonlyMap<string, AuthenticatedDevice>;
  readonly records: TelemetryRecord[];
  /** Windows that devices opened, with the id of the device. */
  readonly claims: (ClaimRequest & { readonly deviceId: Uuid })[];
  /** Requests of devices to be made known; answered with `provisioned`. */
  readonly provisionRequests: ProvisionRequest[];
  provisioned: ProvisionOutcome;
  readonly client: Map<string, CanonicalJson>;
  readonly shared: Map<string, CanonicalJson>;
  /** Calls of saveTelemetry that wait for release(). */
  readonly held: number;
  /** From now on saves wait. */
  hold(): void;
  /** Commits what waits and everything after. */
  release(): void;
  /** Fails what waits and everything after; undefined: no more failures. */
  fail(error: AppError | undefined): void;
  /** Answers of the directory, looked up when they are asked for, wait for the promise. */
  delayDirectory(until: Promise<void>): void;
  readonly lookUps: number;
  failDirectory(error: AppError | undefined): void;
  emit(event: DeviceEvent): void;
  /** Listeners of events at the moment. */
  readonly listeners: number;
}

export function createFakeEdge(): FakeEdge {
  const clock = createSteppedClock(1_700_000_000_000);
  const devices = new Map([
    ["token-a", { deviceId: DEVICE_A, name: "A", isGateway: false }],
    ["token-b", { deviceId: DEVICE_B, name: "B", isGateway: false }],
    ["gateway", { deviceId: GATEWAY, name: "Gateway", isGateway: true }],
  ]);
  const behind = new Map<string, AuthenticatedDevice>();
  const told: string[] = [];
  const nameOf = ({ deviceId }: KnownDevice): string =>
    [...devices.values(), ...behind.values()].find((device) => device.deviceId === deviceId)?.name ?? deviceId;
  const edgeRates: { settings: RateSettings | undefined } = { settings: undefined };
  const records: TelemetryRecord[] = [];
  const claims: FakeEdge["claims"] = [];
  const provisionRequests: ProvisionRequest[] = [];
  const files = new Map<OtaType, Uint8Array>();
  const client = new Map<string, CanonicalJson>();
  const shared = new Map<string, CanonicalJson>();
  const listeners = new Set<(event: DeviceEvent) => void>();
  let holding = false;
  let failure: AppError | undefined;
  let lookUps = 0;
  let directoryDelay = Promise.resolve();
  let directoryFailure: AppError | undefined;
  let waiting: (() => void)[] = [];

  async function commit(apply: () => void): Promise<void> {
    if (holding) await new Promise<void>((resolve) => waiting.push(resolve));
    if (failure !== undefined) throw failure;
    apply();
  }

  function release(): void {
    holding = false;
    const ready = waiting;
    waiting = [];
    for (const resolve of ready) resolve();
  }

  const findDevice = async (credentialsId: string): Promise<AuthenticatedDevice | null> => {
    lookUps += 1;
    if (directoryFailure !== undefined) throw directoryFailure;
    const device = devices.get(credentialsId) ?? null;
    await directoryDelay;
    return device;
  };

  const edge: FakeEdge = {
    clock,
    devices,
    claims,
    provisionRequests,
    provisioned: { status: "NOT_FOUND" },
    files,
    packages: {
      find: async (_, type) => {
        const file = files.get(type);
        const read = async (offset: number, bytesMax: number) =>
          // Fewer than are asked for, as a store may.
          file?.subarray(offset, offset + Math.min(bytesMax, FILE_READ_BYTES)) ?? new Uint8Array(0);
        const named = {
          title: "Pump",
          version: "1.2",
          fileName: "pump 1.bin",
          contentType: "application/octet-stream",
        };
        return file === undefined ? null : { ...named, bytes: file.length, read };
      },
    },
    provisioning: {
      provision: async (request) => {
        await commit(() => void provisionRequests.push(request));
        return edge.provisioned;
      },
    },
    behind,
    records,
    client,
    shared,
    errors: createDeviceErrors(clock),
    times: new ServerTimes(),
    rpcs: createDeviceRpcs({ store: createEmptyRpcStore(), clock, log: silentLog }),
    questions: createDeviceQuestions(clock, [{ answer: answerEcho }]),
    keptSessions: createFakeSessions(),
    told,
    activity: {
      connected: (device) => void told.push(`connected ${nameOf(device)}`),
      disconnected: (device) => void told.push(`disconnected ${nameOf(device)}`),
      note: (device) => void (told.at(-1) === `heard ${nameOf(device)}` || told.push(`heard ${nameOf(device)}`)),
    },
    rates: new RateLimits(clock, () => ({ profile: edgeRates.settings })),
    sources: new SourceLimits({ clock, log: silentLog }, {}),
    profile: undefined,
    profiles: { of: () => edge.profile },
    limit: (settings) => void (edgeRates.settings = { ...NO_LIMITS, ...settings }),
    directory: {
      findByAccessToken: findDevice,
      findByCertificate: ([certificate = ""]) => findDevice(certificate),
      findByMqttLogin: ({ userName, clientId }) => findDevice(userName ?? clientId ?? ""),
      openBehind: async (_, { name }) => {
        const deviceId = `0190a000-0000-7000-8000-0000000001${String(behind.size).padStart(2, "0")}` as Uuid;
        const device = behind.get(name) ?? { deviceId, name, isGateway: false };
        return await commit(() => void behind.set(name, device)).then(() => device);
      },
    },
    data: {
      saveTelemetry: (added) => commit(() => records.push(...added)),
      saveClientAttributes: (_deviceId, attributes) => commit(() => setAll(client, attributes)),
      readAttributes: async (_deviceId, request) => {
        if (failure !== undefined) throw failure;
        return select({ client, shared }, request);
      },
      openClaim: (deviceId, claim) => commit(() => void claims.push({ deviceId, ...claim })),
    },
    events: {
      subscribe: (listener) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    },
    get held() {
      return waiting.length;
    },
    get listeners() {
      return listeners.size;
    },
    hold: () => {
      holding = true;
    },
    release,
    fail: (error) => {
      failure = error;
      release();
    },
    delayDirectory: (until) => {
      directoryDelay = until;
    },
    get lookUps() {
      return lookUps;
    },
    failDirectory: (error) => {
      directoryFailure = error;
    },
    emit: (event) => {
      for (const listener of listeners) listener(event);
    },
  };
  return edge;
}

/** What is asked for as "echo" is answered with its params. */
function answerEcho(
  _device: AuthenticatedDevice,
  { method, params }: DeviceQuestion,
): Promise<CanonicalJson> | undefined {
  return method === "echo" ? Promise.resolve(params) : undefined;
}

function createEmptyRpcStore(): DeviceRpcStore {
  return {
    findWaiting: () => Promise.resolve([]),
    firstDeadlineMs: () => Promise.resolve(null),
    nextNumber: () => Promise.resolve(0),
    take: () => Promise.resolve([]),
    note: () => Promise.resolve(false),
    answer: () => Promise.resolve(),
    expire: () => Promise.resolve(),
    moveDeadlines: () => Promise.resolve(),
    removeOld: () => Promise.resolve(0),
    report: () => Promise.resolve(),
  };
}

function setAll(scope: Map<string, CanonicalJson>, attributes: readonly AttributeEntry[]): void {
  for (const { key, value } of attributes) scope.set(key, value);
}

function select(
  scopes: { client: Map<string, CanonicalJson>; shared: Map<string, CanonicalJson> },
  request: AttributeRequest,
): AttributeAnswer {
  const pick = (scope: Map<string, CanonicalJson>, keys: readonly string[]) =>
    new Map([...scope].filter(([key]) => keys.length === 0 || keys.includes(key)));
  return {
    ...(request.clientKeys === undefined ? {} : { client: pick(scopes.client, request.clientKeys) }),
    ...(request.sharedKeys === undefined ? {} : { shared: pick(scopes.shared, request.sharedKeys) }),
  };
}

export interface SteppedClock extends Clock {
  advance(ms: number): void;
}

/** A clock that stands still until it is moved. */
export function createSteppedClock(startMs: number): SteppedClock {
  let nowMs = startMs;
  const sleepers = new Set<{ readonly atMs: number; readonly wake: () => void }>();
  return {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs - startMs,
    yield: () => Promise.resolve(),
    sleep: (delayMs, signal) =>
      new Promise((resolve, reject) => {
        const sleeper = { atMs: nowMs + delayMs, wake: resolve };
        const onAbort = (): void => {
          sleepers.delete(sleeper);
          reject(AppError.from(signal?.reason, "CANCELLED"));
        };
        if (signal?.aborted === true) return onAbort();
        sleepers.add(sleeper);
        signal?.addEventListener("abort", onAbort, { once: true });
      }),
    advance: (ms) => {
      nowMs += ms;
      for (const sleeper of sleepers) {
        if (sleeper.atMs > nowMs) continue;
        sleepers.delete(sleeper);
        sleeper.wake();
      }
    },
  };
}
