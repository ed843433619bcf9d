import type { Uuid } from "../../shared/core/ids.ts";

/** What the API has to know of the sessions of edges and to tell them; cloud/sync holds them. */
export interface EdgeSessions {
  /** Last downlink sequence on its way to the edge; null when this process does not send to it. */
  sentSeq(edgeId: Uuid): number | null;
  /** Ends the edge's sessions with a number below `fence`, whichever replica holds them. */
  end(ending: { readonly edgeId: Uuid; readonly fence: number; readonly code: "UNAUTHENTICATED" | "NOT_FOUND" }): void;
}
