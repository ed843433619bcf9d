import { UPLINK_LANES } from "../../shared/sync/lanes.ts";
import type { Role } from "../../shared/sync/session-state.ts";
import { SimEdgeProcess } from "./edge-process.ts";
import type { SimEdgeStore } from "./edge-store.ts";
import type { Simulation } from "./simulation.ts";
import type { Workload } from "./workload.ts";

// Everything that goes wrong.

type Fault =
  | "cut"
  | "half-open"
  | "stall"
  | "lose-acks"
  | "lose-frame"
  | "partition"
  | "crash-edge"
  | "crash-cloud"
  | "wipe"
  | "restore"
  | "set-back"
  | "damage"
  | "rival";

const COMMON: readonly Fault[] = [
  "cut",
  "cut",
  "cut",
  "half-open",
  "stall",
  "lose-acks",
  "partition",
  "crash-edge",
  "crash-edge",
  "crash-cloud",
];

const WRITES_ALONE_MAX = 1_000;

export class FaultInjector {
  readonly #world: Simulation;
  readonly #workload: Workload;
  readonly #kinds: readonly Fault[];
  #rival: SimEdgeProcess | null = null;
  #edgeCopy: SimEdgeStore | null = null;
  #backup: ReturnType<Simulation["cloud"]["store"]["backup"]> | null = null;
  #healed = false;

  constructor(world: Simulation, workload: Workload) {
    this.#world = world;
    this.#workload = workload;
    const { losesFrames, restoresCloud, wipesEdge, setsEdgeBack, damagesEdge, hasRival } = world.profile;
    const special: Fault[] = [];
    if (losesFrames) special.push("lose-frame");
    if (restoresCloud) special.push("restore", "restore");
    if (wipesEdge) special.push("wipe");
    if (setsEdgeBack) special.push("set-back", "set-back");
    if (damagesEdge) special.push("damage", "damage");
    if (hasRival) special.push("rival", "rival");
    this.#kinds = [...COMMON, ...special];
  }

  start(): void {
    const { dice, profile, scheduler } = this.#world;
    scheduler.after(dice.exponentialMs(profile.faultEveryMs), () => {
      if (this.#healed) return;
      const fault = dice.pick(this.#kinds);
      if (fault !== undefined) this.#strike(fault);
      this.start();
    });
  }

  /** Everything is up again. Streams that went silent stay so: nobody knows. */
  heal(): void {
    const { cloud, edge } = this.#world;
    this.#world.trace("world", "healed");
    this.#healed = true;
    this.#world.isPartitioned = false;
    for (const stream of this.#world.streams) {
      stream.calm();
      // Nothing is written in the cloud that would show a lost ack before single changes are expected to arrive at once.
      if (this.#workload.cloudPaused) stream.cut({ edge: true, cloud: true });
    }
    this.#rival?.crash(false);
    cloud.isUp = true;
    edge.isHeld = false;
    edge.start();
  }

  #strike(fault: Fault): void {
    const { dice, cloud, edge } = this.#world;
    this.#world.trace("world", fault);
    const stream = dice.pick([...this.#world.streams]);
    const from: Role = dice.chance(0.5) ? "edge" : "cloud";
    switch (fault) {
      case "cut":
        return stream?.cut({ edge: dice.chance(0.7), cloud: dice.chance(0.7) });
      case "half-open":
        return stream?.goSilent(from);
      case "stall":
        return stream?.stall(from, dice.between(100, 30_000));
      case "lose-acks":
        return stream?.loseAcks(from, dice.between(100, 90_000));
      case "lose-frame":
        return stream?.loseNext(from);
      case "partition":
        return this.#partition();
      case "crash-edge":
        edge.crash(dice.chance(0.5));
        return this.#later(() => edge.start());
      case "crash-cloud":
        this.#crashCloud(true);
        return this.#later(() => {
          cloud.isUp = true;
        });
      case "wipe":
        edge.crash(true);
        edge.store = this.#world.createEdgeStore();
        return this.#later(() => edge.start());
      case "restore":
        return this.#restore();
      case "set-back":
        return this.#setEdgeBack();
      case "damage":
        return this.#damageEdge();
      case "rival":
        return this.#startRival();
    }
  }

  #later(run: () => void): void {
    const { dice, scheduler } = this.#world;
    scheduler.after(dice.between(50, 15_000), () => {
      if (!this.#healed) run();
    });
  }

  #partition(): void {
    this.#world.isPartitioned = true;
    for (const stream of this.#world.streams)
      stream.cut({ edge: this.#world.dice.chance(0.5), cloud: this.#world.dice.chance(0.5) });
    this.#later(() => {
      this.#world.isPartitioned = false;
    });
  }

  #crashCloud(late: boolean): void {
    const { cloud, dice, streams } = this.#world;
    cloud.crash(late);
    for (const stream of streams) stream.cut({ edge: dice.chance(0.7), cloud: false });
  }

  /** A backup first; the next time the database is set back to it. */
  #restore(): void {
    const { cloud } = this.#world;
    if (this.#backup === null) {
      this.#backup = cloud.store.backup();
      return;
    }
    this.#crashCloud(false);
    cloud.store.restore(this.#backup);
    this.#backup = cloud.store.backup();
    this.#workload.cloudPaused = true;
    const { session } = cloud.store;
    const resume = (): void => {
      if (cloud.store.session > session) this.#workload.cloudPaused = false;
      else this.#world.scheduler.after(100, resume);
    };
    resume();
    this.#later(() => {
      cloud.isUp = true;
    });
  }

  /** A copy first; the next time the edge's disk is set back to it, once nothing of the edge is on its way any more. */
  #setEdgeBack(): void {
    const { cloud, edge, scheduler, streams } = this.#world;
    if (edge.isHeld) return;
    if (this.#edgeCopy === null) {
      this.#edgeCopy = edge.store.clone();
      return;
    }
    const copy = this.#edgeCopy;
    this.#edgeCopy = null;
    edge.crash(true);
    edge.isHeld = true;
    for (const stream of streams) stream.cut({ edge: true, cloud: true });
    const swap = (): void => {
      if (this.#healed) return;
      if (cloud.isBusy) {
        scheduler.after(100, swap);
        return;
      }
      this.#world.broken.prepareEdge(copy);
      copy.beginLife();
      this.#writeAlone(copy, edge.store);
      edge.store = copy;
      edge.isHeld = false;
      edge.start();
    };
    swap();
  }

  /** Numbers that the cloud has seen stand for something else now; often there are more of them than it has seen. */
  #writeAlone(copy: SimEdgeStore, original: SimEdgeStore): void {
    const { dice } = this.#world;
    for (let writes = dice.whole(0, 20); writes > 0; writes -= 1) this.#workload.writeOnEdge(copy);
    if (dice.chance(0.5)) return;
    const isBehind = (): boolean => UPLINK_LANES.some((lane) => copy.nextSeq(lane) <= original.nextSeq(lane));
    for (let writes = 0; isBehind() && writes < WRITES_ALONE_MAX; writes += 1) this.#workload.writeOnEdge(copy);
  }

  /** Somebody writes into the edge's database. */
  #damageEdge(): void {
    const { dice, edge } = this.#world;
    const entity = dice.pick([...edge.store.entities.keys()]);
    if (entity === undefined || dice.chance(0.3)) edge.store.entities.set(dice.whole(100, 120), 1);
    else if (dice.chance(0.5)) edge.store.entities.delete(entity);
    else edge.store.entities.set(entity, dice.whole(1_000, 2_000));
  }

  /** A second machine with the same identity: another database, or a clone of this one whose devices are not there. */
  #startRival(): void {
    const { dice, edge } = this.#world;
    if (this.#rival !== null) {
      this.#rival.crash(false);
      this.#rival = null;
      return;
    }
    const isClone = dice.chance(0.5);
    const store = isClone ? edge.store.clone() : this.#world.createEdgeStore();
    if (!isClone) for (let writes = dice.whole(1, 8); writes > 0; writes -= 1) this.#workload.writeOnEdge(store);
    this.#rival = new SimEdgeProcess("rival", store, this.#world);
    this.#rival.start();
  }
}
