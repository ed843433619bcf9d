import { createUuid, type Uuid } from "../../shared/core/ids.ts";
import { ALARM_SEVERITIES, type AlarmRecord } from "../../shared/entities/alarm.ts";
import type { AlarmAction, Change } from "../../shared/entities/change.ts";
import { isKindType } from "../../shared/entities/entity-types.ts";
import { newRpc } from "../../shared/entities/rpc-form.ts";
import type { RpcRecord } from "../../shared/entities/rpc.ts";
import type { CanonicalJson } from "../../shared/entities/telemetry.ts";
import type { Log } from "../../shared/observe/log.ts";
import { databaseError, isDataError, sqlStateOf } from "../../shared/postgres/connect.ts";
import type {
  ClearAlarm,
  DeleteAttributes,
  RaiseAlarm,
  SaveAttributes,
  SendRpc,
} from "../../shared/rules/chain/effects.ts";
import { addSystemComment } from "../../shared/store/alarm-comment-store.ts";
import { alarmSaved, findActiveAlarm, lockOriginator, putAlarm } from "../../shared/store/alarm-store.ts";
import { deleteAttributes, readAttributeRows, saveAttributes } from "../../shared/store/attribute-store.ts";
import { keepEntities } from "../../shared/store/entity-store.ts";
import { createRpc } from "../../shared/store/rpc-store.ts";
import type { StoreDeps } from "../../shared/store/store-deps.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";

// What chains want written, within the commit of what they looked at. What is gone by then is passed over.

export type StoredEffect = SaveAttributes | DeleteAttributes | RaiseAlarm | ClearAlarm;

export interface EffectDeps extends StoreDeps {
  readonly tenantId: Uuid;
  readonly log: Log;
}

/**
 * What can't be written is left out and told of: it spoils neither the other effects nor what else the commit holds.
 *
 * @returns what the cloud has to hear of it
 * @throws what the database says when it fails for another reason than what it is given
 */
export async function writeStoredEffects(
  tx: Queryable,
  deps: EffectDeps,
  effects: readonly StoredEffect[],
): Promise<readonly Change[]> {
  if (effects.length === 0) return [];
  const write = async (inner: Queryable, some: readonly StoredEffect[]): Promise<readonly Change[]> => {
    const changes: Change[] = [];
    for (const effect of some) changes.push(...(await writeStoredEffect(inner, deps, effect)));
    return changes;
  };
  try {
    return await tx.transaction((inner) => write(inner, effects));
  } catch (thrown) {
    if (isOfDatabase(thrown)) throw thrown;
  }
  const changes: Change[] = [];
  for (const effect of effects) {
    try {
      changes.push(...(await tx.transaction((inner) => write(inner, [effect]))));
    } catch (thrown) {
      if (isOfDatabase(thrown)) throw thrown;
      deps.log.warn("What a rule chain decided can't be written, and is left out", {
        kind: effect.kind,
        error: databaseError(thrown),
      });
    }
  }
  return changes;
}

/** Not of what it was given. */
function isOfDatabase(thrown: unknown): boolean {
  if (isDataError(thrown)) return false;
  return sqlStateOf(thrown) !== undefined || databaseError(thrown).code === "DATABASE_UNAVAILABLE";
}

async function writeStoredEffect(tx: Queryable, deps: EffectDeps, effect: StoredEffect): Promise<readonly Change[]> {
  switch (effect.kind) {
    case "save-attributes":
      return writeAttributes(tx, deps, effect);
    case "delete-attributes": {
      const { entity, keys, scope } = effect;
      const isThere = isKindType(entity.type) && (await keepEntities(tx, [entity.id])).has(entity.id);
      return isThere ? (await deleteAttributes(tx, { entity, scope, keys })).changes : [];
    }
    case "raise-alarm":
      return raise(tx, deps, effect);
    case "clear-alarm":
      return clear(tx, deps, effect);
    default:
      return effect satisfies never;
  }
}

async function writeAttributes(
  tx: Queryable,
  { clock }: EffectDeps,
  { attributes, entity, onlyChanged, scope }: SaveAttributes,
): Promise<readonly Change[]> {
  if (!isKindType(entity.type) || !(await keepEntities(tx, [entity.id])).has(entity.id)) return [];
  const keys = attributes.map(({ key }) => key);
  const stored = onlyChanged ? await readAttributeRows(tx, { entityId: entity.id, scopes: [scope], keys }) : [];
  const known = new Map(stored.map(({ key, value }) => [key, value]));
  const readings = attributes.filter(({ key, value }) => known.get(key) !== value);
  return (await saveAttributes(tx, { entity, scope, readings, nowMs: Math.round(clock.nowMs()) })).changes;
}

/** One active alarm of a type: what is there is changed. */
async function raise(tx: Queryable, deps: EffectDeps, effect: RaiseAlarm): Promise<readonly Change[]> {
  const { alarmType: type, details, originator, severity } = effect;
  if (!(await lockOriginator(tx, originator, deps.tenantId))) return [];
  const { propagate, propagateRelationTypes, propagateToOwner, propagateToTenant } = effect;
  const propagation = { propagate, propagateRelationTypes, propagateToOwner, propagateToTenant };
  const nowMs = Math.max(1, Math.round(deps.clock.nowMs()));
  const active = await findActiveAlarm(tx, { originatorId: originator.id, type });
  if (active === null) {
    const [startMs, endMs] = [alarmTime(effect.startMs), alarmTime(effect.endMs)];
    const times = { createdMs: nowMs, editedMs: nowMs, startMs, endMs, ackMs: 0, clearMs: 0, assignMs: 0 };
    const id = createUuid(deps.clock, deps.random);
    const made = { id, formerIds: [], originator, type, severity, assigneeId: null, details, ...times };
    return put(tx, { ...made, ...propagation }, "ADDED");
  }
  // A clock that was set back loses no edit.
  const editedMs = Math.max(nowMs, active.editedMs + 1);
  const endMs = Math.max(active.startMs, alarmTime(effect.endMs));
  const alarm = { ...active, ...propagation, severity, details, endMs, editedMs };
  const changes = await put(tx, alarm, "UPDATED");
  if (ALARM_SEVERITIES.indexOf(severity) === ALARM_SEVERITIES.indexOf(active.severity)) return changes;
  const comment = await addSystemComment(tx, deps, {
    alarm,
    actor: null,
    subtype: "SEVERITY_CHANGED",
    what: `changed from ${active.severity} to ${severity}`,
    more: { oldSeverity: active.severity, newSeverity: severity },
  });
  return [...changes, comment];
}

async function clear(tx: Queryable, deps: EffectDeps, effect: ClearAlarm): Promise<readonly Change[]> {
  const { alarmType: type, details, originator } = effect;
  if (!(await lockOriginator(tx, originator, deps.tenantId))) return [];
  const active = await findActiveAlarm(tx, { originatorId: originator.id, type });
  if (active === null) return [];
  const nowMs = Math.max(1, Math.round(deps.clock.nowMs()));
  const editedMs = Math.max(nowMs, active.editedMs + 1);
  const endMs = Math.max(active.startMs, alarmTime(effect.tsMs));
  return put(tx, { ...active, details, endMs, editedMs, clearMs: nowMs }, "ALARM_CLEAR");
}

async function put(tx: Queryable, alarm: AlarmRecord, action: AlarmAction): Promise<readonly Change[]> {
  await putAlarm(tx, alarm);
  return [alarmSaved(alarm, action)];
}

/** Times of alarms are none before 1970. */
function alarmTime(timeMs: number): number {
  return Math.max(1, Math.round(timeMs));
}

/** A request to a device as it is kept, or called. */
export function rpcOf(id: Uuid, effect: SendRpc, nowMs: number): RpcRecord {
  const { device, method, oneway, params, persistent, timeoutMs } = effect;
  const input = {
    id,
    method,
    params: params as CanonicalJson, // what JSON.stringify made
    isPersistent: persistent,
    expirationMs: Math.round(nowMs + timeoutMs),
    retries: 0,
    additionalInfo: null,
  };
  return newRpc(input, { deviceId: device.id, isOneway: oneway, nowMs });
}

/** A request that is kept. @throws AppError TOO_MANY_REQUESTS */
export async function writeRpc(tx: Queryable, record: RpcRecord, nowMs: number): Promise<readonly Change[]> {
  if (!(await keepEntities(tx, [record.deviceId])).has(record.deviceId)) return [];
  return (await createRpc(tx, record, nowMs)).changes;
}
