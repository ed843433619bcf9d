import { and, eq, sql } from "drizzle-orm";
import { AppError } from "../core/errors.ts";
import type { Uuid } from "../core/ids.ts";
import { customerForm } from "../entities/customer.ts";
import { titleOf } from "../entities/entity-kinds.ts";
import type { EntityRecord } from "../entities/entity-record.ts";
import type { KindType } from "../entities/entity-types.ts";
import { saveForm } from "./entity-save.ts";
import {
  deleteEntity,
  entitySaved,
  getEntity,
  keepEntity,
  lockEntity,
  lockEntityIfThere,
  notFound,
  replaceEntity,
} from "./entity-store.ts";
import type { StoreDeps } from "./store-deps.ts";
import { entity } from "./tables.ts";
import type { Outcome, Queryable } from "./unit-of-work.ts";

// Which customer has what.

export interface OwnedKey {
  readonly type: KindType;
  readonly id: Uuid;
  readonly tenantId: Uuid;
}

/** @throws AppError NOT_FOUND for the entity or the customer */
export async function assignCustomer(tx: Queryable, key: OwnedKey, customerId: Uuid): Promise<Outcome<EntityRecord>> {
  const stored = await lockEntity(tx, key);
  if (!(await keepEntity(tx, { type: "CUSTOMER", id: customerId, tenantId: key.tenantId }))) {
    throw notFound("CUSTOMER", customerId);
  }
  return setCustomer(tx, stored, customerId);
}

/** Gives the entity to the public customer of the tenant, which is made for the first of them. */
export async function assignPublicCustomer(
  tx: Queryable,
  deps: StoreDeps,
  key: OwnedKey,
): Promise<Outcome<EntityRecord>> {
  const stored = await lockEntity(tx, key);
  const customer = await ensurePublicCustomer(tx, deps, key.tenantId);
  const given = await setCustomer(tx, stored, customer.result.id);
  return { result: given.result, changes: [...customer.changes, ...given.changes] };
}

/** @throws AppError NOT_FOUND, INVALID_ARGUMENT when no customer has it */
export async function unassignCustomer(tx: Queryable, key: OwnedKey): Promise<Outcome<EntityRecord>> {
  const stored = await lockEntity(tx, key);
  if (stored.customerId === null) {
    throw new AppError("INVALID_ARGUMENT", `${titleOf(key.type)} isn't assigned to any customer!`);
  }
  return setCustomer(tx, stored, null);
}

async function setCustomer(
  tx: Queryable,
  stored: EntityRecord,
  customerId: Uuid | null,
): Promise<Outcome<EntityRecord>> {
  if (stored.customerId === customerId) return { result: stored, changes: [] };
  const record = { ...stored, customerId, version: stored.version + 1 };
  await replaceEntity(tx, record);
  return { result: record, changes: [entitySaved(record, stored)] };
}

const PUBLIC_TITLE = "Public";

/** The customer whose entities everybody may see. */
export async function ensurePublicCustomer(
  tx: Queryable,
  deps: StoreDeps,
  tenantId: Uuid,
): Promise<Outcome<EntityRecord>> {
  const [row] = await tx
    .select({ id: entity.id })
    .from(entity)
    .where(
      and(
        eq(entity.tenantId, tenantId),
        eq(entity.entityType, "CUSTOMER"),
        sql`${entity.body} #>> '{additionalInfo,isPublic}' = 'true'`,
      ),
    )
    .limit(1);
  if (row !== undefined) {
    return { result: await getEntity(tx, { type: "CUSTOMER", id: row.id as Uuid, tenantId }), changes: [] }; // a uuid column
  }
  return saveForm(tx, deps, {
    form: customerForm,
    tenantId,
    input: { title: PUBLIC_TITLE, additionalInfo: { isPublic: true } },
    naming: { onConflict: "UNIQUIFY" },
  });
}

/** Deletes a customer; what it had belongs to nobody then. @throws AppError NOT_FOUND */
export async function deleteCustomer(
  tx: Queryable,
  key: { readonly id: Uuid; readonly tenantId: Uuid },
): Promise<Outcome<EntityRecord>> {
  const deleted = await deleteEntity(tx, { type: "CUSTOMER", ...key });
  const rows = await tx
    .update(entity)
    .set({ customerId: null, version: sql`${entity.version} + 1` })
    .where(eq(entity.customerId, key.id))
    .returning({ id: entity.id });
  const changes = [];
  for (const { id } of rows) {
    const record = await lockEntityIfThere(tx, id as Uuid); // a uuid column
    if (record !== null) changes.push(entitySaved(record));
  }
  return { result: deleted.result, changes: [...changes, ...deleted.changes] };
}
