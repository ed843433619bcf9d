import type { Uuid } from "../core/ids.ts";
import { dashboardCustomers } from "../entities/dashboard.ts";
import type { EntityRecord } from "../entities/entity-record.ts";
import { entitySaved, keepEntity, lockEntity, notFound, replaceEntity } from "./entity-store.ts";
import type { Outcome, Queryable } from "./unit-of-work.ts";

export interface DashboardKey {
  readonly id: Uuid;
  readonly tenantId: Uuid;
}

/**
 * Says which customers see the dashboard.
 *
 * @param choose the customers after, given those before
 * @throws AppError NOT_FOUND for the dashboard or a customer
 */
export async function shareDashboard(
  tx: Queryable,
  key: DashboardKey,
  choose: (before: readonly Uuid[]) => readonly Uuid[],
): Promise<Outcome<EntityRecord>> {
  const stored = await lockEntity(tx, { type: "DASHBOARD", ...key });
  const before = dashboardCustomers(stored);
  const customerIds = [...new Set(choose(before))];
  for (const id of customerIds.filter((customerId) => !before.includes(customerId))) {
    if (!(await keepEntity(tx, { type: "CUSTOMER", id, tenantId: key.tenantId }))) throw notFound("CUSTOMER", id);
  }
  if (customerIds.length === before.length && customerIds.every((id) => before.includes(id))) {
    return { result: stored, changes: [] };
  }
  const record = { ...stored, version: stored.version + 1, body: { ...stored.body, customerIds } };
  await replaceEntity(tx, record);
  return { result: record, changes: [entitySaved(record)] };
}
