import type { Uuid } from "../core/ids.ts";
import type { User } from "../entities/user.ts";
import type { Queryable } from "../store/unit-of-work.ts";
import { findUser, userNotFound } from "../store/user-store.ts";
import type { Principal } from "./principal.ts";

// Whose accounts a caller sees and manages. Those of others answer 404, like those that there are not.

/**
 * A user that the caller may see: a system administrator all administrators, a tenant administrator all of its tenant, a customer user
 * those of its customer.
 *
 * @throws AppError NOT_FOUND
 */
export async function readableUser(db: Queryable, principal: Principal, id: Uuid): Promise<User> {
  const user = await findUser(db, id);
  if (user === null || !sees(principal, user)) throw userNotFound(id);
  return user;
}

/** The same, but of customer users only itself. @throws AppError NOT_FOUND */
export async function manageableUser(db: Queryable, principal: Principal, id: Uuid): Promise<User> {
  const user = await findUser(db, id);
  if (user === null || !manages(principal, user)) throw userNotFound(id);
  return user;
}

export function manages(principal: Principal, user: User): boolean {
  return user.id === principal.userId || (principal.authority !== "CUSTOMER_USER" && sees(principal, user));
}

export function sees(principal: Principal, user: User): boolean {
  if (user.id === principal.userId) return true;
  switch (principal.authority) {
    case "SYS_ADMIN":
      return user.authority !== "CUSTOMER_USER";
    case "TENANT_ADMIN":
      return user.tenantId === principal.tenantId;
    case "CUSTOMER_USER":
      return (
        user.tenantId === principal.tenantId && user.customerId !== null && user.customerId === principal.customerId
      );
  }
}
