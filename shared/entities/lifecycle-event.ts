import type { Uuid } from "../core/ids.ts";

/** What happened to the session of an edge. */
export interface LifecycleEvent {
  readonly id: Uuid;
  readonly event: "CONNECTED" | "DISCONNECTED";
  readonly createdMs: number;
  readonly session: number;
  readonly replicaId: Uuid;
  readonly edgeVersion: string;
  /** Why it disconnected: a code of shared/core/errors.ts. */
  readonly reason: string | null;
}
