import { isUuid } from "../../shared/core/ids.ts";
import { type AlarmChange, type Change, type EntityRef } from "../../shared/entities/change.ts";
import { loadAlarm, loadAlarmComment } from "../../shared/store/alarm-state.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { isAssigned } from "./assignment-store.ts";
import type { EdgeEvent, EntityEvent } from "./edge-event.ts";

// Downlinks about alarms. Their rows name the originator too: an edge gets the alarms of what is on it.

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

export function isAlarmEvent({ type }: EdgeEvent): boolean {
  return type === "ALARM" || type === "ALARM_COMMENT";
}

/** What such a row says, with the state of the alarm as it is now; empty when it is gone or its originator not on the edge. */
export async function loadAlarmChanges(db: Queryable, event: EdgeEvent): Promise<Change[]> {
  const { edgeId, entityId, type, action } = event;
  const originator = originatorOf(event);
  if (originator === null) return [];
  if (action === "ALARM_DELETE") return [{ kind: "alarm-removed", entity: { type, id: entityId }, originator }];
  const [isWanted, changes] = await Promise.all([
    isAssigned(db, { edgeId, entityId: originator.id }),
    type === "ALARM" ? loadAlarm(db, entityId) : loadAlarmComment(db, entityId),
  ]);
  return isWanted ? changes : [];
}

function originatorOf({ body }: EdgeEvent): EntityRef | null {
  const type = body?.["originatorType"];
  const id = body?.["originatorId"];
  return typeof type === "string" && typeof id === "string" && isUuid(id) ? { type, id } : null;
}
