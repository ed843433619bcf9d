import type { PowerDisk } from "../power/power-disk.ts";
import { Dice } from "../sim/dice.ts";
import type { TcpProxy } from "../support/tcp-proxy.ts";
import type { LoadDevice } from "./load.ts";
import type { Victim } from "./victim.ts";

// Everything that goes wrong. Each place has faults of its own, one after the other; different places fail at the same time.

export interface Targets {
  readonly edge: Victim;
  readonly cloud: Victim;
  /** Between edge and cloud. */
  readonly uplink: TcpProxy;
  /** Between devices and edge. */
  readonly access: TcpProxy;
  readonly devices: readonly LoadDevice[];
}

export interface Fault {
  readonly name: string;
  /** How often it is taken beside the others of its place. */
  readonly weight: number;
  /** Resolves when the place can take the next one. */
  readonly strike: (dice: Dice) => Promise<void> | void;
}

export type PlaceName = "edge" | "cloud" | "uplink" | "devices" | "power";

export interface Place {
  readonly name: PlaceName;
  readonly faults: readonly Fault[];
}

export interface InjectorOptions {
  readonly seed: number;
  /** @default no limit */
  readonly faultsMax?: number | undefined;
  /** Called with each fault when it begins. */
  readonly onFault: (place: string, fault: string) => void;
}

/** Between the end of a fault and the next one of the same place, on average. */
const GAP_MS = 900;
/** For so long the same places fail; in between nothing does, so that both ends meet. */
const PHASE_MS = 9_000;
const CALM_MS = 2_000;
const PLACE_CHANCE = 0.65;
/** 50 kbit/s. */
const SLOW_BYTES_PER_S = 6_250;

export function listPlaces({ edge, cloud, uplink, access, devices }: Targets): readonly Place[] {
  return [
    { name: "edge", faults: programFaults(edge) },
    { name: "cloud", faults: programFaults(cloud) },
    { name: "uplink", faults: linkFaults(uplink) },
    { name: "devices", faults: deviceFaults(access, devices) },
  ];
}

/** The edge's machine alone, whose disk forgets what was not synced. */
export function powerPlace({ edge }: Targets, disk: PowerDisk): Place {
  const delaysMs = (dice: Dice): number[] => Array.from({ length: dice.whole(1, 2) }, () => dice.between(20, 700));
  return {
    name: "power",
    faults: [
      { name: "power loss", weight: 3, strike: (dice) => edge.losePower(disk, dice, []) },
      {
        name: "power loss, and again while starting",
        weight: 1,
        strike: (dice) => edge.losePower(disk, dice, delaysMs(dice)),
      },
    ],
  };
}

/** Runs until `signal` aborts or so many faults were struck, and resolves when the last one is over. @returns faults struck */
export async function injectFaults(
  places: readonly Place[],
  options: InjectorOptions,
  signal: AbortSignal,
): Promise<number> {
  const { faultsMax = Infinity } = options;
  const phases = createPhases(new Dice(options.seed), places.length);
  let struck = 0;
  const isOver = (): boolean => signal.aborted || struck >= faultsMax;
  const harass = async (place: Place, index: number): Promise<void> => {
    const dice = new Dice(options.seed * 31 + index);
    while (!isOver()) {
      await Bun.sleep(dice.exponentialMs(GAP_MS));
      while (!phases.isActive(index) && !isOver()) await Bun.sleep(50);
      if (isOver()) return;
      const fault = pickFault(place.faults, dice);
      struck += 1;
      options.onFault(place.name, fault.name);
      await fault.strike(dice);
    }
  };
  await Promise.all(places.map(harass));
  return struck;
}

/** Links as they should be. What was forgotten stays silent: nobody knows. */
export function calmLinks({ uplink, access }: Targets): void {
  for (const proxy of [uplink, access]) {
    proxy.setLink({});
    proxy.setMode("pass");
  }
}

function createPhases(dice: Dice, places: number) {
  const startedMs = performance.now();
  const phases: boolean[][] = [];
  return {
    isActive(place: number): boolean {
      const elapsedMs = performance.now() - startedMs;
      const number = Math.floor(elapsedMs / (PHASE_MS + CALM_MS));
      if (elapsedMs - number * (PHASE_MS + CALM_MS) > PHASE_MS) return false;
      while (phases.length <= number) phases.push(rollPhase(dice, places));
      return phases[number]?.[place] ?? false;
    },
  };
}

function rollPhase(dice: Dice, places: number): boolean[] {
  const active = Array.from({ length: places }, () => dice.chance(PLACE_CHANCE));
  return active.includes(true) ? active : active.map(() => true);
}

function pickFault(faults: readonly Fault[], dice: Dice): Fault {
  let left = dice.between(
    0,
    faults.reduce((sum, { weight }) => sum + weight, 0),
  );
  const fault = faults.find(({ weight }) => (left -= weight) < 0) ?? faults.at(-1);
  if (fault === undefined) throw new Error("Expected a place with faults");
  return fault;
}

function programFaults(victim: Victim): readonly Fault[] {
  const faults: readonly Fault[] = [
    { name: "kill program", weight: 3, strike: (dice) => victim.killProgram(pauseMs(dice)) },
    { name: "kill database", weight: 3, strike: () => victim.killDatabase() },
    { name: "kill a database process", weight: 2, strike: (dice) => victim.killBackend(dice) },
    { name: "power failure", weight: 3, strike: (dice) => victim.failPower(pauseMs(dice)) },
    { name: "restart", weight: 2, strike: (dice) => victim.restart(pauseMs(dice)) },
    { name: "freeze program", weight: 3, strike: (dice) => victim.freeze(["program"], dice.between(100, 3_000)) },
    { name: "freeze database", weight: 2, strike: (dice) => victim.freeze(["database"], dice.between(100, 3_000)) },
    {
      name: "freeze both",
      weight: 1,
      strike: (dice) => victim.freeze(["program", "database"], dice.between(500, 4_000)),
    },
    {
      name: "kill while starting",
      weight: 2,
      strike: (dice) => victim.killWhileStarting(Array.from({ length: dice.whole(1, 3) }, () => dice.between(20, 900))),
    },
    {
      name: "power failure while the database is frozen",
      weight: 1,
      strike: async (dice) => {
        await victim.freeze(["database"], dice.between(50, 500));
        await victim.failPower(0);
      },
    },
  ];
  return faults.map((fault) => ({
    ...fault,
    strike: async (dice) => {
      await victim.revive();
      await fault.strike(dice);
    },
  }));
}

function pauseMs(dice: Dice): number {
  return dice.chance(0.6) ? 0 : dice.between(0, 1_500);
}

function linkFaults(proxy: TcpProxy): readonly Fault[] {
  /** `prepare`, some time, everything as before. */
  const during =
    (highMs: number, prepare: (dice: Dice) => void, end: () => void = () => undefined) =>
    async (dice: Dice): Promise<void> => {
      prepare(dice);
      await Bun.sleep(dice.between(100, highMs));
      end();
      proxy.setLink({});
      proxy.setMode("pass");
    };
  return [
    { name: "reset", weight: 4, strike: () => proxy.cut() },
    { name: "delay", weight: 2, strike: during(4_000, (dice) => proxy.setLink({ delayMs: dice.between(50, 600) })) },
    { name: "50 kbit/s", weight: 2, strike: during(6_000, () => proxy.setLink({ bytesPerS: SLOW_BYTES_PER_S })) },
    { name: "stall", weight: 2, strike: during(3_000, () => proxy.setMode("stall")) },
    { name: "late acknowledgements", weight: 2, strike: during(3_000, () => proxy.setMode("mute")) },
    {
      name: "lost acknowledgements",
      weight: 3,
      strike: during(
        2_000,
        () => proxy.setMode("mute"),
        () => proxy.cut(),
      ),
    },
    { name: "half-open", weight: 2, strike: () => proxy.forget() },
    {
      name: "no route",
      weight: 2,
      strike: during(2_500, () => {
        proxy.setMode("refuse");
        proxy.cut();
      }),
    },
    {
      name: "flapping",
      weight: 2,
      strike: async (dice) => {
        for (let times = dice.whole(3, 8); times > 0; times -= 1) {
          proxy.cut();
          await Bun.sleep(dice.between(20, 400));
        }
      },
    },
  ];
}

function deviceFaults(access: TcpProxy, devices: readonly LoadDevice[]): readonly Fault[] {
  return [
    { name: "reset", weight: 3, strike: () => access.cut() },
    { name: "half-open", weight: 1, strike: () => access.forget() },
    { name: "a device loses its power", weight: 2, strike: (dice) => dice.pick(devices)?.loseConnection() },
    {
      name: "lost acknowledgements",
      weight: 2,
      strike: async (dice) => {
        access.setMode("mute");
        await Bun.sleep(dice.between(50, 1_000));
        access.cut();
        access.setMode("pass");
      },
    },
  ];
}
