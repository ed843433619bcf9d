import type { Uuid } from "../../shared/core/ids.ts";
import { createToken } from "../../shared/core/random.ts";
import type { StoreDeps } from "../../shared/store/store-deps.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import type { PasswordHasher } from "../../shared/store/user-store.ts";
import { createUser, hasUsers } from "../../shared/store/user-store.ts";

export interface FirstAdmin {
  readonly tenantId: Uuid;
  readonly email: string;
  /** Null: one is made. */
  readonly password: string | null;
}

/** The local administrator of a new edge. @returns the password that was made, to be shown this once; null when there is nothing to show */
export async function ensureLocalAdmin(
  db: Queryable,
  deps: StoreDeps & { readonly passwords: PasswordHasher },
  admin: FirstAdmin,
): Promise<string | null> {
  if (await hasUsers(db)) return null;
  const password = admin.password ?? createToken(deps.random, 16);
  const passwordHash = await deps.passwords.hash(password);
  const { email, tenantId } = admin;
  await createUser(db, deps, { tenantId, customerId: null, email, authority: "TENANT_ADMIN", passwordHash });
  return admin.password === null ? password : null;
}
