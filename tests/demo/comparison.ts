import { withNumbers, type Reading } from "../support/readings.ts";
import type { RestClient } from "../support/rest-client.ts";
import type { ReplayDevice } from "./replay.ts";

export interface Comparison {
  /** Acknowledged readings that one side holds with equal values. */
  readonly stored: number;
  /** Acknowledged readings that are missing, or differ in a value. */
  readonly lost: number;
  /** Rows of a device and time that are there once already. */
  readonly duplicated: number;
  /** Rows that nobody published. */
  readonly unknown: number;
}

/** Reads back all that one side holds of the devices, through its REST interface, and compares it with what was acknowledged. */
export async function compareWithAcked(api: RestClient, devices: readonly ReplayDevice[]): Promise<Comparison> {
  let [stored, lost, duplicated, unknown] = [0, 0, 0, 0];
  for (const device of devices) {
    const seen = new Set<number>();
    for (const row of await api.readHistory(device.id)) {
      if (seen.has(row.ts)) {
        duplicated += 1;
        continue;
      }
      seen.add(row.ts);
      const expected = device.acked.get(row.ts);
      if (expected === undefined) unknown += 1;
      else if (hasEqualValues(expected, row)) stored += 1;
      else lost += 1;
    }
    lost += [...device.acked.keys()].filter((ts) => !seen.has(ts)).length;
  }
  return { stored, lost, duplicated, unknown };
}

function hasEqualValues(one: Reading, other: Reading): boolean {
  return Bun.deepEquals(withNumbers(one).values, withNumbers(other).values);
}
