// How far apart commits are. Each writes at least a page of the log, whatever is in it: a thousand devices that send by themselves
// would wear the flash with a thousand pages a second. So commits keep a distance while messages come by themselves. Who sends the
// next message only after the answer to the last one gains nothing from waiting, and would be slowed down by it.
//
// Which of the two it is shows in when messages come: right after an answer, or at any time.
//
// Modes:
//   direct  a commit follows the other. From time to time one waits, to see who comes meanwhile; seldom when nobody does.
//   spaced  a commit waits until SPACING_MS after the last one began; ends when hardly anybody comes by himself any more, or one at a time.

/** Between the beginnings of two commits. */
export const SPACING_MS = 15;
/** Who comes within this time after an answer may have waited for it. */
const PROMPT_MS = 3;
/** From one probe to the next; doubled for each that showed nobody. */
const PROBE_PAUSE_MIN_MS = 500;
const PROBE_PAUSE_MAX_MS = 16_000;
/** Commits whose arrivals are looked at together. */
const WINDOWS = 4;
/** How many have to come by themselves per commit; one alone would wait for nobody. */
const LATE_MIN = 1.5;

export class CommitPace {
  #mode: "direct" | "spaced" = "direct";
  #startedMs = -Infinity;
  #answeredMs = -Infinity;
  #probeMs = 0;
  #probePauseMs = PROBE_PAUSE_MIN_MS;
  #isProbing = false;
  #windows = 0;
  #prompt = 0;
  #late = 0;

  get isSpaced(): boolean {
    return this.#mode === "spaced";
  }

  /** Somebody submitted telemetry. */
  arrived(nowMs: number): void {
    if (nowMs - this.#answeredMs <= PROMPT_MS) this.#prompt += 1;
    else this.#late += 1;
  }

  /** Those of the last commit were told. */
  answered(nowMs: number): void {
    this.#answeredMs = nowMs;
  }

  /** How long the next commit is to wait for others, in ms; 0: not at all. */
  waitMs(nowMs: number): number {
    const waitMs = this.#startedMs + SPACING_MS - nowMs;
    if (waitMs <= 0) return 0;
    if (this.#mode === "spaced") return waitMs;
    if (nowMs < this.#probeMs) return 0;
    this.#isProbing = true;
    return waitMs;
  }

  /** A commit begins. */
  started(nowMs: number): void {
    this.#startedMs = nowMs;
    if (this.#mode === "spaced") this.#review();
    else if (this.#isProbing) this.#endProbe(nowMs);
    else this.#forget();
  }

  #review(): void {
    this.#windows += 1;
    if (this.#windows < WINDOWS) return;
    if (!this.#isWorthIt(WINDOWS)) this.#mode = "direct";
    this.#forget();
  }

  #endProbe(nowMs: number): void {
    this.#isProbing = false;
    if (this.#isWorthIt(1)) {
      this.#mode = "spaced";
      this.#probePauseMs = PROBE_PAUSE_MIN_MS;
    } else {
      this.#probePauseMs = Math.min(PROBE_PAUSE_MAX_MS, this.#probePauseMs * 2);
    }
    this.#probeMs = nowMs + this.#probePauseMs;
    this.#forget();
  }

  /** Those who wait for answers must not be many beside those who don't. */
  #isWorthIt(commits: number): boolean {
    return this.#late >= LATE_MIN * commits && this.#late * 2 >= this.#prompt;
  }

  #forget(): void {
    this.#windows = 0;
    this.#prompt = 0;
    this.#late = 0;
  }
}
