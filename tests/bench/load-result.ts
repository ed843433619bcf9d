export interface LoadResult {
  /** Sent and acknowledged. */
  readonly messages: number;
  readonly elapsedMs: number;
  readonly perSecond: number;
}
