import type { AttributeScope } from "../entities/attributes.ts";
import { ATTRIBUTE_SCOPES } from "../entities/attributes.ts";
import type { Change, EntityRef } from "../entities/change.ts";
import { isProfileType } from "../entities/entity-kinds.ts";
import { isEntityType } from "../entities/entity-types.ts";
import { loadAlarmsOf } from "./alarm-state.ts";
import { attributesSaved, readAttributeRows } from "./attribute-store.ts";
import { credentialsSaved, findCredentials } from "./device-store.ts";
import { entitySaved, findEntity, findEntityWithProfile } from "./entity-store.ts";
import type { Queryable } from "./unit-of-work.ts";

// An entity as it is now, in the form of the changes that make it on the other side.

/** All that is its own: record, credentials, attributes, alarms; empty when it is gone. */
export async function loadEntity(db: Queryable, ref: EntityRef): Promise<Change[]> {
  return loadBehind(db, ref, loadRecord(db, ref));
}

/** The same behind its profile, for a side that may not have it: it makes none up then. */
export async function loadEntityWithProfile(db: Queryable, ref: EntityRef): Promise<Change[]> {
  return loadBehind(db, ref, loadRecordWithProfile(db, ref));
}

async function loadBehind(db: Queryable, ref: EntityRef, records: Promise<Change[]>): Promise<Change[]> {
  const parts = [records, loadCredentials(db, ref), loadAttributes(db, ref, {})];
  // Nobody raises alarms on a profile, and one goes with every device.
  if (!isProfileType(ref.type)) parts.push(loadAlarmsOf(db, ref));
  return (await Promise.all(parts)).flat();
}

export async function loadRecord(db: Queryable, { type, id }: EntityRef): Promise<Change[]> {
  if (!isEntityType(type)) return [];
  const record = await findEntity(db, { type, id });
  return record === null ? [] : [entitySaved(record)];
}

async function loadRecordWithProfile(db: Queryable, { type, id }: EntityRef): Promise<Change[]> {
  return isEntityType(type) ? (await findEntityWithProfile(db, { type, id })).map((record) => entitySaved(record)) : [];
}

export async function loadCredentials(db: Queryable, { type, id }: EntityRef): Promise<Change[]> {
  if (type !== "DEVICE") return [];
  const credentials = await findCredentials(db, id);
  return credentials === null ? [] : [credentialsSaved(credentials)];
}

export async function loadAttributes(
  db: Queryable,
  ref: EntityRef,
  filter: { readonly scopes?: readonly AttributeScope[]; readonly keys?: readonly string[] },
): Promise<Change[]> {
  const rows = await readAttributeRows(db, { entityId: ref.id, ...filter });
  return ATTRIBUTE_SCOPES.flatMap((scope) => {
    const entries = rows.filter((row) => row.scope === scope);
    return entries.length === 0 ? [] : [attributesSaved(ref, scope, entries)];
  });
}
