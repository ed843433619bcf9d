import { isUuid } from "../../shared/core/ids.ts";
import { parseBackfillRecord } from "../../shared/entities/backfill.ts";
import type { BackfillSaved, Change } from "../../shared/entities/change.ts";
import { backfillSaved, findBackfill } from "../../shared/store/backfill-store.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import type { EdgeEvent, EntityEvent } from "./edge-event.ts";

// Downlinks about requests for history. A row names whose telemetry it is, and the request in its body.

export function backfillEvent({ body, entity }: BackfillSaved): EntityEvent {
  return {
    type: entity.type,
    entityId: entity.id,
    action: "BACKFILL",
    body: { backfillId: parseBackfillRecord(body).id },
  };
}

/** What such a row says, with all that is known of the request now; empty when it is gone. */
export async function loadBackfillChanges(db: Queryable, { body, edgeId }: EdgeEvent): Promise<Change[]> {
  const id = body?.["backfillId"];
  const stored = typeof id === "string" && isUuid(id) ? await findBackfill(db, id) : null;
  return stored === null || stored.edgeId !== edgeId ? [] : [backfillSaved(stored.record)];
}
