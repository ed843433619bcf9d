import type { Clock } from "../core/clock.ts";
import type { Uuid } from "../core/ids.ts";
import type { EntityRecord, Json } from "../entities/entity-record.ts";
import type { AlarmReplayLine, RecordedReading } from "../rules/alarm-replay.ts";
import type { KnownAttribute } from "../rules/calculated-fields.ts";
import type { DeviceKnowledge } from "../rules/device-alarms.ts";
import { replayProfile } from "../rules/profile-replay.ts";
import { readAttributeRows } from "../store/attribute-store.ts";
import type { Queryable } from "../store/unit-of-work.ts";
import { readRecorded } from "./recorded-telemetry.ts";
import { TestPace } from "./test-pace.ts";

// What the route that tries alarm rules does; loaded with the first call, as few sites make one.

export interface AlarmRuleTest {
  /** `profileData` of a device profile. */
  readonly profileData: unknown;
  readonly device: EntityRecord;
  /** Included. */
  readonly startMs: number;
  /** Not included. */
  readonly endMs: number;
}

export interface AlarmRuleTestResult {
  readonly lines: readonly AlarmReplayLine[];
  /** Why it ended before all was looked at; null: it did not. */
  readonly cut: string | null;
}

/** Which alarms the rules would have raised by the recorded telemetry of a device, whose attributes are taken as they are now. */
export async function testAlarmRules(
  { db, clock }: { readonly db: Queryable; readonly clock: Clock },
  { profileData, device, startMs, endMs }: AlarmRuleTest,
): Promise<AlarmRuleTestResult> {
  const attributes = await readValues(db, device.id);
  const known = await readKnown(db, device, attributes);
  const history = await readRecorded(db, { entityId: device.id, startMs, endMs });
  const readings = history.records.map(({ tsMs, data }): RecordedReading => {
    return { tsMs, values: JSON.parse(data) as Record<string, Json> }; // canonical JSON of an object
  });
  const pace = new TestPace(clock);
  // What was cut off might have ended a duration.
  const end = history.cut === null ? { endMs: Math.min(endMs, clock.nowMs()) } : {};
  const lines = await pace.gather(replayProfile({ profileData }, pace.slow(readings), { known, attributes, ...end }));
  return { lines, cut: pace.ended ?? history.cut };
}

async function readKnown(
  db: Queryable,
  device: EntityRecord,
  attributes: readonly KnownAttribute[],
): Promise<DeviceKnowledge> {
  const { createdMs, customerId, label, name, subtype, tenantId } = device;
  return {
    telemetry: new Map(),
    // Of a key in several scopes the newest.
    attributes: new Map(attributes.map((one) => [one.key, one])),
    customerAttributes: customerId === null ? new Map() : await readServerValues(db, customerId),
    tenantAttributes: await readServerValues(db, tenantId),
    fields: new Map<string, Json>([
      ["name", name],
      ["type", subtype],
      ["label", label],
      ["createdTime", createdMs],
    ]),
    states: new Map(),
  };
}

/** The newest last. */
async function readValues(db: Queryable, entityId: Uuid): Promise<readonly KnownAttribute[]> {
  const rows = await readAttributeRows(db, { entityId });
  return rows
    .map(({ key, scope, updatedMs, value }) => ({ key, scope, tsMs: updatedMs, value: JSON.parse(value) as Json })) // canonical JSON
    .toSorted((one, other) => one.tsMs - other.tsMs);
}

async function readServerValues(db: Queryable, entityId: Uuid): Promise<ReadonlyMap<string, Json>> {
  const rows = await readAttributeRows(db, { entityId, scopes: ["SERVER_SCOPE"] });
  return new Map(rows.map(({ key, value }) => [key, JSON.parse(value) as Json])); // canonical JSON
}
