import type { Reading } from "./readings.ts";

/** CO2 above 1,000 ppm for 5 minutes raises the alarm, below 800 clears it; for the readings of OCCUPANCY_PATH. */
export const AIR_RULE = {
  id: "air",
  alarmType: "Bad air",
  createRules: {
    MAJOR: {
      condition: co2("GREATER", 1_000, { type: "DURATION", unit: "MINUTES", predicate: { defaultValue: 5 } }),
      alarmDetails: "CO2 is ${CO2} ppm",
    },
  },
  clearRule: { condition: co2("LESS", 800, { type: "SIMPLE" }) },
} as const;

function co2(operation: string, limit: number, spec: object) {
  const predicate = { type: "NUMERIC", operation, value: { defaultValue: limit } };
  return { condition: [{ key: { type: "TIME_SERIES", key: "CO2" }, valueType: "NUMERIC", predicate }], spec };
}

export interface AlarmInterval {
  readonly startTs: number;
  /** null: it lasts to the end of the readings. */
  readonly clearTs: number | null;
}

/** The same worked out by a walk over the readings, which knows nothing of rules: a value holds until the next one. */
export function airAlarms(readings: readonly Reading[]): AlarmInterval[] {
  const intervals: AlarmInterval[] = [];
  let highSince: number | null = null;
  let startTs: number | null = null;
  for (const [index, { ts, values }] of readings.entries()) {
    const level = Number(values["CO2"]);
    if (startTs !== null && level < 800) {
      intervals.push({ startTs, clearTs: ts });
      startTs = null;
    }
    highSince = level > 1_000 ? (highSince ?? ts) : null;
    const holdsUntil = readings[index + 1]?.ts ?? ts;
    if (startTs === null && highSince !== null && holdsUntil >= highSince + 300_000) startTs = highSince + 300_000;
  }
  return startTs === null ? intervals : [...intervals, { startTs, clearTs: null }];
}
