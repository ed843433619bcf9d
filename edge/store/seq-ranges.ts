/** Sequence numbers, as few ranges. Ranges that touch become one. */
export class SeqRanges {
  /** Ascending, apart from each other. */
  #ranges: readonly SeqRange[] = [];

  add(range: SeqRange): void {
    const touching = this.#ranges.filter(({ first, last }) => first <= range.last + 1 && last >= range.first - 1);
    const joined = touching.reduce(
      (sum, { first, last }) => ({ first: Math.min(sum.first, first), last: Math.max(sum.last, last) }),
      range,
    );
    const apart = this.#ranges.filter((other) => !touching.includes(other));
    this.#ranges = [...apart, joined].toSorted((one, other) => one.first - other.first);
  }

  overlaps({ first, last }: SeqRange): boolean {
    return this.#ranges.some((range) => range.first <= last && range.last >= first);
  }

  /** Forgets what lies at or below `seq`. */
  forgetUpTo(seq: number): void {
    this.#ranges = this.#ranges.filter(({ last }) => last > seq);
  }
}

export interface SeqRange {
  readonly first: number;
  readonly last: number;
}
