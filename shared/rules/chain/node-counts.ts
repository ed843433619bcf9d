import type { NodeRef } from "./message.ts";
import { stateKey, type ChainStep } from "./run.ts";

/** What a node did since counting began. */
export interface NodeCount extends NodeRef {
  readonly name: string;
  readonly type: string;
  readonly messages: number;
  readonly failures: number;
  /** null: none. */
  readonly lastFailure: string | null;
}

/** Counts what nodes do; as many entries as the chains have nodes. */
export class NodeCounts {
  readonly #counts = new Map<string, NodeCount>();

  add({ node, name, type, failure }: ChainStep): void {
    const key = stateKey(node);
    const known = this.#counts.get(key);
    this.#counts.set(key, {
      ...node,
      name,
      type,
      messages: (known?.messages ?? 0) + 1,
      failures: (known?.failures ?? 0) + (failure === null ? 0 : 1),
      lastFailure: failure ?? known?.lastFailure ?? null,
    });
  }

  list(): readonly NodeCount[] {
    return [...this.#counts.values()];
  }
}
