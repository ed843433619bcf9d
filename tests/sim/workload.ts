import type { UplinkLane } from "../../shared/sync/lanes.ts";
import type { SimEdgeStore } from "./edge-store.ts";
import type { Simulation } from "./simulation.ts";

const ENTITIES = 12;
/** Now and then the disk of the edge is full. */
const WRITES_PER_REMOVAL = 20;
const REMOVAL_ROWS = 4;
const BACKLOG_RECORDS = 400;
const BACKLOG_ROW = 40;

/** What devices and people do: writes on both sides, whatever the link does. */
export class Workload {
  /** After a restore people wait until the edge was heard; see SPEC.md, "What version 1 does not notice". */
  cloudPaused = false;
  readonly #world: Simulation;
  #stopped = false;
  #writes = 0;

  constructor(world: Simulation) {
    this.#world = world;
  }

  start(): void {
    this.#next();
  }

  stop(): void {
    this.#stopped = true;
  }

  /** A crowd at once, both ways. */
  burst(): void {
    const { cloud, dice } = this.#world;
    if (!this.cloudPaused) {
      cloud.store.writeEntity(dice.whole(1, ENTITIES));
      cloud.wake();
    }
    const writes = dice.whole(3, 25);
    for (let index = 0; index < writes; index += 1) this.#write();
  }

  singleChange(): void {
    const { dice, profile, scheduler } = this.#world;
    // Two, the second while the first is being read: the wake-up that is easily lost.
    this.#write();
    scheduler.after(dice.between(0, profile.databaseMs * 2), () => this.#write());
    scheduler.runUntil(scheduler.nowMs + profile.databaseMs * 2);
  }

  writeOnEdge(store: SimEdgeStore): void {
    const { dice } = this.#world;
    if (store.devices === 0 || dice.chance(0.2)) {
      const kind = dice.chance(0.5) ? "create" : dice.pick(["update", "update", "update", "large", "refused"] as const);
      store.writeConfig(
        store.devices === 0 || kind === undefined ? "create" : kind,
        dice.whole(1, Math.max(1, store.devices)),
      );
      return;
    }
    const records = dice.chance(0.1) ? dice.whole(10, 80) : dice.whole(1, 6);
    // Mostly of the newest device, whose creation may be on its way still.
    const device = (): number => (dice.chance(0.5) ? store.devices : dice.whole(1, store.devices));
    store.writeTelemetry(Array.from({ length: records }, device));
  }

  /** Telemetry that waits for the link after an outage. Config would go before it and before what is fresh. */
  backlog(): void {
    this.#writeRecords(BACKLOG_RECORDS);
  }

  /** One fresh record. @returns its sequence */
  freshRecord(): number {
    const seq = this.#world.edge.store.nextSeq("telemetry");
    this.#writeRecords(1);
    this.#wake("telemetry");
    return seq;
  }

  #writeRecords(records: number): void {
    const { store } = this.#world.edge;
    if (store.devices === 0) store.writeConfig("create", 1);
    for (let left = records; left > 0; left -= BACKLOG_ROW) {
      store.writeTelemetry(Array.from({ length: Math.min(left, BACKLOG_ROW) }, () => store.devices));
    }
  }

  #wake(lane: UplinkLane): void {
    const { session } = this.#world.edge;
    if (lane === "telemetry") session?.wake("live");
    session?.wake(lane);
  }

  #next(): void {
    const { dice, profile, scheduler } = this.#world;
    scheduler.after(dice.exponentialMs(profile.workEveryMs), () => {
      if (this.#stopped) return;
      this.#write();
      this.#next();
    });
  }

  #write(): void {
    const { dice, edge, cloud } = this.#world;
    if (dice.chance(0.25)) {
      if (this.cloudPaused) return;
      cloud.store.writeEntity(dice.whole(1, ENTITIES));
      cloud.wake();
      // A clone or a restored database may ask for older rows again, which version 1 does not answer.
      if (dice.chance(0.1) && this.#world.profile.wipesEdge) cloud.store.pruneEvents();
      return;
    }
    if (!edge.isUp) return;
    const before = edge.store.nextSeq("config");
    this.writeOnEdge(edge.store);
    this.#wake(edge.store.nextSeq("config") > before ? "config" : "telemetry");
    if (dice.chance(0.1)) edge.store.mergeRows(edge.sentTelemetry(), dice.whole(2, 12));
    this.#writes += 1;
    if (this.#writes % WRITES_PER_REMOVAL === 0) {
      edge.store.removeRecords(edge.sentTelemetry(), REMOVAL_ROWS);
      edge.session?.wake("config");
    }
    if (dice.chance(0.02) && !this.#world.profile.restoresCloud) edge.store.prune();
    if (dice.chance(0.1)) edge.store.flush();
  }
}
