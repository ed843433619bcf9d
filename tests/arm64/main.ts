/**
 * `bun run test:arm64`: the arm64 edge in an emulated arm64 machine, beside a cloud of this one. Devices publish through an
 * outage and a crash of the edge, one device is assigned meanwhile, and both sides are compared. As root, on Debian.
 */
import { chmod, copyFile, mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { compareWithAcked, type Comparison } from "../demo/comparison.ts";
import { sendReading, type ReplayDevice } from "../demo/replay.ts";
import { waitForDrain, waitForLink } from "../support/edge-status.ts";
import { type CloudProcess } from "../support/processes.ts";
import { readReadings, WEATHER_PATH, type Reading } from "../support/readings.ts";
import { type TestDevice } from "../support/rest-client.ts";
import { withTestBed, type Site, type TestBed } from "../support/test-bed.ts";
import { formatDuration, PROJECT_ROOT, runTool } from "../support/tools.ts";
import { waitFor, type WaitOptions } from "../support/wait-for.ts";
import { commandInRoot, prepareArm64Root } from "./arm64-root.ts";

const BINARY = "dist/skerry-edge-linux-arm64";
/** Each device sends so many readings on each side of the outage. */
const READINGS_PER_PART = 300;
const RUN_LIMIT_MS = 300_000;
/** The emulated edge is 5 to 10 times as slow as a real one, more so on a busy machine. */
const PATIENCE: WaitOptions = { deadlineMs: 60_000 };

async function main(): Promise<void> {
  const startedMs = performance.now();
  say("Building the arm64 edge");
  const build = await runTool(["bun", "edge/build.ts", "--target", "arm64"]);
  if (build.exitCode !== 0) throw new Error(`Building the edge failed:\n${build.output}`);
  const root = await prepareArm64Root();
  await copyFile(join(PROJECT_ROOT, BINARY), join(root, "skerry-edge"));
  await chmod(join(root, "skerry-edge"), 0o755);

  const folder = await mkdtemp(join(root, "srv/skerry-"));
  try {
    await chmod(folder, 0o755);
    const comparison = await withTestBed((bed) => runMainJob(bed, root, folder), { limitMs: RUN_LIMIT_MS });
    console.log(JSON.stringify(comparison));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  say(`The arm64 edge did the main job, after ${formatDuration(performance.now() - startedMs)}`);
}

/** @throws Error when something was lost, doubled or not assigned */
async function runMainJob(bed: TestBed, root: string, folder: string): Promise<Comparison> {
  const readings = await readReadings(WEATHER_PATH);
  say("Starting a cloud here, and the edge in the arm64 root");
  const cloud = await bed.startCloud();
  const dataDir = join(folder, "edge/data");
  await mkdir(join(folder, "edge"));
  const site = await bed.startSite(cloud, { dataDir, program: commandInRoot(root, ["/skerry-edge"]) });
  say(`The edge is connected, ${formatDuration(site.edge.startMs)} after its first start`);

  const first = await site.cloudApi.createDevice("Assigned");
  await site.cloudApi.assignDevice(site.edgeId, first.id);
  const devices = [
    await useDevice(bed, site, first),
    await useDevice(bed, site, await site.edgeApi.createDevice("Local")),
  ];
  say("Publishing online");
  await publish(devices, readings.slice(0, READINGS_PER_PART));
  await waitForDrain(site.edge, PATIENCE);

  await goThroughOutage(site, cloud, devices, readings.slice(READINGS_PER_PART, 2 * READINGS_PER_PART));
  const late = await site.cloudApi.findDevice("Assigned while away");
  if (late === undefined) throw new Error("Expected the cloud to hold the device that it assigned");
  const lateDevice = await useDevice(bed, site, late);
  await publish([lateDevice], readings.slice(0, READINGS_PER_PART));
  await waitForDrain(site.edge, PATIENCE);

  const all = [...devices, lateDevice];
  const [inCloud, onEdge] = [await compareWithAcked(site.cloudApi, all), await compareWithAcked(site.edgeApi, all)];
  expectComplete("cloud", inCloud);
  expectComplete("edge", onEdge);
  say("Stopping the edge");
  const exitCode = await site.edge.stop();
  if (exitCode !== 0) throw new Error(`Expected the edge to end with code 0 after SIGTERM, got ${exitCode}`);
  return inCloud;
}

async function goThroughOutage(
  { edge, cloudApi, edgeId }: Site,
  cloud: CloudProcess,
  devices: readonly ReplayDevice[],
  readings: readonly Reading[],
): Promise<void> {
  say("Stopping the cloud, publishing on, then SIGKILL to the edge and its database");
  await cloud.stop();
  await publish(devices, readings);
  await edge.kill();
  await cloud.restart();
  const late = await cloudApi.createDevice("Assigned while away");
  await cloudApi.assignDevice(edgeId, late.id);
  say("Starting the edge again");
  await edge.restart();
  await waitForLink(edge, PATIENCE);
}

/** Waits until the edge knows the device, then connects it. */
async function useDevice(
  bed: TestBed,
  { edge, edgeApi }: Site,
  { id, name, token }: TestDevice,
): Promise<ReplayDevice> {
  await waitFor(`${name} to be on the edge`, async () => (await edgeApi.getDevice(id)) !== undefined, PATIENCE);
  return { id, name, mqtt: await bed.connectDevice(edge, token), acked: new Map() };
}

async function publish(devices: readonly ReplayDevice[], readings: readonly Reading[]): Promise<void> {
  await Promise.all(devices.flatMap((device) => readings.map((reading) => sendReading(device, reading))));
}

function expectComplete(side: string, { stored, lost, duplicated, unknown }: Comparison): void {
  const expected = 5 * READINGS_PER_PART;
  if (stored === expected && lost === 0 && duplicated === 0 && unknown === 0) return;
  throw new Error(
    `Expected ${expected} readings on the ${side}, got ${stored}; ${lost} lost, ${duplicated} doubled, ${unknown} unknown`,
  );
}

function say(text: string): void {
  console.log(`  ●   ${text}`);
}

await main();
