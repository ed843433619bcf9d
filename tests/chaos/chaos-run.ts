import { join } from "node:path";
import type { PowerDisk } from "../power/power-disk.ts";
import { Dice } from "../sim/dice.ts";
import { waitForDrain } from "../support/edge-status.ts";
import { findFreePorts } from "../support/free-ports.ts";
import type { EdgeOptions } from "../support/processes.ts";
import type { Reading } from "../support/readings.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import type { Site, TestBed } from "../support/test-bed.ts";
import { waitFor } from "../support/wait-for.ts";
import {
  findBackwardPushes,
  findBrokenPromises,
  findDifferences,
  findLostCounters,
  findMissingBirths,
  findStaleValues,
} from "./agreement.ts";
import { CloudChanges, EdgeChanges, manage, type ManagedDevice } from "./changes.ts";
import { checkEvidence, type Evidence, type Finding } from "./checker.ts";
import { calmLinks, injectFaults, listPlaces, powerPlace, type Place, type PlaceName, type Targets } from "./faults.ts";
import { LoadDevice } from "./load.ts";
import { Victim } from "./victim.ts";
import { installWitness, readOutbox, readWitness } from "./witness.ts";

export interface ChaosOptions {
  readonly seed: number;
  /** Faults are struck for so long. */
  readonly durationMs: number;
  /** Ends earlier after so many faults. @default no limit */
  readonly faultsMax?: number | undefined;
  /** Where faults are struck. @default everywhere */
  readonly places?: readonly PlaceName[] | undefined;
  /** Names of the faults that are struck there. @default all */
  readonly faults?: readonly string[] | undefined;
  /** The edge works on it, and losing its power is the only fault. @default none */
  readonly disk?: PowerDisk | undefined;
  /** How long both ends may take to agree after the last fault. @default 120_000 */
  readonly convergeWithinMs?: number;
  /** A tree of sources to run instead of this one; the edge is the compiled one when absent. */
  readonly sourceDir?: string | undefined;
  /** Called with what happens, for people. @default nobody */
  readonly onLine?: (line: string) => void;
}

/** The line that ends a run. Everything but the first eight fields has to be 0 (see docs/proofs.md). */
export interface ChaosVerdict extends Omit<Finding, "examples"> {
  readonly verdict: "pass" | "fail";
  readonly seed: number;
  readonly faults: number;
  /** Changes made by REST that were answered with 200. */
  readonly changes: number;
  /** From the last fault until both ends agreed; null when they did not in time. */
  readonly convergedMs: number | null;
  /** Names, credentials, attributes, assignments that are not as promised, or not the same on both ends. */
  readonly different: number;
  /** Ends of a program that nobody caused. */
  readonly died: number;
  /** Items that one end refused. */
  readonly parked: number;
}

const LOAD_DEVICES = 6;
const MOVING_DEVICES = 5;
const MESSAGES_PER_S = 50;
/** Half-open connections and the longest backoff between two sessions are within it. */
const CONVERGE_WITHIN_MS = 120_000;

/** @throws Error when a program does not start again */
export async function runChaos(bed: TestBed, options: ChaosOptions): Promise<ChaosVerdict> {
  const world = await createWorld(bed, options);
  const { births, changes, site, targets } = world;
  const { convergeWithinMs = CONVERGE_WITHIN_MS, onLine = () => undefined } = options;
  const faults = await strike(world, options);
  const convergedMs = await converge(world, convergeWithinMs, onLine);

  const evidence = await collectEvidence(world);
  const { examples, ...counts } = checkEvidence(evidence);
  const problems = await findProblems(world, evidence);
  const died = [...targets.edge.deaths, ...targets.cloud.deaths];
  const parked = await countParked(site);
  for (const line of [...examples, ...problems, ...died]) onLine(`  ${line}`);
  const wrong = [counts.lost, counts.apart, counts.unknown, counts.twice, counts.disordered];
  const isGood = convergedMs !== null && [...wrong, problems.length, died.length, parked].every((count) => count === 0);
  return {
    verdict: isGood ? "pass" : "fail",
    seed: options.seed,
    faults,
    changes: changes.acknowledged + births.acknowledged,
    convergedMs,
    ...counts,
    different: problems.length,
    died: died.length,
    parked,
  };
}

/** Load, changes and faults, until the time is over; then everything runs again. @returns faults struck */
async function strike({ births, changes, devices, targets }: World, options: ChaosOptions): Promise<number> {
  const { durationMs, faultsMax, onLine = () => undefined, seed } = options;
  const startedMs = performance.now();
  const onFault = (place: string, fault: string): void =>
    onLine(`${((performance.now() - startedMs) / 1000).toFixed(2).padStart(8)} s  ${place}: ${fault}`);
  const stop = new AbortController();
  const work = [
    ...devices.map((device) => device.run(MESSAGES_PER_S, stop.signal)),
    changes.run(stop.signal),
    births.run(stop.signal),
  ];
  try {
    const places = selectPlaces(targets, options);
    const faults = await injectFaults(places, { seed, faultsMax, onFault }, AbortSignal.timeout(durationMs));
    calmLinks(targets);
    await Promise.all([targets.edge.revive(), targets.cloud.revive()]);
    return faults;
  } finally {
    stop.abort();
    await Promise.all(work);
  }
}

async function collectEvidence({ devices, isSentInOrder, site }: World): Promise<Evidence> {
  return {
    claims: devices.map(({ device: { id, name }, attempted, acked }) => ({ deviceId: id, name, attempted, acked })),
    edge: await readAll(site.edgeApi, devices),
    cloud: await readAll(site.cloudApi, devices),
    outbox: await readOutbox(site.edge),
    witness: await readWitness(site.cloud),
    isSentInOrder,
  };
}

function selectPlaces(targets: Targets, { disk, faults, places }: ChaosOptions): readonly Place[] {
  if (disk !== undefined) return [powerPlace(targets, disk)];
  return listPlaces(targets)
    .filter(({ name }) => places?.includes(name) ?? true)
    .map((place) => ({ ...place, faults: place.faults.filter(({ name }) => faults?.includes(name) ?? true) }));
}

interface World {
  readonly site: Site;
  readonly targets: Targets;
  readonly devices: readonly LoadDevice[];
  readonly managed: readonly ManagedDevice[];
  readonly changes: CloudChanges;
  readonly births: EdgeChanges;
  readonly isSentInOrder: boolean;
}

async function createWorld(bed: TestBed, { disk, seed, sourceDir }: ChaosOptions): Promise<World> {
  // Interleaved telemetry reaches the cloud in no order that could be checked; both orders have to lose nothing.
  const isSentInOrder = seed % 2 === 1;
  const [http, rpc, edgeMqtt, edgeHttp] = (await findFreePorts(4)).map((port) => `127.0.0.1:${port}`);
  const cloud = await bed.startCloud({
    addresses: { http: `http://${http}`, rpc: `http://${rpc}` },
    ...(sourceDir === undefined ? {} : { sourceDir }),
  });
  await installWitness(cloud);
  const uplink = bed.use(await startTcpProxy(cloud.addresses.rpc));
  const edgeOptions: Partial<EdgeOptions> = {
    cloudUrl: uplink.url,
    args: ["--backlog-order", isSentInOrder ? "oldest-first" : "interleaved"],
    addresses: { mqtt: `mqtt://${edgeMqtt}`, http: `http://${edgeHttp}` },
    ...(disk === undefined ? {} : { dataDir: join(disk.dir, "data") }),
    ...(sourceDir === undefined ? {} : { program: [process.execPath, `${sourceDir}/edge/main.ts`] }),
  };
  const site = await bed.startSite(cloud, edgeOptions);
  const access = bed.use(await startTcpProxy(site.edge.addresses.mqtt.replace("mqtt:", "http:")));
  const { cloudApi, edgeApi, edgeId } = site;
  const makeDevices = (count: number, prefix: string) =>
    Promise.all(Array.from({ length: count }, (_, index) => cloudApi.createDevice(`${prefix} ${index + 1}`)));
  const loaded = await makeDevices(LOAD_DEVICES, "Load");
  const moving = await makeDevices(MOVING_DEVICES, "Moving");
  for (const { id } of loaded) {
    await cloudApi.assignDevice(edgeId, id);
    await waitFor(`device ${id} to be on the edge`, async () => (await edgeApi.getDevice(id)) !== undefined);
  }
  const devices = loaded.map(
    (device, index) => new LoadDevice(`mqtt://127.0.0.1:${access.port}`, device, new Dice(seed * 101 + index)),
  );
  bed.use({ [Symbol.asyncDispose]: () => Promise.resolve(devices.forEach((device) => device.stop())) });
  const changes = new CloudChanges(
    site,
    { steady: loaded.map((device) => manage(device, true)), moving: moving.map((device) => manage(device, false)) },
    new Dice(seed * 103),
  );
  return {
    site,
    devices,
    isSentInOrder,
    changes,
    managed: changes.devices,
    births: new EdgeChanges(site, new Dice(seed * 107)),
    targets: { edge: new Victim(site.edge), cloud: new Victim(cloud), uplink, access, devices },
  };
}

/** Until every device has its acknowledgements, everything is sent both ways, and both ends hold the same. @returns ms; null when they don't */
async function converge(
  { devices, site }: World,
  limitMs: number,
  onLine: (line: string) => void,
): Promise<number | null> {
  const startedMs = performance.now();
  const rest = (): { deadlineMs: number } => ({ deadlineMs: limitMs - (performance.now() - startedMs) });
  try {
    await Promise.all(devices.map((device) => device.settle(limitMs)));
    await waitForDrain(site.edge, rest());
    const isSame = async (): Promise<boolean> => (await findDifferences(site)).length === 0;
    await waitFor("both ends to hold the same", isSame, { ...rest(), intervalMs: 100 });
    return Math.round(performance.now() - startedMs);
  } catch (error) {
    onLine(String(error));
    return null;
  }
}

async function findProblems({ births, devices, managed, site }: World, evidence: Evidence): Promise<string[]> {
  return [
    ...(await findDifferences(site)),
    ...(await findStaleValues(site, evidence)),
    ...(await findBrokenPromises(site, managed)),
    ...(await findMissingBirths(site, births, managed)),
    ...(await findLostCounters(site, devices)),
    ...findBackwardPushes(devices, managed),
  ];
}

async function readAll(
  api: Site["edgeApi"],
  devices: readonly LoadDevice[],
): Promise<ReadonlyMap<string, readonly Reading[]>> {
  const rows = new Map<string, readonly Reading[]>();
  for (const { device } of devices) rows.set(device.id, await api.readHistory(device.id));
  return rows;
}

async function countParked({ cloudApi, edge, edgeId }: Site): Promise<number> {
  const status = (await (await fetch(`${edge.addresses.http}/status`)).json()) as { readonly parked: number };
  const failed = (await cloudApi.edgeEvents(edgeId)).filter(({ state }) => state === "failed");
  return status.parked + failed.length;
}
