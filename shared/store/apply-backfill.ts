import { isBackfillOpen, isSameBackfill, mergeBackfills, parseBackfillRecord } from "../entities/backfill.ts";
import type { BackfillSaved } from "../entities/change.ts";
import { isEntityType } from "../entities/entity-types.ts";
import { applied, orRejected, rejected, type ApplyContext, type ApplyResult } from "./apply-result.ts";
import { backfillSaved, deleteBackfill, lockBackfill, putBackfill } from "./backfill-store.ts";
import { findEntity } from "./entity-store.ts";
import type { StoreDeps } from "./store-deps.ts";
import type { Queryable } from "./unit-of-work.ts";

/**
 * A request for history, or how far an edge came with one. What the other side says is joined with what is here (mergeBackfills). An edge
 * carries out what is open, and forgets what has ended: its effect wakes the one who does it.
 */
export function applyBackfillSaved(
  tx: Queryable,
  { clock }: Pick<StoreDeps, "clock">,
  { change, context }: { readonly change: BackfillSaved; readonly context: ApplyContext },
): Promise<ApplyResult> {
  return orRejected(async () => {
    const sent = parseBackfillRecord(change.body);
    const { entity, id } = sent;
    if (entity.id !== change.entity.id || entity.type !== change.entity.type)
      return rejected("INVALID_ARGUMENT", "Can't read a request for history: its body is about another entity");
    const stored = await lockBackfill(tx, id);
    const record = stored === null ? sent : mergeBackfills(stored.record, sent);
    const updatedMs = clock.nowMs();
    if (context.from === "edge") {
      // One that nobody asked for here: the cloud was set back, or it is of another edge.
      if (stored === null || isSameBackfill(stored.record, record)) return applied();
      await putBackfill(tx, { ...stored, record, updatedMs });
      return applied();
    }
    if (!isBackfillOpen(record)) {
      if (stored === null) return applied();
      await deleteBackfill(tx, id);
      return applied([change], isSameBackfill(record, sent) ? [] : [backfillSaved(record)]);
    }
    const found = isEntityType(entity.type) ? await findEntity(tx, { type: entity.type, id: entity.id }) : null;
    if (found === null) {
      const reason = `${entity.type} with id [${entity.id}] is not on this edge`;
      return applied([], [backfillSaved({ ...record, state: "FAILED", reason })]);
    }
    await putBackfill(tx, { record, edgeId: null, updatedMs });
    return applied([change]);
  });
}
