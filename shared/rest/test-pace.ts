import type { Clock } from "../core/clock.ts";

/** Of an answer. */
const LINES_MAX = 10_000;
const TEST_MS_MAX = 10_000;
/** How long a test keeps everybody else waiting at a time. */
const SLICE_MS = 10;

/** Lets others work while a test of rules runs over recorded messages, and ends it in time. */
export class TestPace {
  readonly #clock: Clock;
  ended: string | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async *slow<Message>(messages: Iterable<Message>): AsyncGenerator<Message> {
    const beganMs = this.#clock.monotonicMs();
    let sliceMs = beganMs;
    for (const message of messages) {
      const nowMs = this.#clock.monotonicMs();
      if (nowMs - beganMs > TEST_MS_MAX) this.ended ??= `The test took ${TEST_MS_MAX / 1000} s`;
      if (this.ended !== null) return;
      if (nowMs - sliceMs > SLICE_MS) {
        await this.#clock.yield();
        sliceMs = this.#clock.monotonicMs();
      }
      yield message;
    }
  }

  /** What a replay of slowed messages says; ends it when that becomes too much. */
  async gather<Line extends { readonly kind: string }>(replay: AsyncIterable<Line>): Promise<readonly Line[]> {
    const lines: Line[] = [];
    for await (const line of replay) {
      if (lines.length < LINES_MAX || line.kind === "summary") lines.push(line);
      else this.ended ??= `The answer has ${LINES_MAX} lines`;
    }
    return lines;
  }
}
