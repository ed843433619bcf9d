import { expect } from "bun:test";
import { withNumbers, type Reading } from "../support/readings.ts";
import type { RestClient } from "../support/rest-client.ts";
import { waitFor, type WaitOptions } from "../support/wait-for.ts";

/** Waits until as many rows are there as expected, then compares them all: nothing lost, nothing twice, nothing else. */
export async function expectHistory(
  api: RestClient,
  deviceId: string,
  expected: readonly Reading[],
  options: WaitOptions = {},
): Promise<void> {
  const isComplete = async (): Promise<boolean> => (await api.readHistory(deviceId)).length >= expected.length;
  await waitFor(`${expected.length} rows of ${deviceId}`, isComplete, { intervalMs: 100, ...options });
  const sorted = expected.toSorted((one, other) => one.ts - other.ts);
  expect((await api.readHistory(deviceId)).map(withNumbers)).toEqual(sorted);
}

/** `count` messages of one device, a second apart, each with its number. */
export function makeReadings(count: number, startTs = 1_700_000_000_000): Reading[] {
  return Array.from({ length: count }, (_, index) => ({ ts: startTs + index * 1000, values: { n: index } }));
}
