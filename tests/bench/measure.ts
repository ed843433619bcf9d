export interface MeasureOptions {
  /** Fewer messages and shorter waits: to see that a measure works, not how fast the product is. */
  readonly quick: boolean;
}

/** One or several figures that come out of the same run. */
export interface Measure {
  /** Name of each figure, with its unit. */
  readonly figures: Readonly<Record<string, string>>;
  /** Why it can't be run on this machine; null: it can. @default always */
  unavailable?(): string | null;
  /** Once before the runs. */
  prepare?(): Promise<void>;
  /** One run from scratch; a value for each name. @throws Error when what was stored is not what was acknowledged */
  runOnce(options: MeasureOptions): Promise<Readonly<Record<string, number>>>;
}

/** The middle value, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** Linear between the two nearest ranks. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((one, other) => one - other);
  const position = (sorted.length - 1) * share;
  const [low, high] = [sorted[Math.floor(position)], sorted[Math.ceil(position)]];
  if (low === undefined || high === undefined) throw new Error("Expected at least one value");
  return low + (high - low) * (position - Math.floor(position));
}
