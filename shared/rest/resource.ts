import * as z from "zod";
import type { Clock } from "../core/clock.ts";
import { AppError } from "../core/errors.ts";
import type { Uuid } from "../core/ids.ts";
import type { Random } from "../core/random.ts";
import type { EntityRef } from "../entities/change.ts";
import { customerSummary } from "../entities/customer.ts";
import { ENTITY_KINDS } from "../entities/entity-kinds.ts";
import type { EntityRecord } from "../entities/entity-record.ts";
import { isKindType, type EntityType } from "../entities/entity-types.ts";
import { entityIdSchema, restId } from "../entities/fields.ts";
import { findOriginator } from "../store/alarm-store.ts";
import { findCustomers, getEntity, notFound } from "../store/entity-store.ts";
import type { Queryable, UnitOfWork } from "../store/unit-of-work.ts";
import type { Principal } from "./principal.ts";

/** What the routes of an entity type need. */
export interface ResourceDeps {
  readonly db: Queryable;
  /** Every change goes through it, so that the other side hears of it. */
  readonly unitOfWork: UnitOfWork;
  readonly clock: Clock;
  readonly random: Random;
}

/**
 * An entity that the caller may read: of its tenant and, for a customer user, of its customer.
 *
 * @throws AppError NOT_FOUND, also for what belongs to others: nobody learns which ids exist
 */
export async function readableEntity(
  db: Queryable,
  principal: Principal,
  { type, id }: { readonly type: EntityType; readonly id: Uuid },
): Promise<EntityRecord> {
  const record = await getEntity(db, { type, id, tenantId: principal.tenantId });
  if (!isVisible(principal, record)) throw notFound(type, id);
  return record;
}

/** Whether the caller, who is of its tenant, may read it. */
export function isVisible({ authority, customerId }: Principal, record: EntityRecord): boolean {
  if (authority !== "CUSTOMER_USER") return true;
  return customerId !== null && ENTITY_KINDS[record.entityType].isSeenBy(record, customerId);
}

/**
 * What alarms may be of, named by kind and id: an entity, a user, an edge, the tenant; for customer users their customer too, and of
 * users they themselves.
 *
 * @throws AppError NOT_FOUND, also for what belongs to others
 */
export async function readableRef(db: Queryable, principal: Principal, ref: EntityRef): Promise<void> {
  const { authority, customerId, tenantId, userId } = principal;
  const { type, id } = ref;
  if (type === "CUSTOMER" && id === customerId) return;
  if (isKindType(type)) {
    await readableEntity(db, principal, { type, id });
    return;
  }
  const found = await findOriginator(db, ref, tenantId);
  const isOwn = type === "USER" ? id === userId : type === "EDGE" && found?.customerId === customerId;
  if (found === null || (authority !== "TENANT_ADMIN" && !(authority === "CUSTOMER_USER" && isOwn))) {
    throw new AppError("NOT_FOUND", "Requested item wasn't found!");
  }
}

/** For lists: a customer user sees its customer's entities only. */
export function visibleTo(principal: Principal): { readonly tenantId: Uuid; readonly customerId?: Uuid } {
  const { tenantId, customerId, authority } = principal;
  // A customer user without a customer is a fault of its record; it sees the entities of nobody.
  return authority === "CUSTOMER_USER" ? { tenantId, customerId: customerId ?? principal.userId } : { tenantId };
}

export interface CustomerColumns {
  readonly customerTitle: string | null;
  readonly customerIsPublic: boolean;
}

/** What Info forms show of the customer, for each record. */
export async function customerColumns(
  db: Queryable,
  records: readonly { readonly customerId: Uuid | null }[],
): Promise<(record: { readonly customerId: Uuid | null }) => CustomerColumns> {
  const ids = new Set(records.flatMap((record) => record.customerId ?? []));
  const customers = await findCustomers(db, [...ids]);
  return ({ customerId }) => {
    const customer = customerId === null ? undefined : customers.get(customerId);
    const summary = customer === undefined ? null : customerSummary(customer);
    return { customerTitle: summary?.title ?? null, customerIsPublic: summary?.isPublic ?? false };
  };
}

export const subtypeSchema = z
  .object({ tenantId: entityIdSchema, entityType: z.string(), type: z.string() })
  .meta({ id: "EntitySubtype" });

export function toSubtypes(
  tenantId: Uuid,
  entityType: EntityType,
  types: readonly string[],
): z.input<typeof subtypeSchema>[] {
  return types.map((type) => ({ tenantId: restId("TENANT", tenantId), entityType, type }));
}
