/** What an expression sees of a window; what can't be worked out of so few points is missing. */
export interface WindowFacts {
  readonly count: number;
  readonly sum: number;
  readonly avg?: number;
  readonly min?: number;
  readonly max?: number;
  readonly first?: number;
  readonly last?: number;
  /** The last minus the first. */
  readonly delta?: number;
  /** `delta` per second between the two. */
  readonly rate?: number;
}

export interface WindowBounds {
  /** A point that is this much older than the newest, or more, is out. */
  readonly lengthMs: number;
  readonly pointsMax: number;
}

/** The newest numbers of a key, in the order of time. */
export class RollingWindow {
  readonly #bounds: WindowBounds;
  readonly #times: number[] = [];
  readonly #values: number[] = [];

  constructor(bounds: WindowBounds) {
    this.#bounds = bounds;
  }

  get size(): number {
    return this.#times.length;
  }

  /** Of two values of one time the later one counts. */
  add(tsMs: number, value: number): void {
    let place = this.#times.length;
    while (place > 0 && (this.#times[place - 1] ?? 0) > tsMs) place -= 1;
    if (place > 0 && this.#times[place - 1] === tsMs) {
      this.#values[place - 1] = value;
      return;
    }
    this.#times.splice(place, 0, tsMs);
    this.#values.splice(place, 0, value);
    this.passTo(this.#times.at(-1) ?? tsMs);
  }

  /** The newest point of any key is of this time. */
  passTo(tsMs: number): void {
    const { lengthMs, pointsMax } = this.#bounds;
    let out = Math.max(0, this.#times.length - pointsMax);
    while (out < this.#times.length && (this.#times[out] ?? 0) <= tsMs - lengthMs) out += 1;
    if (out === 0) return;
    this.#times.splice(0, out);
    this.#values.splice(0, out);
  }

  dropAfter(tsMs: number): void {
    while ((this.#times.at(-1) ?? -Infinity) > tsMs) {
      this.#times.pop();
      this.#values.pop();
    }
  }

  facts(): WindowFacts {
    const first = this.#values[0];
    const last = this.#values.at(-1);
    if (first === undefined || last === undefined) return { count: 0, sum: 0 };
    let [sum, min, max] = [0, first, first];
    for (const value of this.#values) {
      sum += value;
      if (value < min) min = value;
      if (value > max) max = value;
    }
    const count = this.#values.length;
    const delta = last - first;
    const seconds = ((this.#times.at(-1) ?? 0) - (this.#times[0] ?? 0)) / 1_000;
    const known = { count, sum, avg: sum / count, min, max, first, last, delta };
    return seconds > 0 ? { ...known, rate: delta / seconds } : known;
  }
}
