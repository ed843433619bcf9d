import { and, eq, inArray, sql } from "drizzle-orm";
import type { Uuid } from "../../shared/core/ids.ts";
import type { AttributeScope } from "../../shared/entities/attributes.ts";
import { ATTRIBUTE_SCOPES } from "../../shared/entities/attributes.ts";
import type { Change, EntityRef } from "../../shared/entities/change.ts";
import { parseEntityRecord } from "../../shared/entities/entity-record-schema.ts";
import { parseRpcRecord } from "../../shared/entities/rpc.ts";
import { loadActiveAlarms, loadWholeAlarm } from "../../shared/store/alarm-state.ts";
import type { AttributeRow } from "../../shared/store/attribute-store.ts";
import { attributesSaved, readAttributeRows, SENT_EDGE_SCOPES } from "../../shared/store/attribute-store.ts";
import { entitySaved, lockEntityIfThere } from "../../shared/store/entity-store.ts";
import { loadRelationsOf } from "../../shared/store/relation-store.ts";
import { findOpenRpcs, findRpc, rpcSaved } from "../../shared/store/rpc-store.ts";
import { attribute } from "../../shared/store/tables.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";

// An item that repairs a difference carries all that the cloud has of one entity. Its changes are merged like any others; around that:
// - what is newer here goes up again: it may have been lost on the other side, or refused
// - attributes that the cloud doesn't have: SHARED and SERVER scope leave, the cloud has the say; CLIENT scope goes up
// - attributes of CLIENT scope that only the cloud has are deleted there: the device's side has the say
// - active alarms and comments of which more is known here, or that the cloud doesn't have, go up
// - so do requests to a device that are open here, or of which more is known here
// - so do relations: what the cloud removed it says, so that one of which it says nothing was made here
// An item about this edge carries the attributes that the cloud sets of it: what else is here leaves, however new it is.
// An item about an alarm that is compared by itself carries it with its comments; what is newer here goes up likewise.
// While something of the entity is on its way to the cloud, the item is merged and nothing more: the next round sees further.

export interface Repair {
  /** What is to be applied of the item. */
  readonly changes: readonly Change[];
  /** Null: nothing beyond the changes. */
  readonly work: RepairWork | AlarmWork | EdgeWork | null;
}

/** What of this edge's own attributes has left already. */
interface EdgeWork {
  readonly effects: readonly Change[];
}

interface AlarmWork {
  readonly alarmId: Uuid;
  readonly sentBodies: ReadonlySet<string>;
}

interface RepairWork {
  readonly entity: EntityRef;
  readonly sentVersion: number;
  /** Of the entity in the cloud: keys by scope, with their times. */
  readonly sent: Readonly<Record<AttributeScope, ReadonlyMap<string, number>>>;
  /** CLIENT scope that is not here. */
  readonly deletedHere: readonly string[];
  /** Requests to the device that the item speaks of. */
  readonly sentRpcIds: readonly Uuid[];
  /** Bodies of alarms, comments, relations and requests. */
  readonly sentBodies: ReadonlySet<string>;
}

/** Relations of which the cloud may know, about the row of `relation`: users and edges are no entities of an edge. */
export const RELATES_FOR_CLOUD = sql`from_type not in ('USER', 'EDGE') and to_type not in ('USER', 'EDGE')`;

export async function beginRepair(tx: Queryable, changes: readonly Change[]): Promise<Repair> {
  // The last one is what the item is about; what it needs may go before it.
  const saved = changes.findLast((change) => change.kind === "entity-saved");
  if (saved === undefined) return beginSmallRepair(tx, changes);
  const { entity } = saved;
  const stored = await lockEntityIfThere(tx, entity.id);
  if (stored === null || (await isUnderWay(tx, entity.id))) return { changes, work: null };
  const sent = sentKeys(changes, entity.id);
  const here = new Set((await readAttributeRows(tx, { entityId: entity.id, scopes: ["CLIENT_SCOPE"] })).map(keyOf));
  const deletedHere = [...sent.CLIENT_SCOPE.keys()].filter((key) => !here.has(key));
  return {
    changes: changes.flatMap((change) => withoutKeys(change, deletedHere)),
    work: {
      entity,
      sentVersion: parseEntityRecord(saved.body).version,
      sent,
      deletedHere,
      sentRpcIds: changes.flatMap((change) => (change.kind === "rpc-saved" ? parseRpcRecord(change.body).id : [])),
      sentBodies: sentBodiesOf(changes),
    },
  };
}

async function beginSmallRepair(tx: Queryable, changes: readonly Change[]): Promise<Repair> {
  const ofEdge = changes.find(({ entity }) => entity.type === "EDGE");
  if (ofEdge === undefined) return { changes, work: alarmWork(changes) };
  const { entity } = ofEdge;
  const sent = sentKeys(changes, entity.id);
  const rows = await readAttributeRows(tx, { entityId: entity.id, scopes: SENT_EDGE_SCOPES });
  const effects: Change[] = [];
  for (const scope of SENT_EDGE_SCOPES) {
    const isWrong = (row: AttributeRow): boolean => row.updatedMs > (sent[scope].get(row.key) ?? -1);
    const keys = rows.filter((row) => row.scope === scope && isWrong(row)).map(keyOf);
    if (keys.length > 0) effects.push(await eraseAttributes(tx, { entity, scope, keys }));
  }
  return { changes, work: { effects } };
}

function alarmWork(changes: readonly Change[]): AlarmWork | null {
  const saved = changes.find((change) => change.kind === "alarm-saved");
  return saved === undefined ? null : { alarmId: saved.entity.id, sentBodies: sentBodiesOf(changes) };
}

function sentBodiesOf(changes: readonly Change[]): ReadonlySet<string> {
  return new Set(changes.flatMap((change) => (isPartOfOthers(change) && "body" in change ? change.body : [])));
}

/** What is left once the changes are applied: `effects` happened here, `followUps` are for the cloud. */
export async function endRepair(
  tx: Queryable,
  { work }: Repair,
  nowMs: number,
): Promise<{ readonly effects: readonly Change[]; readonly followUps: readonly Change[] }> {
  if (work === null) return { effects: [], followUps: [] };
  if ("effects" in work) return { effects: work.effects, followUps: [] };
  if ("alarmId" in work) {
    const followUps = (await loadWholeAlarm(tx, work.alarmId)).filter((change) => isUnsaid(change, work.sentBodies));
    return { effects: [], followUps };
  }
  const { entity, sent, sentBodies, sentRpcIds, sentVersion, deletedHere } = work;
  const effects: Change[] = [];
  const followUps: Change[] = [];
  const stored = await lockEntityIfThere(tx, entity.id);
  if (stored !== null && stored.version > sentVersion) followUps.push(entitySaved(stored));
  const rows = await readAttributeRows(tx, { entityId: entity.id });
  for (const scope of ATTRIBUTE_SCOPES) {
    const own = rows.filter((row) => row.scope === scope);
    const unknown = own.filter(({ key }) => !sent[scope].has(key));
    const leaving = scope === "CLIENT_SCOPE" ? [] : unknown.map(keyOf);
    if (leaving.length > 0) effects.push(await eraseAttributes(tx, { entity, scope, keys: leaving }));
    const isNews = (row: AttributeRow): boolean => row.updatedMs > (sent[scope].get(row.key) ?? -1);
    const news = own.filter((row) => isNews(row) && !leaving.includes(row.key));
    if (news.length > 0) followUps.push(attributesSaved(entity, scope, news));
  }
  if (deletedHere.length > 0)
    followUps.push({ kind: "attributes-deleted", entity, scope: "CLIENT_SCOPE", keys: deletedHere });
  const parts = [
    ...(await loadActiveAlarms(tx, entity)),
    ...(await loadRelationsOf(tx, entity.id, { condition: RELATES_FOR_CLOUD, withRemoved: true })),
    ...(entity.type === "DEVICE" ? await loadRpcs(tx, { deviceId: entity.id, sentRpcIds, nowMs }) : []),
  ];
  followUps.push(...parts.filter((change) => isUnsaid(change, sentBodies)));
  return { effects, followUps };
}

/** What is open here, and what has come to an end here of which the cloud does not know that. */
async function loadRpcs(
  tx: Queryable,
  {
    deviceId,
    sentRpcIds,
    nowMs,
  }: { readonly deviceId: Uuid; readonly sentRpcIds: readonly Uuid[]; readonly nowMs: number },
): Promise<readonly Change[]> {
  const open = await findOpenRpcs(tx, deviceId);
  const isOpen = new Set(open.map(({ record }) => record.id));
  const others = await Promise.all(sentRpcIds.filter((id) => !isOpen.has(id)).map((id) => findRpc(tx, id)));
  return [...open, ...others.flatMap((stored) => stored ?? [])].map((stored) => rpcSaved(stored, nowMs));
}

function isUnsaid(change: Change, sentBodies: ReadonlySet<string>): boolean {
  return !("body" in change && sentBodies.has(change.body));
}

/** Alarms, their comments, relations and requests, which go with what is compared. */
function isPartOfOthers(change: Change): boolean {
  return "originator" in change || change.kind === "relation-saved" || change.kind === "rpc-saved";
}

/** Whether the cloud has not heard all of this entity: items wait, or were refused and nobody has decided about them. */
async function isUnderWay(tx: Queryable, entityId: Uuid): Promise<boolean> {
  const [row] = await tx.execute<{ waits: boolean }>(sql`
    select exists (select from (${underWayIds()}) as under_way where entity_id = ${entityId}::uuid) as waits`);
  return row?.waits === true;
}

/**
 * Ids of entities of which something is on its way to the cloud, or parked; of alarms their own and those of their originators, of
 * relations of the tenant those of their other ends.
 */
export function underWayIds() {
  return sql`
    with waiting as (${waitingIds()})
    select entity_id from waiting
    union
    select unnest(array[a.id, a.originator_id])
    from waiting join alarm_comment c on c.id = entity_id join alarm a on a.id = c.alarm_id
    union
    select unnest(array[f.alarm_id, f.originator_id]) from waiting join alarm_former_id f on f.id = entity_id
    union
    select a.originator_id from waiting join alarm a on a.id = entity_id
    union
    select r.to_id from waiting join relation r on r.from_id = entity_id where r.from_type = 'TENANT'`;
}

/** What items in the outbox and parked ones are about. */
function waitingIds() {
  return sql`
    select w.entity_id from cloud_event w
    where w.lane = 'config' and w.first_seq > coalesce((select acked_seq from uplink_cursor where lane = 'config'), 0)
    union
    select w.entity_id from parked_item p join cloud_event w on w.lane = 'config' and w.first_seq = p.seq
    where p.lane = 'config' and p.decision is null`;
}

function sentKeys(changes: readonly Change[], entityId: Uuid): RepairWork["sent"] {
  const keys = { CLIENT_SCOPE: new Map(), SHARED_SCOPE: new Map(), SERVER_SCOPE: new Map() } satisfies Record<
    AttributeScope,
    Map<string, number>
  >;
  for (const change of changes) {
    if (change.kind !== "attributes-saved" || change.entity.id !== entityId) continue;
    for (const { key, updatedMs } of change.attributes) keys[change.scope].set(key, updatedMs);
  }
  return keys;
}

function withoutKeys(change: Change, keys: readonly string[]): readonly Change[] {
  if (change.kind !== "attributes-saved" || change.scope !== "CLIENT_SCOPE" || keys.length === 0) return [change];
  const attributes = change.attributes.filter(({ key }) => !keys.includes(key));
  return attributes.length === 0 ? [] : [{ ...change, attributes }];
}

async function eraseAttributes(
  tx: Queryable,
  { entity, scope, keys }: { readonly entity: EntityRef; readonly scope: AttributeScope; readonly keys: string[] },
): Promise<Change> {
  await tx
    .delete(attribute)
    .where(and(eq(attribute.entityId, entity.id), eq(attribute.scope, scope), inArray(attribute.key, keys)));
  return { kind: "attributes-deleted", entity, scope, keys };
}

function keyOf({ key }: AttributeRow): string {
  return key;
}
