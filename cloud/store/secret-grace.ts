import { and, eq, isNotNull, lte, ne, or, sql } from "drizzle-orm";
import type { Uuid } from "../../shared/core/ids.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { runTransaction } from "./downlink-store.ts";
import { fenceSessions } from "./edge-session-store.ts";
import { edge, edgeSync } from "./schema.ts";

export interface EndedSession {
  readonly edgeId: Uuid;
  /** Sessions below this number have to end. */
  readonly fence: number;
}

/**
 * Ends the sessions that were opened with a secret which opens none any more: its time is over, or it was followed by two others. From
 * here on they write nothing; the caller tells whoever holds them.
 */
export function endSessionsOfOldSecrets(db: Queryable, nowMs: number): Promise<readonly EndedSession[]> {
  return runTransaction(db, async (tx) => {
    const rows = await tx
      .select({ edgeId: edge.id })
      .from(edge)
      .innerJoin(edgeSync, eq(edgeSync.edgeId, edge.id))
      .where(
        and(
          isNotNull(edge.oldSecretUntilMs),
          isNotNull(edgeSync.replicaId),
          ne(edgeSync.secretHash, edge.secretHash),
          or(
            lte(edge.oldSecretUntilMs, Math.round(nowMs)),
            sql`${edgeSync.secretHash} is distinct from ${edge.oldSecretHash}`,
          ),
        ),
      )
      .orderBy(edge.id)
      .for("update", { of: edgeSync });
    const ended: EndedSession[] = [];
    for (const row of rows) {
      const edgeId = row.edgeId as Uuid; // written from a Uuid
      ended.push({ edgeId, fence: await fenceSessions(tx, edgeId, { reason: "UNAUTHENTICATED", nowMs }) });
    }
    return ended;
  });
}
