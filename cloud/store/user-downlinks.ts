import { and, asc, eq, sql, type SQL } from "drizzle-orm";
import type { Uuid } from "../../shared/core/ids.ts";
import type { Change } from "../../shared/entities/change.ts";
import type { User } from "../../shared/entities/user.ts";
import { appUser } from "../../shared/store/tables.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { eraseUsers } from "../../shared/store/user-admin-store.ts";
import { userSaved, type UserWork } from "../../shared/store/user-store.ts";
import { recordEvents, type CloudUnitOfWork } from "./downlink-store.ts";
import { type EdgeEvent } from "./edge-event.ts";
import { signsIn } from "./edge-users.ts";
import { edge } from "./schema.ts";

// Who signs in on which edge: the administrators of its tenant, and the users of the customer that it is assigned to.

/** About a row of app_user, named by `alias`. */
export function signsInOn(edgeId: Uuid, alias: "e" | "app_user"): SQL {
  return sql`exists (select from edge d where d.id = ${edgeId}::uuid and ${signsIn({ user: alias, edge: "d" })})`;
}

/** A row for every edge on which the user signs in. */
export async function userEvents(
  tx: Queryable,
  { id, tenantId, customerId, authority }: User,
  action: "UPDATED" | "DELETED",
): Promise<EdgeEvent[]> {
  if (authority === "SYS_ADMIN") return [];
  const isOfCustomer = customerId === null ? sql`false` : eq(edge.customerId, customerId);
  const rows = await tx
    .select({ id: edge.id })
    .from(edge)
    .where(and(eq(edge.tenantId, tenantId), authority === "TENANT_ADMIN" ? undefined : isOfCustomer))
    .orderBy(asc(edge.id));
  // Columns written from Uuids.
  return rows.map((row) => ({ edgeId: row.id as Uuid, type: "USER", action, entityId: id, body: null }));
}

/** What an edge hears of the users of a customer that it is given to, or taken from. */
export async function customerUserEvents(
  tx: Queryable,
  { edgeId, customerId }: { readonly edgeId: Uuid; readonly customerId: Uuid },
  action: "ADDED" | "UNASSIGNED_FROM_EDGE",
): Promise<EdgeEvent[]> {
  const rows = await tx
    .select({ id: appUser.id })
    .from(appUser)
    .where(and(eq(appUser.customerId, customerId), eq(appUser.authority, "CUSTOMER_USER")))
    .orderBy(asc(appUser.id));
  return rows.map((row) => ({ edgeId, type: "USER", action, entityId: row.id as Uuid, body: null }));
}

/** Changes of users, with the rows for the edges that have to hear of them. */
export function createUserWork(unitOfWork: CloudUnitOfWork): UserWork {
  return {
    change: (work) =>
      unitOfWork.runEvents(async (tx) => {
        const user = await work(tx);
        return { result: user, events: await userEvents(tx, user, "UPDATED") };
      }),
    remove: (user, work) =>
      unitOfWork.runEvents(async (tx) => {
        const events = await userEvents(tx, user, "DELETED");
        return { result: await work(tx), events };
      }),
  };
}

/** Users of a customer that is deleted; inside a unit of work that goes on. */
export async function deleteCustomerUsers(tx: Queryable, customerId: Uuid, nowMs: number): Promise<void> {
  const rows = await tx.select({ id: appUser.id }).from(appUser).where(eq(appUser.customerId, customerId));
  const edges = await tx
    .select({ id: edge.id })
    .from(edge)
    .where(eq(edge.customerId, customerId))
    .orderBy(asc(edge.id));
  const ids = rows.map((row) => row.id as Uuid); // columns written from Uuids
  const events = edges.flatMap(({ id: edgeId }) =>
    ids.map((entityId): EdgeEvent => ({
      edgeId: edgeId as Uuid,
      type: "USER",
      action: "DELETED",
      entityId,
      body: null,
    })),
  );
  await eraseUsers(tx, ids);
  await recordEvents(tx, events, { nowMs });
}

/** What a row about a user says: its state of now, or nothing when it does not sign in on the edge. */
export async function loadUserChanges(db: Queryable, event: EdgeEvent): Promise<Change[]> {
  const { action, edgeId, entityId: id } = event;
  const entity = { type: "USER", id };
  if (action === "DELETED" || action === "UNASSIGNED_FROM_EDGE")
    return [{ kind: "entity-removed", entity, deleted: action === "DELETED" }];
  const [row] = await db
    .select()
    .from(appUser)
    .where(and(eq(appUser.id, id), signsInOn(edgeId, "app_user")));
  return row === undefined ? [] : [userSaved(row)];
}
