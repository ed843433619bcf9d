/** A commit should take no longer because of rules: whoever waits for it waits for all of it. */
const RULES_MS_MAX = 100;
const RECORDS_MIN = 16;
/** Before anything is known of the rules. */
const RECORDS_FIRST = 1_000;
/** After rules changed: each of the new ones may be slow. */
const RECORDS_ANEW = 50;

/** How many records go into one commit: fewer where rules are slow, so that they slow down what comes and nothing waits for long. */
export class GroupSize {
  readonly #recordsMax: number;
  #records: number;
  #revision = 0;

  constructor(recordsMax: number) {
    this.#recordsMax = recordsMax;
    this.#records = Math.min(RECORDS_FIRST, recordsMax);
  }

  get records(): number {
    return this.#records;
  }

  /** @param revision of the rules: with another one nothing is known of them */
  heed(revision: number): void {
    if (revision === this.#revision) return;
    this.#revision = revision;
    this.#records = Math.min(RECORDS_ANEW, this.#records);
  }

  /** @param rulesMs what rules took for a commit of so many records */
  note(records: number, rulesMs: number): void {
    if (records === 0) return;
    if (rulesMs > RULES_MS_MAX) this.#records = (records * RULES_MS_MAX) / rulesMs;
    // One record says little of thousands: not beyond what as fast rules would do in their time.
    else if (rulesMs < RULES_MS_MAX / 2)
      this.#records = Math.max(this.#records, Math.min(this.#records * 2, (records * RULES_MS_MAX) / rulesMs));
    this.#records = Math.min(this.#recordsMax, Math.max(RECORDS_MIN, Math.floor(this.#records)));
  }
}
