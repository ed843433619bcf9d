import type { EntityRef, RelationSaved } from "../entities/change.ts";
import { mergeRelations, parseRelationRecord, relationBody } from "../entities/relation.ts";
import { applied, orRejected, rejected, type ApplyContext, type ApplyResult } from "./apply-result.ts";
import { keepEnds, lockRelation, putRelation, relationSaved } from "./relation-store.ts";
import type { Queryable } from "./unit-of-work.ts";

/**
 * A relation that the other side made, changed or removed: the newest stays (mergeRelations). On an edge a relation to something that is
 * not there is passed over: it comes again with that.
 */
export function applyRelationSaved(tx: Queryable, change: RelationSaved, context: ApplyContext): Promise<ApplyResult> {
  const { from, tenantId } = context;
  return orRejected(async () => {
    const sent = parseRelationRecord(change.body);
    if (!isSameRef(sent.from, change.from) || !isSameRef(sent.to, change.to)) {
      return rejected("INVALID_ARGUMENT", "Can't read a relation: its body is about another one");
    }
    if (sent.typeGroup === "EDGE") return rejected("INVALID_ARGUMENT", "Assignments are not changed as relations");
    if (!(await keepEnds(tx, tenantId, sent))) {
      return from === "cloud" || sent.isRemoved
        ? applied()
        : rejected("NOT_FOUND", "An end of the relation is not found");
    }
    const stored = await lockRelation(tx, sent);
    if (stored !== null && stored.tenantId !== tenantId) return rejected("NOT_FOUND", "The relation is not found");
    const whole = stored === null ? sent : mergeRelations(stored, sent);
    if (stored !== null && whole === stored) {
      const isMore = from === "edge" && relationBody(stored) !== relationBody(sent);
      return applied([], isMore ? [relationSaved(stored)] : []);
    }
    await putRelation(tx, tenantId, whole);
    return applied([relationSaved(whole)]);
  });
}

function isSameRef(one: EntityRef, other: EntityRef): boolean {
  return one.id === other.id && one.type === other.type;
}
