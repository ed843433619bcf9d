import type { Uuid } from "../../core/ids.ts";

/** What alarms are called among the ids that processes tell each other of, of whatever tenant: few look at alarms, and most see many. */
export const ALARMS = "a1a4a4a4-0000-4000-8000-000000000000" as Uuid; // a uuid that no entity gets

/** Who looks at alarms hears that some changed, and looks again at those that it may see. */
export class AlarmWatch {
  readonly #listeners = new Set<() => void>();
  readonly #onWatch: () => void;

  /** @param onWatch somebody looks at alarms, and nobody did before */
  constructor(onWatch: () => void) {
    this.#onWatch = onWatch;
  }

  /** @returns how to stop */
  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    if (this.#listeners.size === 1) this.#onWatch();
    return () => void this.#listeners.delete(listener);
  }

  wake(ids: readonly Uuid[]): void {
    if (this.#listeners.size === 0 || !ids.includes(ALARMS)) return;
    for (const listener of this.#listeners) listener();
  }

  watched(): readonly Uuid[] {
    return this.#listeners.size === 0 ? [] : [ALARMS];
  }
}
