import { sql, type SQL } from "drizzle-orm";

/** Whether a user signs in on an edge: administrators of its tenant, and users of the customer that it is assigned to. Both name rows. */
export function signsIn({ user, edge }: { readonly user: string; readonly edge: string }): SQL {
  const [u, e] = [sql.raw(user), sql.raw(edge)];
  return sql`${e}.tenant_id = ${u}.tenant_id and (${u}.authority = 'TENANT_ADMIN'
    or ${u}.authority = 'CUSTOMER_USER' and ${e}.customer_id = ${u}.customer_id)`;
}
