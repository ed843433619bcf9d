export interface ThinningCounts {
  /** Values that came, and that were sent in place of them. */
  readonly came: number;
  readonly sent: number;
  readonly cameBytes: number;
  readonly sentBytes: number;
}

export const NOTHING_COUNTED: ThinningCounts = { came: 0, sent: 0, cameBytes: 0, sentBytes: 0 };

export function addCounts(one: ThinningCounts, other: ThinningCounts): ThinningCounts {
  return {
    came: one.came + other.came,
    sent: one.sent + other.sent,
    cameBytes: one.cameBytes + other.cameBytes,
    sentBytes: one.sentBytes + other.sentBytes,
  };
}
