import { isUuid, type Uuid } from "../core/ids.ts";
import type { EntityKind } from "./entity-kind.ts";
import type { EntityRecord } from "./entity-record.ts";

// The configuration of a dashboard is never looked into: it is the record's content, the very text that came.

export const dashboardKind: EntityKind = {
  type: "DASHBOARD",
  title: "Dashboard",
  word: "dashboard",
  nameField: "title",
  hasUniqueName: false,
  isAssignable: true,
  isMadeOnEdges: true,
  profileType: null,
  isSeenBy: (record, customerId) => dashboardCustomers(record).includes(customerId),
  references: () => [],
};

/** Customers that see the dashboard. */
function dashboardCustomers({ body }: Pick<EntityRecord, "body">): readonly Uuid[] {
  const { customerIds } = body;
  return Array.isArray(customerIds) ? customerIds.filter((id): id is Uuid => typeof id === "string" && isUuid(id)) : [];
}
