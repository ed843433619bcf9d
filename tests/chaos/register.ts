/**
 * What may be stored after writes of which some were acknowledged and some have an unknown outcome: the last acknowledged
 * value, or one of unknown outcome, which may take effect at any later moment.
 */
export class Register<T> {
  #acked: T;
  readonly #unknown = new Set<T>();

  constructor(first: T) {
    this.#acked = first;
  }

  /** Runs `write`; an error leaves the outcome unknown. One write at a time. @returns whether it was acknowledged */
  async write(value: T, write: () => Promise<unknown>): Promise<boolean> {
    this.#unknown.add(value);
    try {
      await write();
    } catch {
      return false;
    }
    this.#unknown.delete(value);
    this.#acked = value;
    return true;
  }

  allows(value: T): boolean {
    return value === this.#acked || this.#unknown.has(value);
  }

  isUnknown(value: T): boolean {
    return this.#unknown.has(value);
  }

  describe(): string {
    return [this.#acked, ...this.#unknown].map(String).join(" or ");
  }
}
