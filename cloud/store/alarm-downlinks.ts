import { sql, type SQL } from "drizzle-orm";
import { isUuid, type Uuid } from "../../shared/core/ids.ts";
import { type AlarmChange, type Change, type EntityRef } from "../../shared/entities/change.ts";
import { isUnassignedOriginator, UNASSIGNED_ORIGINATORS } from "../../shared/store/alarm-originator.ts";
import { loadAlarm, loadAlarmComment, loadWholeAlarm } from "../../shared/store/alarm-state.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { isAssigned } from "./assignment-store.ts";
import type { EdgeEvent, EntityEvent } from "./edge-event.ts";
import { signsIn } from "./edge-users.ts";

// Downlinks about alarms. Their rows name the originator too: an edge gets the alarms of what is on it, its own, and those of its tenant
// and of its users.

export function alarmEvent(change: AlarmChange): EntityEvent {
  const { originator } = change;
  return {
    type: change.entity.type,
    entityId: change.entity.id,
    action: change.kind === "alarm-removed" ? "ALARM_DELETE" : change.action,
    body: { originatorType: originator.type, originatorId: originator.id },
    subjectId: originator.id,
  };
}

export function isAlarmEvent({ type }: Pick<EdgeEvent, "type">): boolean {
  return type === "ALARM" || type === "ALARM_COMMENT";
}

/** What such a row says, with the state of the alarm as it is now; empty when it is gone or its originator not on the edge. */
export async function loadAlarmChanges(db: Queryable, event: EdgeEvent): Promise<Change[]> {
  const { edgeId, entityId, type, action } = event;
  if (action === "ENTITY_MERGE_REQUEST") return [{ kind: "entity-wanted", entity: { type, id: entityId } }];
  const originator = originatorOf(event);
  if (originator === null) return [];
  if (action === "ALARM_DELETE") return [{ kind: "alarm-removed", entity: { type, id: entityId }, originator }];
  const [isWanted, changes] = await Promise.all([isOriginatorOn(db, edgeId, originator), loadState(db, event)]);
  return isWanted ? changes : [];
}

function loadState(db: Queryable, { entityId, type, body }: EdgeEvent): Promise<Change[]> {
  if (type !== "ALARM") return loadAlarmComment(db, entityId);
  return body?.["repair"] === true ? loadWholeAlarm(db, entityId) : loadAlarm(db, entityId);
}

/** Whether alarms of this go to the edge, and may come from it. */
export async function isOriginatorOn(db: Queryable, edgeId: Uuid, { type, id }: EntityRef): Promise<boolean> {
  if (!isWithoutAssignment(type)) return isAssigned(db, { edgeId, entityId: id });
  const rows = await db.execute(sql`
    select from edge g where g.id = ${edgeId}::uuid and ${knowsOriginator(sql`${type}::text`, sql`${id}::uuid`)}`);
  return rows.length > 0;
}

export function isWithoutAssignment(type: string): boolean {
  return UNASSIGNED_ORIGINATORS.some((one) => one === type);
}

/** Whether the row `e` of `alarm` is of an originator without assignment that the edge knows. */
export function isOfUnassignedOn(edgeId: Uuid): SQL {
  const ofEdge = sql`g.id = ${edgeId}::uuid`;
  return sql`${isUnassignedOriginator(sql`e.originator_type`)} and e.originator_id in (
    select unnest(array[g.id, g.tenant_id]) from edge g where ${ofEdge}
    union select u.id from edge g join app_user u on ${signsIn({ user: "u", edge: "g" })} where ${ofEdge})`;
}

/** Whether the row `g` of `edge` is about an edge that knows such an originator. */
export function knowsOriginator(type: SQL, id: SQL): SQL {
  return sql`case ${type} when 'EDGE' then g.id = ${id} when 'TENANT' then g.tenant_id = ${id}
    when 'USER' then exists (select from app_user u where u.id = ${id} and ${signsIn({ user: "u", edge: "g" })}) end`;
}

function originatorOf({ body }: EdgeEvent): EntityRef | null {
  const type = body?.["originatorType"];
  const id = body?.["originatorId"];
  return typeof type === "string" && typeof id === "string" && isUuid(id) ? { type, id } : null;
}
