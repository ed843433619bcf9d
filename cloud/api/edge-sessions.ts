import type { ErrorCode } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";

/** What the API has to know of the sessions of edges; cloud/sync holds them. */
export interface EdgeSessions {
  isConnected(edgeId: Uuid): boolean;
  /** Last downlink sequence on its way to the edge; null when it is not connected. */
  sentSeq(edgeId: Uuid): number | null;
  disconnect(edgeId: Uuid, code: ErrorCode, text: string): void;
}
