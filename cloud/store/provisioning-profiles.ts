import { sql, type SQL } from "drizzle-orm";
import type { Uuid } from "../../shared/core/ids.ts";
import type { Change } from "../../shared/entities/change.ts";
import { provisioningOf } from "../../shared/entities/device-profile.ts";
import type { EntityRecord } from "../../shared/entities/entity-record.ts";

// Profiles by which new devices make themselves known are on every edge of their tenant: a device may appear anywhere, with or without a
// link. Those that admit devices which were entered before follow these devices, as any profile does.

const MAKES_DEVICES = ["ALLOW_CREATE_NEW_DEVICES", "X509_CERTIFICATE_CHAIN"] as const;

/** About a row of entity, named by `p`. */
const MAKES_DEVICES_SQL = sql`p.entity_type = 'DEVICE_PROFILE'
  and coalesce(p.body ->> 'provisionType', p.body #>> '{profileData,provisionConfiguration,type}') in ('ALLOW_CREATE_NEW_DEVICES', 'X509_CERTIFICATE_CHAIN')`;

/** Every edge with the profiles of its tenant that make devices: edge_id and id. */
export function provisioningHoldings(which: { readonly edgeId: Uuid } | { readonly profileIds: SQL }): SQL {
  const isMeant = "edgeId" in which ? sql`g.id = ${which.edgeId}::uuid` : sql`p.id = any(${which.profileIds})`;
  return sql`select g.id as edge_id, p.id from edge g join entity p on p.tenant_id = g.tenant_id
    where ${isMeant} and ${MAKES_DEVICES_SQL}`;
}

/** Whether the entity of the row `a` of edge_assignment is on the edge for this. */
export const IS_PROVISIONING_HOLDING = sql`exists (
  select from entity p join edge g on g.tenant_id = p.tenant_id
  where p.id = a.entity_id and g.id = a.edge_id and ${MAKES_DEVICES_SQL})`;

/** Profiles that make devices now, and those that do no more. */
export function readProvisioning(changes: readonly Change[]): {
  readonly begun: readonly Uuid[];
  readonly ended: readonly Uuid[];
} {
  const begun: Uuid[] = [];
  const ended: Uuid[] = [];
  for (const change of changes) {
    if (change.kind !== "entity-saved" || change.entity.type !== "DEVICE_PROFILE") continue;
    // Made from a record by this side.
    const { body = {} } = JSON.parse(change.body) as Partial<EntityRecord>;
    const { type } = provisioningOf({ body });
    if ((MAKES_DEVICES as readonly string[]).includes(type)) begun.push(change.entity.id);
    // It may have done before.
    else if (change.base !== undefined && "body.provisionType" in change.base) ended.push(change.entity.id);
  }
  return { begun, ended };
}
