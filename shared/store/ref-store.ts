import { and, eq, inArray } from "drizzle-orm";
import type { Uuid } from "../core/ids.ts";
import type { EntityRef } from "../entities/change.ts";
import type { EntityRecord } from "../entities/entity-record.ts";
import { isKindType } from "../entities/entity-types.ts";
import { findEntities } from "./entity-store.ts";
import { appUser, entity } from "./tables.ts";
import type { Queryable } from "./unit-of-work.ts";

// Entities and users by kind and id, many at once.

/** The records of those that have one and belong to the tenant. */
export async function readRecords(
  db: Queryable,
  tenantId: Uuid,
  refs: readonly EntityRef[],
): Promise<readonly EntityRecord[]> {
  const records: EntityRecord[] = [];
  for (const type of new Set(refs.map((ref) => ref.type))) {
    if (!isKindType(type)) continue;
    const ids = [...new Set(refs.filter((ref) => ref.type === type).map(({ id }) => id))];
    records.push(...(await findEntities(db, { type, tenantId, ids })));
  }
  return records;
}

/** Names of entities and e-mail addresses of users, by id. */
export async function readNames(
  db: Queryable,
  { tenantId, refs }: { readonly tenantId: Uuid; readonly refs: readonly EntityRef[] },
): Promise<ReadonlyMap<Uuid, string>> {
  if (refs.length === 0) return new Map();
  const ids = [...new Set(refs.map(({ id }) => id))];
  const [entities, users] = await Promise.all([
    db
      .select({ id: entity.id, name: entity.name })
      .from(entity)
      .where(and(inArray(entity.id, ids), eq(entity.tenantId, tenantId))),
    db
      .select({ id: appUser.id, name: appUser.email })
      .from(appUser)
      .where(and(inArray(appUser.id, ids), eq(appUser.tenantId, tenantId))),
  ]);
  return new Map([...entities, ...users].map(({ id, name }) => [id as Uuid, name]));
}
