import type { Uuid } from "../core/ids.ts";

/** What the cloud sets for an edge, whole. */
export interface EdgeSettings {
  /** How much devices may send, by the names of shared/entities/rate-limit-names.ts; a newer cloud may know more of them. */
  readonly rateLimits: Readonly<Record<string, string>>;
  /** The chain that gets the messages of this edge; absent: none is set. */
  readonly rootRuleChainId?: Uuid;
}
