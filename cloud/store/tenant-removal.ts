import { eq, sql } from "drizzle-orm";
import type { Uuid } from "../../shared/core/ids.ts";
import { endAudit } from "../../shared/store/audit-store.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { deletedEdge, edge, tenant } from "./schema.ts";
import { tenantNotFound } from "./tenant-store.ts";

/**
 * Columns that say whose a row is, in the order in which tables are emptied. What a table belongs to is read off its columns, so that
 * one that is added later is emptied too.
 */
const OWNERS = [
  { column: "edge_id", ids: "select id from edge where tenant_id = $tenant" },
  { column: "device_id", ids: "select id from entity where tenant_id = $tenant" },
  {
    column: "entity_id",
    ids: "select id from alarm_originator where tenant_id = $tenant",
  },
  {
    column: "alarm_id",
    ids: "select a.id from alarm a join alarm_originator o on o.id = a.originator_id where o.tenant_id = $tenant",
  },
  { column: "originator_id", ids: "select id from alarm_originator where tenant_id = $tenant" },
  { column: "user_id", ids: "select id from app_user where tenant_id = $tenant" },
  { column: "owner_id", ids: "select id from edge where tenant_id = $tenant union all select $tenant" },
  { column: "tenant_id", ids: "select $tenant" },
] as const;

/** The tenant with everything that is its own. @returns its edges, whose sessions have to end. @throws AppError NOT_FOUND */
export async function deleteTenant(tx: Queryable, tenantId: Uuid, nowMs: number): Promise<readonly Uuid[]> {
  const [stored] = await tx.select({ id: tenant.id }).from(tenant).where(eq(tenant.id, tenantId)).for("update");
  if (stored === undefined) throw tenantNotFound(tenantId);
  // The entry about the tenant itself is the caller's to write.
  await endAudit(tx);
  const edges = await tx.select().from(edge).where(eq(edge.tenantId, tenantId)).orderBy(edge.id).for("update");
  for (const { routingKey, secretHash } of edges) {
    const deletedMs = Math.round(nowMs);
    await tx.insert(deletedEdge).values({ routingKey, secretHash, deletedMs }).onConflictDoNothing();
  }
  for (const { column, ids } of OWNERS) {
    for (const table of await tablesWith(tx, column)) {
      const parts = ids.split("$tenant");
      const selected = sql.join(
        parts.map((part) => sql.raw(part)),
        sql`${tenantId}::uuid`,
      );
      await tx.execute(sql`delete from ${sql.identifier(table)} where ${sql.identifier(column)} in (${selected})`);
    }
  }
  await tx.delete(tenant).where(eq(tenant.id, tenantId));
  return edges.map(({ id }) => id as Uuid); // written from a Uuid
}

/** Tables with a uuid column of this name; partitions are emptied with their table. */
async function tablesWith(tx: Queryable, column: string): Promise<readonly string[]> {
  const rows = await tx.execute<{ table_name: string }>(sql`
    select c.relname as table_name
    from pg_attribute a join pg_class c on c.oid = a.attrelid
    where a.attname = ${column} and a.atttypid = 'uuid'::regtype and c.relnamespace = current_schema()::regnamespace
      and c.relkind in ('r', 'p') and not c.relispartition
    order by c.relname`);
  return rows.map((row) => row.table_name);
}
