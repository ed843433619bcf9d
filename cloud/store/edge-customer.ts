import { eq } from "drizzle-orm";
import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { ensurePublicCustomer } from "../../shared/store/customer-store.ts";
import { keepEntity, notFound } from "../../shared/store/entity-store.ts";
import type { StoreDeps } from "../../shared/store/store-deps.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import type { EdgeEvent } from "./edge-event.ts";
import { settleEdge } from "./edge-holdings.ts";
import { lockEdge, toEdge, type Edge, type EdgeKey } from "./edge-store.ts";
import { edge } from "./schema.ts";
import { customerUserEvents } from "./user-downlinks.ts";

// Which customer has an edge: its users see the edge in the cloud, and sign in on it.

export interface EdgeOwnership {
  readonly result: Edge;
  /** What the edge hears of it. */
  readonly events: readonly EdgeEvent[];
}

/** @throws AppError NOT_FOUND for the edge or the customer */
export async function assignEdgeToCustomer(
  tx: Queryable,
  { clock }: Pick<StoreDeps, "clock">,
  { customerId, ...key }: EdgeKey & { readonly customerId: Uuid },
): Promise<EdgeOwnership> {
  const stored = toEdge(await lockEdge(tx, key));
  if (!(await keepEntity(tx, { type: "CUSTOMER", id: customerId, tenantId: key.tenantId })))
    throw notFound("CUSTOMER", customerId);
  return setCustomer(tx, stored, { customerId, nowMs: clock.nowMs() });
}

/** Gives the edge to the public customer of the tenant, which is made for the first of them. @throws AppError NOT_FOUND */
export async function assignEdgeToPublic(tx: Queryable, deps: StoreDeps, key: EdgeKey): Promise<EdgeOwnership> {
  const stored = toEdge(await lockEdge(tx, key));
  const { result: customer } = await ensurePublicCustomer(tx, deps, key.tenantId);
  return setCustomer(tx, stored, { customerId: customer.id, nowMs: deps.clock.nowMs() });
}

/** @throws AppError NOT_FOUND, INVALID_ARGUMENT when no customer has it */
export async function unassignEdgeFromCustomer(
  tx: Queryable,
  { clock }: Pick<StoreDeps, "clock">,
  key: EdgeKey,
): Promise<EdgeOwnership> {
  const stored = toEdge(await lockEdge(tx, key));
  if (stored.customerId === null)
    throw new AppError("INVALID_ARGUMENT", "Edge isn't assigned to any customer!", { field: "edgeId" });
  return setCustomer(tx, stored, { customerId: null, nowMs: clock.nowMs() });
}

async function setCustomer(
  tx: Queryable,
  stored: Edge,
  { customerId, nowMs }: { readonly customerId: Uuid | null; readonly nowMs: number },
): Promise<EdgeOwnership> {
  const { id: edgeId, customerId: before, version } = stored;
  if (before === customerId) return { result: stored, events: [] };
  await tx
    .update(edge)
    .set({ customerId, version: version + 1 })
    .where(eq(edge.id, edgeId));
  // The customer itself comes and leaves like everything that others need.
  const holdings = await settleEdge(tx, edgeId, nowMs);
  const leaving =
    before === null ? [] : await customerUserEvents(tx, { edgeId, customerId: before }, "UNASSIGNED_FROM_EDGE");
  const coming = customerId === null ? [] : await customerUserEvents(tx, { edgeId, customerId }, "ADDED");
  return { result: { ...stored, customerId, version: version + 1 }, events: [...holdings, ...leaving, ...coming] };
}
