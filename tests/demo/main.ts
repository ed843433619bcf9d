/**
 * `bun run demo [--keep] [--data FILE.csv] [--devices N] [--rate N]`: a cloud and an edge on this machine, real readings
 * through an outage of the link, a killed edge, and a comparison of both sides at the end. Only public interfaces are used.
 *
 * The last line is JSON; the exit code is 0 only if nothing was lost, nothing doubled and every step came true.
 */
import { parseArgs } from "node:util";
import { ensureEdgeBinary } from "../support/edge-binary.ts";
import { readEdgeStatus, waitForDrain, waitForLink } from "../support/edge-status.ts";
import { ADMIN_PASSWORD, CLOUD_USER, EDGE_USER, type CloudProcess, type EdgeProcess } from "../support/processes.ts";
import { readReadings, WEATHER_PATH, type Reading } from "../support/readings.ts";
import { connectToCloud, connectToEdge, type RestClient, type TestDevice } from "../support/rest-client.ts";
import { createTestBed, type TestBed } from "../support/test-bed.ts";
import { formatDuration } from "../support/tools.ts";
import { waitFor } from "../support/wait-for.ts";
import { compareWithAcked, type Comparison } from "./comparison.ts";
import { createProgressBar } from "./progress.ts";
import { createReplay, sendReading, type Replay, type ReplayDevice } from "./replay.ts";

interface DemoOptions {
  readonly keep: boolean;
  readonly dataPath: string;
  readonly devices: number;
  readonly ratePerS: number;
}

interface Scene {
  readonly bed: TestBed;
  readonly cloud: CloudProcess;
  readonly cloudApi: RestClient;
  readonly edge: EdgeProcess;
  readonly edgeApi: RestClient;
  readonly edgeId: string;
  /** All that have published, in the order of their creation. */
  readonly devices: ReplayDevice[];
}

/** Readings that the two devices of the outage send: enough to see them, not the whole file again. */
const LATE_DEVICE_READINGS = 500;
const DRAIN_POLL_MS = 5;

async function main(): Promise<void> {
  const options = readOptions();
  await using bed = await createTestBed();
  const interrupted = waitForInterrupt();
  const outcome = await Promise.race([runShowingLogs(bed, options), interrupted]);
  if (outcome === "interrupted") {
    process.exitCode = 130;
    return;
  }
  process.exitCode = outcome.isClean ? 0 : 1;
  if (options.keep) await interrupted;
}

async function runShowingLogs(bed: TestBed, options: DemoOptions): Promise<Outcome> {
  try {
    return await runDemo(bed, options);
  } catch (error) {
    console.error(bed.logs());
    throw error;
  }
}

interface Outcome {
  readonly isClean: boolean;
}

async function runDemo(bed: TestBed, options: DemoOptions): Promise<Outcome> {
  const startedMs = performance.now();
  const readings = await readReadings(options.dataPath);
  const scene = await setScene(bed, options.devices);
  const replay = await replayThroughOutage(scene, readings, options.ratePerS);
  const drain = await returnFromOutage(scene, readings);

  say("Comparing every acknowledged reading with what cloud and edge hold");
  const inCloud = await compareWithAcked(scene.cloudApi, scene.devices);
  const onEdge = await compareWithAcked(scene.edgeApi, scene.devices);
  say(`Cloud: ${describe(inCloud)}`);
  say(`Edge:  ${describe(onEdge)}`);
  if (options.keep) printAddresses(scene);

  const lateReadings = scene.devices.slice(options.devices).length * Math.min(LATE_DEVICE_READINGS, readings.length);
  const summary = {
    published: replay.published + lateReadings,
    acked: sum(scene.devices.map(({ acked }) => acked.size)),
    stored: inCloud.stored,
    lost: inCloud.lost,
    duplicated: inCloud.duplicated,
    assignedWhileOffline: drain.assignedWhileOffline,
    createdOnEdge: drain.createdOnEdge,
    drainPerS: drain.perS,
  };
  const isClean =
    isComplete(inCloud, summary.published) &&
    isComplete(onEdge, summary.published) &&
    summary.acked === summary.published &&
    summary.assignedWhileOffline &&
    summary.createdOnEdge;
  const verdict = isClean ? "Nothing lost, nothing doubled" : "Something is off";
  say(`${verdict}, after ${formatDuration(performance.now() - startedMs)}`);
  console.log(JSON.stringify(summary));
  return { isClean };
}

async function setScene(bed: TestBed, deviceCount: number): Promise<Scene> {
  say("Building the edge, unless it is there: one file with its runtime and its PostgreSQL");
  await ensureEdgeBinary();
  say("Starting the cloud with its own PostgreSQL");
  const cloud = await bed.startCloud();
  const cloudApi = connectToCloud(cloud);
  say(`Creating an edge and ${deviceCount} devices in the cloud by REST, assigning them`);
  const record = await cloudApi.createEdge("Harbour");
  const edgeId = record.id.id;
  const created: TestDevice[] = [];
  for (let index = 0; index < deviceCount; index += 1) {
    const device = await cloudApi.createDevice(`Weather station ${index + 1}`);
    await cloudApi.assignDevice(edgeId, device.id);
    created.push(device);
  }
  say("Starting the edge in an empty directory; it fetches what is assigned to it");
  const edge = await bed.startEdge({
    cloudUrl: cloud.addresses.rpc,
    edgeKey: record.routingKey,
    secret: record.secret,
  });
  const scene: Scene = { bed, cloud, cloudApi, edge, edgeApi: connectToEdge(edge), edgeId, devices: [] };
  await waitForLink(edge);
  for (const device of created) {
    await waitForDevice(scene.edgeApi, device);
    await addDevice(scene, device);
  }
  return scene;
}

/** Half of the readings online, half in an outage, in which a device is created and the edge is killed. */
async function replayThroughOutage(scene: Scene, readings: readonly Reading[], ratePerS: number): Promise<Replay> {
  const { cloud, edge, edgeApi, devices } = scene;
  const stations = [...devices];
  const bar = createProgressBar(stations.length * readings.length);
  const replay = createReplay(stations, readings, {
    ratePerS,
    onProgress: (acked) => bar.update(acked, cloud.isRunning ? "online" : "the cloud is away"),
  });
  say(`Publishing ${replay.total} real readings by MQTT at QoS 1 from ${stations.length} devices`);
  await replay.publishUpTo(0.5);
  bar.close();

  say("Stopping the cloud; the devices go on publishing to the edge");
  await cloud.stop();
  const rest = replay.publishUpTo(1);
  await replay.reached(0.65);
  bar.close();
  say("Creating a device on the edge while the cloud is away");
  await sendFirst(await addDevice(scene, await edgeApi.createDevice("Rain gauge")), readings);
  await replay.reached(0.8);
  bar.close();
  say("SIGKILL to the edge and to its database in the middle of publishing, and a new start");
  await edge.kill();
  await edge.restart();
  await rest;
  bar.close();
  return replay;
}

interface Return {
  readonly perS: number;
  readonly assignedWhileOffline: boolean;
  readonly createdOnEdge: boolean;
}

/** The edge starts into a cloud that is back and has something new for it: both directions catch up at once. */
async function returnFromOutage(scene: Scene, readings: readonly Reading[]): Promise<Return> {
  const { cloud, cloudApi, edge, edgeApi, edgeId, devices } = scene;
  say("SIGKILL to the edge once more; the cloud comes back and gets another device, assigned by REST");
  await edge.kill();
  await cloud.restart();
  const late = await cloudApi.createDevice("Anemometer");
  await cloudApi.assignDevice(edgeId, late.id);

  say("Starting the edge: its backlog drains into the cloud, and the new device comes down");
  await edge.restart();
  const { messages, durationMs } = await measureDrain(edge);
  say(`${messages} waiting messages were sent in ${formatDuration(durationMs)}`);
  await waitForDevice(edgeApi, late);
  await sendFirst(await addDevice(scene, late), readings);
  await waitForDrain(edge);

  const bornOnEdge = devices.find(({ name }) => name === "Rain gauge");
  const inCloud = bornOnEdge === undefined ? undefined : await cloudApi.getDevice(bornOnEdge.id);
  return {
    perS: Math.round((messages / durationMs) * 1000),
    // It has sent with the token that the cloud gave it, or sendFirst had not come back.
    assignedWhileOffline: (await edgeApi.getToken(late.id)) === late.token,
    createdOnEdge: inCloud?.name === bornOnEdge?.name,
  };
}

/** From the first look that sees the session until the cloud has acknowledged everything. */
async function measureDrain(edge: EdgeProcess): Promise<{ readonly messages: number; readonly durationMs: number }> {
  const look = { intervalMs: DRAIN_POLL_MS, deadlineMs: 60_000 };
  const { lanes } = await readEdgeStatus(edge);
  await waitForLink(edge, look);
  const startedMs = performance.now();
  await waitForDrain(edge, look);
  return { messages: lanes.telemetry.backlogItems, durationMs: performance.now() - startedMs };
}

async function addDevice(scene: Scene, device: TestDevice): Promise<ReplayDevice> {
  const mqtt = await scene.bed.connectDevice(scene.edge, device.token);
  const added = { id: device.id, name: device.name, mqtt, acked: new Map<number, Reading>() };
  scene.devices.push(added);
  return added;
}

async function sendFirst(device: ReplayDevice, readings: readonly Reading[]): Promise<void> {
  await Promise.all(readings.slice(0, LATE_DEVICE_READINGS).map((reading) => sendReading(device, reading)));
}

async function waitForDevice(api: RestClient, { id, name }: TestDevice): Promise<void> {
  await waitFor(`${name} to be on the edge`, async () => (await api.getDevice(id)) !== undefined);
}

function isComplete({ stored, lost, duplicated, unknown }: Comparison, published: number): boolean {
  return stored === published && lost === 0 && duplicated === 0 && unknown === 0;
}

function describe({ stored, lost, duplicated, unknown }: Comparison): string {
  return `${stored} readings as acknowledged, ${lost} lost, ${duplicated} doubled, ${unknown} that nobody sent`;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

function printAddresses({ cloud, edge }: Scene): void {
  console.log(`      cloud  ${cloud.addresses.http}  ${CLOUD_USER} / ${ADMIN_PASSWORD}`);
  console.log(`      edge   ${edge.addresses.http}  ${EDGE_USER} / ${ADMIN_PASSWORD}, ${edge.addresses.mqtt}`);
  console.log("      Both run until Ctrl-C");
}

function say(text: string): void {
  console.log(`  ●   ${text}`);
}

async function waitForInterrupt(): Promise<"interrupted"> {
  return await new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resolve("interrupted"));
  });
}

function readOptions(): DemoOptions {
  const { values } = parseArgs({
    options: {
      keep: { type: "boolean", default: false },
      data: { type: "string", default: WEATHER_PATH },
      devices: { type: "string", default: "4" },
      rate: { type: "string", default: "2000" },
    },
  });
  return {
    keep: values.keep,
    dataPath: values.data,
    devices: readCount("--devices", values.devices),
    ratePerS: readCount("--rate", values.rate),
  };
}

function readCount(name: string, text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1)
    throw new Error(`Expected a whole number above 0 for ${name}, got ${text}`);
  return count;
}

await main();
