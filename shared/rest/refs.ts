import type { Uuid } from "../core/ids.ts";
import type { EntityRef } from "../entities/change.ts";
import { readNames, readRecords } from "../store/ref-store.ts";
import type { Queryable } from "../store/unit-of-work.ts";
import type { Principal } from "./principal.ts";
import { isVisible } from "./resource.ts";

// What is named by kind and id, whatever table it is in.

export interface RefDeps {
  readonly db: Queryable;
  /** Kinds that only this side has, such as the cloud's edges. @default none */
  readonly otherRefs?: OtherRefs;
}

export interface OtherRefs {
  /** Those of `refs` that this caller may read, with their names. */
  readNames(refs: readonly EntityRef[], tenantId: Uuid): Promise<ReadonlyMap<Uuid, string>>;
}

/** Ids of those that the caller may read: of its tenant, and for a customer user what is its customer's. */
export async function canRead(
  { db, otherRefs }: RefDeps,
  principal: Principal,
  refs: readonly EntityRef[],
): Promise<ReadonlySet<Uuid>> {
  const { authority, customerId, tenantId, userId } = principal;
  const records = await readRecords(db, tenantId, refs);
  const readable = new Set(records.filter((record) => isVisible(principal, record)).map(({ id }) => id));
  for (const { type, id } of refs) {
    if (type === "CUSTOMER" && id === customerId) readable.add(id);
    if (type === "USER" && id === userId) readable.add(id);
    if (type === "TENANT" && id === tenantId && authority === "TENANT_ADMIN") readable.add(id);
  }
  if (authority !== "TENANT_ADMIN") return readable;
  const users = await readNames(db, { tenantId, refs: refs.filter(({ type }) => type === "USER") });
  const others = (await otherRefs?.readNames(refs, tenantId)) ?? new Map<Uuid, string>();
  return new Set([...readable, ...users.keys(), ...others.keys()]);
}

/** Names by id; of what has none, or is not there, nothing. */
export async function namesOf(
  { db, otherRefs }: RefDeps,
  { tenantId, refs }: { readonly tenantId: Uuid; readonly refs: readonly EntityRef[] },
): Promise<ReadonlyMap<Uuid, string>> {
  const [names, others] = await Promise.all([readNames(db, { tenantId, refs }), otherRefs?.readNames(refs, tenantId)]);
  return new Map([...names, ...(others ?? [])]);
}
