import type { Uuid } from "../../shared/core/ids.ts";
import type { Rejection } from "../../shared/sync/frames.ts";

/**
 * Downlinks whose entity could not be read here. The edge gets an empty item in their place, so that what follows is not held up, and once it has
 * acknowledged that, they are refused like those that the edge refuses: listed with the reason, to be replayed. In between a restart
 * forgets them, and they are read again. Never more than what is in flight.
 */
export class UnreadableDownlinks {
  readonly #byEdge = new Map<Uuid, Map<number, Rejection>>();

  note(edgeId: Uuid, rejection: Rejection): void {
    const noted = this.#byEdge.get(edgeId) ?? new Map<number, Rejection>();
    this.#byEdge.set(edgeId, noted.set(rejection.seq, rejection));
  }

  /** It could be read after all. */
  forget(edgeId: Uuid, seq: number): void {
    this.#byEdge.get(edgeId)?.delete(seq);
  }

  /** Those that the edge has passed with `upToSeq`. */
  passed(edgeId: Uuid, upToSeq: number): readonly Rejection[] {
    return [...(this.#byEdge.get(edgeId)?.values() ?? [])].filter(({ seq }) => seq <= upToSeq);
  }

  /** They are stored. */
  settle(edgeId: Uuid, upToSeq: number): void {
    const noted = this.#byEdge.get(edgeId);
    for (const { seq } of this.passed(edgeId, upToSeq)) noted?.delete(seq);
    if (noted?.size === 0) this.#byEdge.delete(edgeId);
  }
}
