import { describe, expect, test } from "bun:test";
import { createPace, frameBytesFor, paceAfter, paceWindow, type Pace } from "../../shared/sync/pace.ts";

const GRANTED = 16 * 1024 * 1024;
/** A peer answers within so many ms after the last byte came. */
const APPLY_MS = 10;

interface Link {
  readonly bytesPerS: number;
  readonly roundTripMs: number;
}

interface Sent {
  readonly bytes: number;
  readonly sentMs: number;
  readonly deliveredBefore: number;
  readonly ackMs: number;
}

/** A sender that always has more, on a link with a queue of any length: frame after frame in virtual time. */
class Sender {
  pace: Pace = createPace();
  nowMs = 0;
  longestFrameMs = 0;
  #freeMs = 0;
  #inFlight: Sent[] = [];

  run(link: Link, untilMs: number): void {
    while (this.nowMs < untilMs) {
      this.#fill(link);
      const first = this.#inFlight.shift();
      if (first === undefined) throw new Error("The window lets nothing out");
      this.nowMs = Math.max(this.nowMs, first.ackMs);
      const { bytes, deliveredBefore, sentMs } = first;
      this.pace = paceAfter(this.pace, { bytes, deliveredBefore, elapsedMs: this.nowMs - sentMs, isBusy: true });
    }
  }

  /** How long what is sent now waits for what is on its way. */
  get queueMs(): number {
    return Math.max(0, this.#freeMs - this.nowMs);
  }

  #fill({ bytesPerS, roundTripMs }: Link): void {
    const window = paceWindow(this.pace, GRANTED);
    const bytes = frameBytesFor(window);
    let inFlight = this.#inFlight.reduce((sum, sent) => sum + sent.bytes, 0);
    while (inFlight < window) {
      const takesMs = (bytes / bytesPerS) * 1_000;
      this.longestFrameMs = Math.max(this.longestFrameMs, takesMs);
      this.#freeMs = Math.max(this.#freeMs, this.nowMs) + takesMs;
      const ackMs = this.#freeMs + roundTripMs + APPLY_MS;
      this.#inFlight.push({ bytes, sentMs: this.nowMs, deliveredBefore: this.pace.delivered, ackMs });
      inFlight += bytes;
    }
  }
}

describe("paceAfter()", () => {
  test.each([
    [50_000 / 8, 100],
    [100_000, 600],
    [1_000_000, 20],
    [10_000_000, 600],
    [5_000_000, 0],
    [30_000, 2_500],
  ])("fills a link of %d bytes/s and %d ms within a minute, and keeps little on its way", (bytesPerS, roundTripMs) => {
    const link = { bytesPerS, roundTripMs };
    const sender = new Sender();
    sender.run(link, 60_000);
    const { nowMs, pace } = sender;
    sender.run(link, nowMs + 20_000);
    const reached = ((sender.pace.delivered - pace.delivered) / (sender.nowMs - nowMs)) * 1_000;
    expect(reached).toBeGreaterThan(Math.min(bytesPerS, GRANTED / (roundTripMs / 1_000)) * 0.9);
    expect(sender.queueMs).toBeLessThan(Math.max(1_000, (24 * 1024 * 1_000) / bytesPerS));
    expect(sender.longestFrameMs).toBeLessThan(10_000);
  });

  test("follows a link that becomes slower, farther and faster again", () => {
    const sender = new Sender();
    sender.run({ bytesPerS: 5_000_000, roundTripMs: 20 }, 10_000);
    sender.run({ bytesPerS: 20_000, roundTripMs: 50 }, 120_000);
    expect(sender.queueMs).toBeLessThan(2_000);
    sender.run({ bytesPerS: 2_000_000, roundTripMs: 900 }, 240_000);
    const { nowMs, pace } = sender;
    sender.run({ bytesPerS: 2_000_000, roundTripMs: 900 }, 260_000);
    expect(((sender.pace.delivered - pace.delivered) / (sender.nowMs - nowMs)) * 1_000).toBeGreaterThan(1_500_000);
  });

  test("does not take what was written for what the link carries", () => {
    const busy = { bytes: 1_000_000, deliveredBefore: 0, elapsedMs: 1_000, isBusy: true };
    const fast = paceAfter(createPace(), busy);
    const idle = { bytes: 10, deliveredBefore: fast.delivered, elapsedMs: 1_000, isBusy: false };
    expect(paceAfter(fast, idle).bytesPerS).toBe(fast.bytesPerS);
    expect(paceAfter(fast, { ...idle, isBusy: true }).bytesPerS).toBeLessThan(fast.bytesPerS);
  });
});
