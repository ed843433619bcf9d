import type { Clock } from "../../shared/core/clock.ts";
import { AppError } from "../../shared/core/errors.ts";
import { TokenBuckets } from "../../shared/core/token-buckets.ts";
import type { CanonicalJson, TelemetryRecord } from "../../shared/entities/telemetry.ts";
import { splitValues } from "../../shared/entities/values.ts";
import { PAYLOAD_BYTES_MAX } from "./device-session.ts";
import type { AuthenticatedDevice } from "./ports.ts";
import type { QuestionAnswerer } from "./rpc-ports.ts";

/** What is counted: everything that a device sends, of that telemetry, and the values in it. */
export const RATE_KINDS = ["messages", "telemetryMessages", "telemetryDataPoints"] as const;
export type RateKind = (typeof RATE_KINDS)[number];

/** For whom: one device, the own messages of a gateway, all devices behind one together, everybody on this edge. */
export const RATE_SCOPES = ["device", "gateway", "gatewayDevices", "tenant"] as const;
export type RateScope = (typeof RATE_SCOPES)[number];

/** `count:seconds` joined by commas; empty: no limit. */
export type RateTexts = Readonly<Record<RateKind, string>>;
export type RateSettings = Readonly<Record<RateScope, RateTexts>>;

export const NO_RATE_TEXTS: RateTexts = { messages: "", telemetryMessages: "", telemetryDataPoints: "" };

/** Who sets limits: the cloud for the tenant, the profile of the device. */
const RATE_SOURCES = ["tenant", "profile"] as const;
/** What holds for a device now, all of it; a source that is left out limits nothing. */
export type RateRules = { readonly [Source in (typeof RATE_SOURCES)[number]]?: RateSettings | undefined };
export type RateRulesSource = (device: AuthenticatedDevice) => RateRules;

/** Devices of one limit whose use is remembered. */
const DEVICES_MAX = 10_000;
/** Limits that are remembered: a change of settings makes new ones. */
const LIMITS_MAX = 1_000;
const IN_FLIGHT_MAX = 100;

const SCOPE_NAMES: Readonly<Record<RateScope, string>> = {
  device: "of the device",
  gateway: "of the gateway's own",
  gatewayDevices: "of all devices behind the gateway",
  tenant: "of all devices of the edge",
};
const KIND_NAMES: Readonly<Record<RateKind, string>> = {
  messages: "messages",
  telemetryMessages: "messages of telemetry",
  telemetryDataPoints: "values of telemetry",
};

/** How much devices may send. A message that is refused counts for the limits that had room for it. */
export class RateLimits {
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #rulesOf: RateRulesSource;
  readonly #buckets = new Map<string, TokenBuckets[]>();

  constructor(clock: Pick<Clock, "monotonicMs">, rulesOf: RateRulesSource) {
    this.#clock = clock;
    this.#rulesOf = rulesOf;
  }

  /** Whether anything is limited at all: else nobody needs to count. */
  isLimited(device: AuthenticatedDevice): boolean {
    const rules = this.#rulesOf(device);
    return RATE_SOURCES.some((source) => rules[source] !== undefined);
  }

  /**
   * Counts what the device sends, or the gateway for those behind it.
   *
   * @returns which limit has no room for it; undefined: all have
   */
  take(device: AuthenticatedDevice, kind: RateKind, { count = 1, isBehind = false } = {}): string | undefined {
    if (count === 0) return undefined;
    const scope: RateScope = isBehind ? "gatewayDevices" : device.isGateway ? "gateway" : "device";
    const rules = this.#rulesOf(device);
    for (const source of RATE_SOURCES) {
      const settings = rules[source];
      if (settings === undefined) continue;
      const exceeded =
        this.#takeOf({ source, scope, kind, text: settings[scope][kind], key: device.deviceId }, count) ??
        this.#takeOf({ source, scope: "tenant", kind, text: settings.tenant[kind], key: "" }, count);
      if (exceeded !== undefined) return exceeded;
    }
    return undefined;
  }

  /** The same for protocols that answer each request. @throws AppError TOO_MANY_REQUESTS */
  check(device: AuthenticatedDevice, kind: RateKind, count = 1): void {
    const exceeded = this.take(device, kind, { count });
    if (exceeded !== undefined) throw new AppError("TOO_MANY_REQUESTS", exceeded);
  }

  /** What a device is told that asks for its limits. */
  textOf(device: AuthenticatedDevice): CanonicalJson {
    const rules = this.#rulesOf(device);
    const textsOf = (scope: RateScope): RateTexts => {
      const joined = (kind: RateKind): string =>
        RATE_SOURCES.flatMap((source) => rules[source]?.[scope][kind] || []).join(",");
      return {
        messages: joined("messages"),
        telemetryMessages: joined("telemetryMessages"),
        telemetryDataPoints: joined("telemetryDataPoints"),
      };
    };
    const limits = device.isGateway
      ? { gatewayRateLimits: textsOf("gatewayDevices"), rateLimits: textsOf("gateway") }
      : { rateLimits: textsOf("device") };
    const head = { maxPayloadSize: PAYLOAD_BYTES_MAX, maxInflightMessages: IN_FLIGHT_MAX };
    return JSON.stringify({ ...head, ...limits }) as CanonicalJson; // texts and whole numbers are canonical as they are
  }

  #takeOf(
    limit: {
      readonly source: keyof RateRules;
      readonly scope: RateScope;
      readonly kind: RateKind;
      readonly text: string;
      readonly key: string;
    },
    count: number,
  ): string | undefined {
    const { source, scope, kind, text, key } = limit;
    if (text === "") return undefined;
    const isTaken = this.#bucketsOf(`${source} ${scope} ${kind} ${text}`, text).every(
      (buckets) => buckets.take(key, count) === 0,
    );
    return isTaken
      ? undefined
      : `The limit of ${text} (count:seconds) ${KIND_NAMES[kind]} ${SCOPE_NAMES[scope]} is reached`;
  }

  #bucketsOf(name: string, text: string): readonly TokenBuckets[] {
    const known = this.#buckets.get(name);
    if (known !== undefined) return known;
    if (this.#buckets.size >= LIMITS_MAX) this.#buckets.clear();
    const made = parseRateLimit(text).map(
      ({ count, seconds }) =>
        new TokenBuckets(this.#clock, { perS: count / seconds, burst: count, keysMax: DEVICES_MAX }),
    );
    this.#buckets.set(name, made);
    return made;
  }
}

/** `"200:1,6000:60"`; what can't be read limits nothing. */
export function parseRateLimit(text: string): { readonly count: number; readonly seconds: number }[] {
  return text.split(",").flatMap((part) => {
    const [, count, seconds] = /^\s*([1-9][0-9]{0,8}):([1-9][0-9]{0,8})\s*$/.exec(part) ?? [];
    return count === undefined || seconds === undefined ? [] : [{ count: Number(count), seconds: Number(seconds) }];
  });
}

/** Values in records. */
export function countPoints(records: readonly Pick<TelemetryRecord, "values">[]): number {
  return records.reduce((sum, { values }) => sum + splitValues(values).size, 0);
}

/** A message of telemetry of a protocol that answers each request. @throws AppError TOO_MANY_REQUESTS */
export function checkTelemetryRate(
  rates: RateLimits,
  device: AuthenticatedDevice,
  records: readonly TelemetryRecord[],
): void {
  if (records.length === 0 || !rates.isLimited(device)) return;
  rates.check(device, "telemetryMessages");
  rates.check(device, "telemetryDataPoints", countPoints(records));
}

/** `getSessionLimits`, which the SDK of the convention sends when it has connected. */
export function answerSessionLimits(limits: RateLimits): QuestionAnswerer {
  return {
    answer: (device, { method }) =>
      method === "getSessionLimits" ? Promise.resolve(limits.textOf(device)) : undefined,
  };
}
