import type { BlobRef } from "../core/blob-ref.ts";
import type { Uuid } from "../core/ids.ts";
import type { AttributeEntry, AttributeScope } from "./attributes.ts";
import type { EntityBase } from "./entity-base.ts";

/** The entity that a change is about. `type` is open: a peer may know more types than this program. */
export interface EntityRef {
  readonly type: string;
  readonly id: Uuid;
}

/** In what a change of an entity changed what it needs (shared/entities/entity-kinds.ts); only for the side that made it, never sent. */
export interface NeedsChange {
  readonly added: readonly Uuid[];
  readonly dropped: readonly Uuid[];
  /** Files that it names (shared/entities/resource-links.ts). */
  readonly addedLinks: readonly string[];
  readonly droppedLinks: readonly string[];
}

export interface EntitySaved {
  readonly kind: "entity-saved";
  readonly entity: EntityRef;
  /** The entity's record (shared/entities/entity-record.ts) as JSON. */
  readonly body: string;
  /** What an edit began with; absent: it is new, or said once more. */
  readonly base?: EntityBase;
  /** Absent: it needs what it needed. */
  readonly needs?: NeedsChange;
}

/** A user who signs in on the edge. */
export interface UserSaved {
  readonly kind: "user-saved";
  readonly entity: EntityRef;
  /** A UserRecord (shared/entities/user-record.ts) as JSON. */
  readonly body: string;
}

export interface EntityRemoved {
  readonly kind: "entity-removed";
  readonly entity: EntityRef;
  /** False: only the assignment to the edge ended, the entity lives on elsewhere. */
  readonly deleted: boolean;
  readonly needs?: NeedsChange;
}

export interface AttributesSaved {
  readonly kind: "attributes-saved";
  readonly entity: EntityRef;
  readonly scope: AttributeScope;
  readonly attributes: readonly AttributeEntry[];
}

export interface AttributesDeleted {
  readonly kind: "attributes-deleted";
  readonly entity: EntityRef;
  readonly scope: AttributeScope;
  readonly keys: readonly string[];
}

export interface CredentialsSaved {
  readonly kind: "credentials-saved";
  readonly entity: EntityRef;
  readonly credentialsType: string;
  readonly credentialsId: string;
  readonly credentialsValue: string | null;
}

/** thinned: records between those removed were kept. */
export const GAP_REASONS = ["thinned", "dropped"] as const;

export type GapReason = (typeof GAP_REASONS)[number];

/** Telemetry of an entity that the edge removed before it was sent, because its disk was full. */
export interface TelemetryGap {
  readonly kind: "telemetry-gap";
  readonly entity: EntityRef;
  /** Times of measurement of the first and the last record removed. */
  readonly fromMs: number;
  readonly toMs: number;
  readonly records: number;
  readonly reason: GapReason;
}

/** The cloud does not know an entity of the edge, and asks for all of it. */
export interface EntityWanted {
  readonly kind: "entity-wanted";
  readonly entity: EntityRef;
}

/** What was done to an alarm, by the names of the REST convention. */
export const ALARM_ACTIONS = [
  "ADDED",
  "UPDATED",
  "ALARM_ACK",
  "ALARM_CLEAR",
  "ALARM_ASSIGNED",
  "ALARM_UNASSIGNED",
] as const;
export type AlarmAction = (typeof ALARM_ACTIONS)[number];

export interface AlarmSaved {
  readonly kind: "alarm-saved";
  /** The alarm. */
  readonly entity: EntityRef;
  readonly originator: EntityRef;
  /** For lists: what is said is the whole alarm. */
  readonly action: AlarmAction;
  /** An AlarmRecord (shared/entities/alarm.ts) as JSON. */
  readonly body: string;
}

export interface AlarmRemoved {
  readonly kind: "alarm-removed";
  readonly entity: EntityRef;
  readonly originator: EntityRef;
}

/** DELETED_COMMENT: a SYSTEM comment stands in its place. */
export const COMMENT_ACTIONS = ["ADDED_COMMENT", "UPDATED_COMMENT", "DELETED_COMMENT"] as const;
export type CommentAction = (typeof COMMENT_ACTIONS)[number];

export interface AlarmCommentSaved {
  readonly kind: "alarm-comment-saved";
  /** The comment. */
  readonly entity: EntityRef;
  /** Of the alarm. */
  readonly originator: EntityRef;
  readonly action: CommentAction;
  /** An AlarmComment (shared/entities/alarm-comment.ts) as JSON. */
  readonly body: string;
}

export interface RelationSaved {
  readonly kind: "relation-saved";
  /** RELATION with the id of its first end: relations have none. */
  readonly entity: EntityRef;
  readonly from: EntityRef;
  readonly to: EntityRef;
  /** A RelationRecord (shared/entities/relation.ts) as JSON; it may say that the relation was removed. */
  readonly body: string;
}

/** A request to a device, or what happened to one. */
export interface RpcSaved {
  readonly kind: "rpc-saved";
  /** The device. */
  readonly entity: EntityRef;
  /** An RpcRecord (shared/entities/rpc.ts) as JSON. */
  readonly body: string;
  /** How long it is of use yet, as the clocks of both sides may differ; 0: no longer. */
  readonly leftMs: number;
}

/** The cloud asks for history of an entity, or an edge tells how far it came. */
export interface BackfillSaved {
  readonly kind: "backfill-saved";
  /** Whose telemetry. */
  readonly entity: EntityRef;
  /** A BackfillRecord (shared/entities/backfill.ts) as JSON. */
  readonly body: string;
}

export type AlarmChange = AlarmSaved | AlarmRemoved | AlarmCommentSaved;

/**
 * What happened to an entity: the unit that stores return, outboxes keep and the sync protocol carries.
 * Telemetry is not a change; it travels in its own lane.
 */
export type Change =
  | EntitySaved
  | UserSaved
  | EntityRemoved
  | AttributesSaved
  | AttributesDeleted
  | CredentialsSaved
  | TelemetryGap
  | EntityWanted
  | AlarmChange
  | RelationSaved
  | RpcSaved
  | BackfillSaved;

/**
 * The entity that a change hangs on: who has it is concerned. Of an alarm its originator, of a relation an end that goes to edges, else
 * what the change is about.
 */
export function subjectOf(change: Change): EntityRef {
  if (change.kind === "relation-saved") return EVERYWHERE.has(change.from.type) ? change.to : change.from;
  return "originator" in change ? change.originator : change.entity;
}

/** Kinds that no edge has to hold in order to know of them. */
const EVERYWHERE: ReadonlySet<string> = new Set(["TENANT", "CUSTOMER", "USER", "EDGE"]);

/** A change that is too large for a batch. Its content is the change, encoded. */
export interface LargeChange {
  readonly kind: "large-change";
  readonly entity: EntityRef;
  readonly content: BlobRef;
}

/** What travels in an item. */
export type SentChange = Change | LargeChange;

/**
 * What one sequence number of a lane stands for: changes that are applied together. `unknown` counts the changes of a kind
 * that this version does not know; such an item is parked, never dropped.
 */
export interface ChangeItem {
  /** When it was made, on the clock of the side that made it. */
  readonly changedMs: number;
  readonly changes: readonly Change[];
  readonly unknown: number;
  /** The changes are all that the cloud has of one entity; see edge/store/repair.ts. @default false */
  readonly isRepair?: boolean;
  /** Rules of notifications by which the edge tells of the alarm itself. @default none */
  readonly toldByRules?: readonly Uuid[];
}

/** An item on its way: large changes are not in it, but named. */
export interface SentItem extends Omit<ChangeItem, "changes"> {
  readonly changes: readonly SentChange[];
}
