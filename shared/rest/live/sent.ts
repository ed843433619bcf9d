import type { CanonicalJson } from "../../entities/telemetry.ts";

/** What a subscription was told last of each key: a later time, or another value of the same time, is new. */
export class Sent {
  readonly #last = new Map<string, { readonly tsMs: number; readonly value: CanonicalJson }>();

  isNew(key: string, tsMs: number, value: CanonicalJson): boolean {
    const last = this.#last.get(key);
    return last === undefined || tsMs > last.tsMs || (tsMs === last.tsMs && value !== last.value);
  }

  note(key: string, tsMs: number, value: CanonicalJson): void {
    const last = this.#last.get(key);
    if (last === undefined || tsMs >= last.tsMs) this.#last.set(key, { tsMs, value });
  }

  /** @returns -1 when nothing was sent */
  lastMs(key: string): number {
    return this.#last.get(key)?.tsMs ?? -1;
  }
}
