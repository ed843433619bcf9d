import type { Uuid } from "../../shared/core/ids.ts";
import { ALARM_ACTIONS, COMMENT_ACTIONS } from "../../shared/entities/change.ts";
import type { Json } from "../../shared/entities/entity-record.ts";

// What a downlink row says.

/** Actions that only alarms and comments have. */
export const ALARM_EVENT_ACTIONS = [
  ...ALARM_ACTIONS.filter((action) => action !== "ADDED" && action !== "UPDATED"),
  "ALARM_DELETE",
  ...COMMENT_ACTIONS,
] as const;
export type AlarmEventAction = (typeof ALARM_EVENT_ACTIONS)[number];

/** Actions of the REST convention that Skerry records. */
export const EDGE_EVENT_ACTIONS = [
  "ADDED",
  "UPDATED",
  "DELETED",
  "ATTRIBUTES_UPDATED",
  "ATTRIBUTES_DELETED",
  "CREDENTIALS_UPDATED",
  "ASSIGNED_TO_EDGE",
  "UNASSIGNED_FROM_EDGE",
  "ENTITY_MERGE_REQUEST",
  ...ALARM_EVENT_ACTIONS,
  "RELATION_ADD_OR_UPDATE",
  "RELATION_DELETED",
  "RPC_CALL",
  "BACKFILL",
] as const;
export type EdgeEventAction = (typeof EDGE_EVENT_ACTIONS)[number];

/** What is recorded for every edge that follows the entity. */
export interface EntityEvent {
  readonly type: string;
  readonly action: EdgeEventAction;
  readonly entityId: Uuid;
  /** Attributes: `{ scope, keys }`; alarms: `{ originatorType, originatorId }`; requests to devices: `{ rpcId }`; for history: `{ backfillId }`. */
  readonly body: { readonly [key: string]: Json } | null;
  /** Whoever has this entity hears of it. @default entityId */
  readonly subjectId?: Uuid;
}

/** What is recorded for one edge. */
export interface EdgeEvent extends EntityEvent {
  readonly edgeId: Uuid;
}
