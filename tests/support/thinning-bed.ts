import type { Uuid } from "../../shared/core/ids.ts";
import type { CanonicalJson, TelemetryRecord } from "../../shared/entities/telemetry.ts";
import { keySetOf, splitValues } from "../../shared/entities/values.ts";
import { compileUplinkPolicy } from "../../shared/rules/thinning/compile-policy.ts";
import { DeviceThinner, NOTHING_USED, type DeviceThinning } from "../../shared/rules/thinning/device-thinner.ts";
import { readUplinkPolicy } from "../../shared/rules/thinning/policy.ts";

export const DEVICE = "00000000-0000-4000-8000-00000000000d" as Uuid;

export interface SentPoint {
  readonly key: string;
  readonly tsMs: number;
  readonly value: string;
}

export interface ThinningBed {
  /** The edge's clock. */
  nowMs: number;
  /** What went to the cloud, in order. */
  readonly sent: SentPoint[];
  take(tsMs: number, values: Readonly<Record<string, unknown>>): void;
  /** The edge's clock goes on by so much, and whatever is due goes. */
  pass(ms: number): void;
  /** The program ends, and goes on with what it has stored. */
  restart(): void;
  readonly thinner: DeviceThinner;
}

/** A device with a policy (`profileData.uplink`). @throws Error when the policy can't be read */
export function bedOf(uplink: unknown, nowMs = 0): ThinningBed {
  const { form, problem } = readUplinkPolicy({ profileData: { uplink } });
  if (form === null) throw new Error(problem ?? "No policy");
  const policy = compileUplinkPolicy(form);
  const open = ({ keys, used = NOTHING_USED }: DeviceThinning): DeviceThinner =>
    new DeviceThinner(DEVICE, policy, { keys, purse: { used } });
  let thinner = open({ keys: {} });
  const sent: SentPoint[] = [];
  const note = (records: readonly TelemetryRecord[]): void => {
    for (const { tsMs, values } of records)
      for (const [key, value] of splitValues(values)) sent.push({ key, tsMs, value });
  };
  const bed: ThinningBed = {
    nowMs,
    sent,
    take: (tsMs, values) => note(thinner.take(recordOf(tsMs, values), bed.nowMs)),
    pass: (ms) => {
      bed.nowMs += ms;
      note(thinner.pass(bed.nowMs));
    },
    restart: () => {
      thinner = open(JSON.parse(JSON.stringify(thinner.state())) as DeviceThinning); // as it is stored
    },
    get thinner() {
      return thinner;
    },
  };
  return bed;
}

export function recordOf(tsMs: number, values: Readonly<Record<string, unknown>>): TelemetryRecord {
  return {
    entityId: DEVICE,
    tsMs,
    values: JSON.stringify(values) as CanonicalJson, // as a device would send it
    keySet: keySetOf(Object.keys(values)),
  };
}
