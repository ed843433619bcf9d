/** How far a burst may run ahead of the clock; further messages of the burst share times. */
const AHEAD_MAX_MS = 1000;
const DEVICES_MAX = 10_000;

/**
 * Times for messages without their own. Points of one time are merged in the store, so two messages of a device that arrive
 * within a ms would overwrite each other after both were acknowledged: the later one gets the next ms instead.
 */
export class ServerTimes {
  readonly #lastMs = new Map<string, number>();

  /** The time that the next message of `device`, an id or another name for it, would get. */
  next(device: string, nowMs: number): number {
    const lastMs = this.#lastMs.get(device);
    return lastMs === undefined || lastMs < nowMs || lastMs >= nowMs + AHEAD_MAX_MS ? nowMs : lastMs + 1;
  }

  /** Notes that the time was used. */
  use(device: string, tsMs: number): void {
    // Only entries of the last second matter, so forgetting all of them costs next to nothing.
    if (this.#lastMs.size >= DEVICES_MAX) this.#lastMs.clear();
    this.#lastMs.set(device, tsMs);
  }
}
