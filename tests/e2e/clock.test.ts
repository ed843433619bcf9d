import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readEdgeStatus, waitForDrain, waitForLink } from "../support/edge-status.ts";
import { createPatchedTree, type PatchedTree } from "../support/patched-tree.ts";
import type { CloudProcess } from "../support/processes.ts";
import { createTestBed, withTestBed, type TestBed } from "../support/test-bed.ts";
import { waitFor } from "../support/wait-for.ts";
import { expectHistory, makeReadings } from "./expect-history.ts";

const HOUR_MS = 3_600_000;
const MESSAGES = 20;

let shared: TestBed;
let cloud: CloudProcess;
/** The sources of now on a machine whose clock stands wrong by CLOCK_OFFSET_MS. */
let tree: PatchedTree;

beforeAll(async () => {
  shared = await createTestBed();
  cloud = await shared.startCloud();
  tree = await createPatchedTree([
    {
      file: "shared/runtime/system-clock.ts",
      find: "nowMs: () => Date.now(),",
      replace: 'nowMs: () => Date.now() + Number(process.env["CLOCK_OFFSET_MS"]),',
    },
  ]);
});
afterAll(async () => {
  await tree[Symbol.asyncDispose]();
  await shared[Symbol.asyncDispose]();
});

describe("an edge whose clock stands", () => {
  test.concurrent.each([
    ["at 1970", -Date.now()],
    ["an hour back", -HOUR_MS],
    ["ten years ahead", 3_653 * 24 * HOUR_MS],
  ])("%s loses nothing, says so at both ends, and goes on when it is set right", async (_, offsetMs) => {
    await withTestBed((bed) => runWithClock(bed, offsetMs), { shared });
  });
});

async function runWithClock(bed: TestBed, offsetMs: number): Promise<void> {
  const { cloudApi, edge, edgeApi, edgeId, record } = await bed.startSite(cloud, {
    program: [process.execPath, `${tree.dir}/edge/main.ts`],
    env: { CLOCK_OFFSET_MS: String(offsetMs) },
  });
  const device = await edgeApi.createDevice(`Clock ${offsetMs}`);
  const readings = makeReadings(2 * MESSAGES);
  const first = await bed.connectDevice(edge, device.token);
  for (const reading of readings.slice(0, MESSAGES)) await first.sendTelemetry(reading);
  await edgeApi.saveAttributes(device.id, "SERVER_SCOPE", { made: "with the wrong clock" });
  await waitForDrain(edge);
  await expectHistory(cloudApi, device.id, readings.slice(0, MESSAGES));
  await cloudApi.saveAttributes(device.id, "SHARED_SCOPE", { limit: 1 });
  await cloudApi.saveAttributes(device.id, "SERVER_SCOPE", { made: "in the cloud" });
  await waitFor("the attributes", async () => {
    const { limit } = await edgeApi.readAttributes(device.id, "SHARED_SCOPE");
    const { made } = await edgeApi.readAttributes(device.id, "SERVER_SCOPE");
    return limit === 1 && made === "in the cloud";
  });
  const { sync } = await readEdgeStatus(edge);
  expect(sync?.reasons.map(({ code }) => code)).toContain("CLOCK_SKEW");
  const { status } = await cloudApi.request<{ status: { clockSkewMs: number } }>("GET", `/api/edge/info/${edgeId}`);
  expect(Math.abs(status.clockSkewMs - offsetMs)).toBeLessThan(60_000);

  expect(await edge.stop()).toBe(0);
  const corrected = await bed.startEdge({
    dataDir: edge.dataDir,
    addresses: edge.addresses,
    cloudUrl: cloud.addresses.rpc,
    edgeKey: record.routingKey,
    secret: record.secret,
  });
  const second = await bed.connectDevice(corrected, device.token);
  for (const reading of readings.slice(MESSAGES)) await second.sendTelemetry(reading);
  await edgeApi.saveAttributes(device.id, "SERVER_SCOPE", { made: "with the right clock" });
  await waitForLink(corrected);
  await waitForDrain(corrected);
  await expectHistory(cloudApi, device.id, readings);
  await expectHistory(edgeApi, device.id, readings);
  expect(await edgeApi.readAttributes(device.id, "SERVER_SCOPE")).toMatchObject({ made: "with the right clock" });
  expect(await cloudApi.readAttributes(device.id, "SERVER_SCOPE")).toMatchObject({ made: "with the right clock" });
}
