import { AppError } from "../../shared/core/errors.ts";
import { createUuid } from "../../shared/core/ids.ts";
import { createSeededRandom } from "../../shared/core/random.ts";
import type { Json } from "../../shared/entities/entity-record.ts";
import { unknownDevice, type AlarmReplayLine, type RecordedReading } from "../../shared/rules/alarm-replay.ts";
import { readHistoryCsv } from "../../shared/rules/chain/history-csv.ts";
import { replayProfile } from "../../shared/rules/profile-replay.ts";

export interface RecordedAlarmRules {
  /** A device profile as REST answers it, a list of alarm rules, or one. */
  readonly rulesText: string;
  readonly csvText: string;
  readonly profileName: string;
}

/** @throws AppError INVALID_ARGUMENT, INVALID_PAYLOAD for texts that can't be read */
export async function* testAlarmRules({
  csvText,
  profileName,
  rulesText,
}: RecordedAlarmRules): AsyncGenerator<AlarmReplayLine> {
  const body = readRulesFile(rulesText);
  const known = unknownDevice({ name: "Device", type: profileName, label: null, createdTime: 0 });
  yield* replayProfile(body, readReadings(csvText), { known, attributes: [] });
}

/** As the body of a profile. */
function readRulesFile(text: string): { readonly profileData: object } {
  const file = parse(text);
  const profileData = memberOf(file, "profileData");
  const rules = Array.isArray(file) ? file : memberOf(file, "createRules") === undefined ? null : [file];
  const alarms: unknown = rules ?? memberOf(profileData, "alarms");
  if (!Array.isArray(alarms) || alarms.length === 0) {
    throw new AppError(
      "INVALID_ARGUMENT",
      "The file has no alarm rules: expected a device profile, a rule or a list of rules",
    );
  }
  return { profileData: { alarms, calculatedFields: memberOf(profileData, "calculatedFields") } };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new AppError("INVALID_ARGUMENT", "The file of alarm rules is no JSON", { cause });
  }
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}

function* readReadings(csvText: string): Generator<RecordedReading> {
  const random = createSeededRandom(1);
  const originator = { type: "DEVICE", id: createUuid({ nowMs: () => 0 }, random) };
  for (const { data, tsMs } of readHistoryCsv(csvText, { originator, metadata: {}, random })) {
    yield { tsMs, values: JSON.parse(data) as Record<string, Json> }; // what readHistoryCsv makes
  }
}
