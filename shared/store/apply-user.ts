import { and, eq, ne, sql } from "drizzle-orm";
import type { UserSaved } from "../entities/change.ts";
import { parseUserRecord, type UserRecord } from "../entities/user-record.ts";
import { applied, orRejected, rejected, type ApplyContext, type ApplyResult } from "./apply-result.ts";
import type { StoreDeps } from "./store-deps.ts";
import { appUser } from "./tables.ts";
import type { Queryable } from "./unit-of-work.ts";
import { eraseUsers } from "./user-admin-store.ts";

// Users of the cloud on an edge: copies, which the cloud alone makes and changes. Users that an edge made itself stay as they are.

/** The state of the cloud replaces what is here, whatever its version. */
export function applyUserSaved(
  tx: Queryable,
  deps: StoreDeps,
  { change, context }: { readonly change: UserSaved; readonly context: ApplyContext },
): Promise<ApplyResult> {
  if (context.from === "edge") return Promise.resolve(rejected("UNSUPPORTED_ITEM", "Users are made in the cloud"));
  return orRejected(async () => {
    const record = parseUserRecord(change.body);
    if (record.id !== change.entity.id)
      return rejected("INVALID_ARGUMENT", "Can't read a user: its body is about another user");
    if (record.authority === "SYS_ADMIN") return rejected("PERMISSION_DENIED", "No edge takes system administrators");
    const [stored] = await tx.select().from(appUser).where(eq(appUser.id, record.id)).for("update");
    if (stored !== undefined && !stored.isCopy)
      return rejected("ALREADY_EXISTS", `The id ${record.id} belongs to a user of the edge itself`);
    const [holder] = await tx
      .select()
      .from(appUser)
      .where(and(eq(sql`lower(${appUser.email})`, record.email.toLowerCase()), ne(appUser.id, record.id)));
    if (holder !== undefined && !holder.isCopy)
      return rejected("ALREADY_EXISTS", `A user of the edge itself has the e-mail address ${record.email}`);
    // In the cloud that one has another address by now, or is gone; if it is still there, it comes again.
    if (holder !== undefined) await eraseUsers(tx, [holder.id as UserRecord["id"]]); // written from a Uuid
    const keepsTokens = stored !== undefined && stored.passwordHash === record.passwordHash;
    // By the clock that issues tokens here.
    const tokensValidFromMs = keepsTokens ? stored.tokensValidFromMs : Math.round(deps.clock.nowMs());
    const row = { ...record, tenantId: context.tenantId, isCopy: true, tokensValidFromMs };
    await tx.insert(appUser).values(row).onConflictDoUpdate({ target: appUser.id, set: row });
    return applied([change]);
  });
}

/** Users of the edge itself stay. */
export async function applyUserRemoved(
  tx: Queryable,
  id: UserRecord["id"],
  from: ApplyContext["from"],
): Promise<ApplyResult> {
  if (from === "edge") return rejected("UNSUPPORTED_ITEM", "Users are deleted in the cloud");
  const [stored] = await tx.select().from(appUser).where(eq(appUser.id, id));
  if (stored?.isCopy === true) await eraseUsers(tx, [id]);
  return applied();
}
