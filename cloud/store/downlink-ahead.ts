import { sql } from "drizzle-orm";
import type { Uuid } from "../../shared/core/ids.ts";
import { ATTRIBUTE_SCOPES } from "../../shared/entities/attributes.ts";
import type { Change } from "../../shared/entities/change.ts";
import { isProfileType } from "../../shared/entities/entity-kinds.ts";
import { isKindType } from "../../shared/entities/entity-types.ts";
import { arrayParam } from "../../shared/store/array-param.ts";
import { attributesSaved } from "../../shared/store/attribute-store.ts";
import { credentialsSaved, findCredentialsOf } from "../../shared/store/device-store.ts";
import { entitySaved, findEntitiesById } from "../../shared/store/entity-store.ts";
import { readAttributesOf } from "../../shared/store/live-data.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import type { DownlinkRow } from "./downlink-store.ts";

// Entities that an edge gets whole, in four statements however many: what loadEntityChanges gives for each of them. Only for plain ones, which most
// are when thousands are assigned: with a record that is not large, and without alarms, relations and open requests.

/** Bytes of body and content as the table keeps them: what is larger is read by itself. */
const PLAIN_BYTES_MAX = 64 * 1024;

/** By the sequence of the row; rows that are about something else, or an entity that is not plain, are missing. */
export async function loadPlainEntities(
  db: Queryable,
  edgeId: Uuid,
  rows: readonly DownlinkRow[],
): Promise<ReadonlyMap<number, readonly Change[]>> {
  const whole = rows.filter(isWhole);
  if (whole.length === 0) return new Map();
  const wanted = [...new Set(whole.map(({ entityId }) => entityId))];
  const finding = findPlain(db, edgeId, wanted);
  // One alone is read meanwhile: seldom is it not plain.
  const ids = wanted.length === 1 ? wanted : await finding;
  if (ids.length === 0) return new Map();
  const [plain, records, credentials, attributes] = await Promise.all([
    finding,
    findEntitiesById(db, ids),
    findCredentialsOf(db, ids),
    readAttributesOf(db, ids),
  ]);
  const isPlain = new Set(plain);
  const recordOf = new Map(records.filter(({ id }) => isPlain.has(id)).map((record) => [record.id, record]));
  const credentialsOf = new Map(credentials.map((one) => [one.deviceId, one]));
  const inOrder = attributes.toSorted((left, right) => (left.key < right.key ? -1 : 1));
  const attributesOf = Map.groupBy(inOrder, ({ entityId }) => entityId);
  const loaded = new Map<number, readonly Change[]>();
  for (const { entityId: id, seq, type } of whole) {
    const record = recordOf.get(id);
    if (record?.entityType !== type) continue;
    const own = type === "DEVICE" ? credentialsOf.get(id) : undefined;
    const changes: Change[] = [entitySaved(record), ...(own === undefined ? [] : [credentialsSaved(own)])];
    for (const scope of ATTRIBUTE_SCOPES) {
      const entries = (attributesOf.get(id) ?? []).filter((row) => row.scope === scope);
      if (entries.length > 0) changes.push(attributesSaved({ type, id }, scope, entries));
    }
    loaded.set(seq, changes);
  }
  return loaded;
}

/** A repair says what was removed too. */
function isWhole({ action, body, type }: DownlinkRow): boolean {
  return (action === "ADDED" || action === "ASSIGNED_TO_EDGE") && isKindType(type) && body?.["repair"] !== true;
}

/** Those that are on the edge, where profiles go with what refers to them. */
async function findPlain(db: Queryable, edgeId: Uuid, ids: readonly Uuid[]): Promise<Uuid[]> {
  const rows = await db.execute<{ id: Uuid; entity_type: string; is_assigned: boolean }>(sql`
    select e.id, e.entity_type,
      exists (select from edge_assignment a where a.edge_id = ${edgeId}::uuid and a.entity_id = e.id) as is_assigned
    from entity e
    where e.id = any(${arrayParam(ids, "uuid")})
      and pg_column_size(e.body) + coalesce(pg_column_size(e.content), 0) <= ${PLAIN_BYTES_MAX}
      and not exists (select from alarm a where a.originator_id = e.id)
      and not exists (select from relation r where r.from_id = e.id)
      and not exists (select from relation r where r.to_id = e.id)
      and not exists (select from rpc p where p.device_id = e.id and p.is_open)`);
  return rows.flatMap((row) => (row.is_assigned || isProfileType(row.entity_type) ? row.id : []));
}
