/** What runs later; a cancelled task is skipped when its time comes. */
export interface Task {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
  cancelled: boolean;
}

/** Virtual time: tasks run in the order of their time, those of one time in the order in which they were made. */
export class Scheduler {
  readonly #heap: Task[] = [];
  #nowMs = 0;
  #order = 0;
  #steps = 0;

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Tasks that ran. */
  get steps(): number {
    return this.#steps;
  }

  after(delayMs: number, run: () => void): Task {
    return this.at(this.#nowMs + delayMs, run);
  }

  /** Runs at this very time: what was computed once does not change order by being rounded again. */
  at(atMs: number, run: () => void): Task {
    this.#order += 1;
    const task: Task = { atMs, order: this.#order, run, cancelled: false };
    this.#heap.push(task);
    this.#rise(this.#heap.length - 1);
    return task;
  }

  /** Runs everything that is due up to `untilMs`. */
  runUntil(untilMs: number): void {
    for (let task = this.#heap[0]; task !== undefined && task.atMs <= untilMs; task = this.#heap[0]) {
      this.#removeFirst();
      if (task.cancelled) continue;
      this.#nowMs = task.atMs;
      this.#steps += 1;
      task.run();
    }
    this.#nowMs = untilMs;
  }

  #rise(start: number): void {
    let index = start;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!this.#isBefore(index, parent)) return;
      this.#swap(index, parent);
      index = parent;
    }
  }

  #removeFirst(): void {
    const last = this.#heap.pop();
    if (last === undefined || this.#heap.length === 0) return;
    this.#heap[0] = last;
    let index = 0;
    for (;;) {
      const left = index * 2 + 1;
      let least = index;
      if (this.#isBefore(left, least)) least = left;
      if (this.#isBefore(left + 1, least)) least = left + 1;
      if (least === index) return;
      this.#swap(index, least);
      index = least;
    }
  }

  #isBefore(index: number, other: number): boolean {
    const left = this.#heap[index];
    const right = this.#heap[other];
    if (left === undefined || right === undefined) return false;
    return left.atMs < right.atMs || (left.atMs === right.atMs && left.order < right.order);
  }

  #swap(index: number, other: number): void {
    const left = this.#heap[index];
    const right = this.#heap[other];
    if (left === undefined || right === undefined) return;
    this.#heap[index] = right;
    this.#heap[other] = left;
  }
}
