import type { TestDevice } from "../support/rest-client.ts";
import { withBenchSite, type BenchSite } from "./bench-site.ts";
import { quantile, type Measure } from "./measure.ts";

const ASSIGNMENTS = 200;
const ASSIGNMENTS_QUICK = 40;
const USABLE_DEADLINE_MS = 10_000;

/**
 * From the answer of `POST /api/edge/{edgeId}/device/{deviceId}` until the device works on the connected edge: the edge
 * answers 200 to its telemetry, stored and on disk, under the token that came down. One assignment at a time, each of
 * another device; the edge is asked over and over on one connection without a pause, so one poll (about a ms) is part of it.
 */
export const assign: Measure = {
  figures: { assign_p50: "ms", assign_p99: "ms" },
  async runOnce({ quick }) {
    const count = quick ? ASSIGNMENTS_QUICK : ASSIGNMENTS;
    return await withBenchSite(1, async (site) => {
      const devices: TestDevice[] = [];
      for (let index = 0; index < count; index += 1)
        devices.push(await site.cloudApi.createDevice(`Pump ${index + 1}`));
      const timesMs: number[] = [];
      for (const device of devices) timesMs.push(await assignOne(site, device));
      return { assign_p50: quantile(timesMs, 0.5), assign_p99: quantile(timesMs, 0.99) };
    });
  },
};

async function assignOne({ cloudApi, edge, edgeId }: BenchSite, device: TestDevice): Promise<number> {
  await cloudApi.assignDevice(edgeId, device.id);
  const answeredMs = performance.now();
  while (!(await isUsable(edge.addresses.http, device.token))) {
    if (performance.now() - answeredMs > USABLE_DEADLINE_MS) throw new Error(`${device.name} did not reach the edge`);
  }
  return performance.now() - answeredMs;
}

async function isUsable(http: string, token: string): Promise<boolean> {
  const headers = { "Content-Type": "application/json" };
  const response = await fetch(`${http}/api/v1/${token}/telemetry`, { method: "POST", headers, body: '{"on":true}' });
  await response.arrayBuffer();
  if (response.status !== 200 && response.status !== 401) throw new Error(`The edge answered ${response.status}`);
  return response.status === 200;
}
