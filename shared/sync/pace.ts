// How much a lane may have in flight on the link that it has. Pure.
//
// In flight is what the peer takes, at the rate of now, in a round trip and half a second more: a window that grows with the round
// trip and with the rate, yet keeps no more than half a second of bytes waiting on a slow link, where fresh data, acks and pings wait
// behind them. A rate that rises counts at once; one that falls counts by half, and only while more waits to be sent: else it says what
// was written, not what the link carries.

export interface Pace {
  readonly bytesPerS: number;
  /** Shortest time from a batch to its ack: the round trip and one transaction. Null before the first ack. */
  readonly roundTripMs: number | null;
  /** Bytes that were acknowledged so far. */
  readonly delivered: number;
}

const QUEUE_MS = 500;
const START_BYTES = 32 * 1024;
const WINDOW_BYTES_MIN = 8 * 1024;
/** Whole frames count as heard, and data of a preferred lane waits for the frame before it. */
const FRAMES_PER_WINDOW = 4;
const FRAME_BYTES_MIN = 4 * 1024;
const FRAME_BYTES_MAX = 1024 * 1024;

export function createPace(): Pace {
  return { bytesPerS: START_BYTES, roundTripMs: null, delivered: 0 };
}

/** Bytes that may be in flight, of the `grantedBytes` that the peer allows. */
export function paceWindow(pace: Pace, grantedBytes: number): number {
  return Math.min(grantedBytes, windowBytes(pace));
}

/** About how large one frame may be, so that it takes no more than a part of a second. */
export function frameBytesFor(windowBytes: number): number {
  return Math.min(FRAME_BYTES_MAX, Math.max(FRAME_BYTES_MIN, Math.floor(windowBytes / FRAMES_PER_WINDOW)));
}

export interface PaceSample {
  readonly bytes: number;
  /** `delivered` when the newest batch that is acknowledged now was sent, and how long ago that was. */
  readonly deliveredBefore: number;
  readonly elapsedMs: number;
  /** Whether more waited to be sent. */
  readonly isBusy: boolean;
}

export function paceAfter(pace: Pace, { bytes, deliveredBefore, elapsedMs, isBusy }: PaceSample): Pace {
  const delivered = pace.delivered + bytes;
  const sample = ((delivered - deliveredBefore) * 1_000) / Math.max(1, elapsedMs);
  const slower = isBusy ? (pace.bytesPerS + sample) / 2 : pace.bytesPerS;
  // At the least window nothing waits on the way: a round trip that is longer now is that of another route.
  const isLeast = windowBytes(pace) <= WINDOW_BYTES_MIN;
  const roundTripMs = pace.roundTripMs === null || isLeast ? elapsedMs : Math.min(pace.roundTripMs, elapsedMs);
  return { bytesPerS: Math.max(sample, slower), roundTripMs, delivered };
}

function windowBytes({ bytesPerS, roundTripMs }: Pace): number {
  if (roundTripMs === null) return START_BYTES;
  return Math.max(WINDOW_BYTES_MIN, Math.round((bytesPerS * (roundTripMs + QUEUE_MS)) / 1_000));
}
