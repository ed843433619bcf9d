import { sql, type SQL } from "drizzle-orm";
import type { Uuid } from "../core/ids.ts";
import type { FineBucket } from "../sync/digest.ts";
import { BUCKETS_MAX } from "../sync/digest.ts";
import type { DigestEntry, TypeBuckets } from "../sync/frames.ts";
import { arrayParam } from "./array-param.ts";
import { SENT_EDGE_SCOPES } from "./attribute-store.ts";
import type { Queryable } from "./unit-of-work.ts";

// Hashes over entities, the same on both ends: all that travels with an entity, but not what each side makes for itself (tenant, time
// of creation, ids and versions of credentials; the name of the profile, which follows from it). hashtextextended and uuid_hash_extended
// stay the same over versions of PostgreSQL, since tables are partitioned by them. A body goes through jsonb, so that neither spaces nor
// the order of keys count, unless it holds what jsonb can't: null characters and halves of surrogate pairs.

/** Entities of one type that are compared; `condition` is about the row `e` of `entity`, of users, alarms and edges that of their tables. */
export interface DigestScope {
  readonly entityType: string;
  readonly condition: SQL;
  /** Which relations both sides know of: those with both ends on the edge; about the row `r` of `relation`. */
  readonly relations: SQL;
}

/** The hashes of all buckets that hold something. */
export async function readFineBuckets(db: Queryable, scope: DigestScope): Promise<FineBucket[]> {
  const rows = await db.execute<{ bucket: number; entities: number; hash: string }>(sql`
    select bucket::int, count(*)::int as entities, bit_xor(hash)::text as hash
    from (select ${bucketOf(sql`e.id`, BUCKETS_MAX)} as bucket, ${hashOf(scope)} as hash from ${scopeOf(scope)}) as hashed
    group by bucket`);
  return rows.map(({ bucket, entities, hash }) => ({ bucket, entities, hash: BigInt(hash) }));
}

/** Every entity in these buckets, with its hash. */
export async function readDigestEntries(
  db: Queryable,
  scope: DigestScope,
  { bucketCount, buckets }: Pick<TypeBuckets, "bucketCount" | "buckets">,
): Promise<DigestEntry[]> {
  const rows = await db.execute<{ id: Uuid; hash: string }>(sql`
    select e.id, (${hashOf(scope)})::text as hash from ${scopeOf(scope)} and ${isInBuckets(sql`e.id`, { bucketCount, buckets })}`);
  return rows.map(({ id, hash }) => ({ id, hash: BigInt(hash) }));
}

export function isInBuckets(id: SQL, { bucketCount, buckets }: Pick<TypeBuckets, "bucketCount" | "buckets">): SQL {
  return sql`${bucketOf(id, bucketCount)} = any(${arrayParam(buckets, "bigint")})`;
}

/** The lowest bits: an entity in fine bucket b is in bucket b modulo `count`. */
function bucketOf(id: SQL, count: number): SQL {
  return sql`(uuid_hash_extended(${id}, 0) & ${sql.raw(String(count - 1))}::bigint)`;
}

function scopeOf({ entityType, condition }: DigestScope): SQL {
  switch (entityType) {
    case "USER":
      return sql`app_user e where ${condition}`;
    case "ALARM":
      return sql`alarm e where e.clear_ms = 0 and ${condition}`;
    case "EDGE":
      return sql`alarm_originator e where e.type = 'EDGE' and ${condition}`;
    default:
      return sql`entity e where e.entity_type = ${entityType} and ${condition}`;
  }
}

function hashOf({ entityType, relations }: DigestScope): SQL {
  if (entityType === "USER") return USER_HASH;
  if (entityType === "ALARM") return alarmHash("e");
  if (entityType === "EDGE") return attributesHash(sql`a.scope = any(${arrayParam(SENT_EDGE_SCOPES, "text")})`);
  const isComing = sql`r.from_type = 'TENANT' and r.to_id = e.id`;
  return sql`${HASH} # ${relationsHash(sql`r.from_id = e.id`, relations)} # ${relationsHash(isComing, relations)}`;
}

/** A relation is part of what it goes out from; nobody compares tenants, so that those of the tenant are part of what they lead to. */
function relationsHash(isOwn: SQL, relations: SQL): SQL {
  return sql`coalesce((select bit_xor(${RELATION_HASH}) from relation r
    where ${isOwn} and not r.is_removed and ${relations}), 0)`;
}

function jsonText(column: SQL): SQL {
  return sql`case when ${column}::text ~* '\\\\u(0000|d[89a-f])' then ${column}::text else ${column}::jsonb::text end`;
}

const BODY = jsonText(sql`e.body`);

/** Without what each side counts for itself: the last sign-in, and from when on tokens are good. */
const USER_HASH = sql`hashtextextended(
    row(e.id, e.customer_id, e.email, e.authority, e.first_name, e.last_name, e.phone, e.password_hash, e.enabled, e.version,
      ${jsonText(sql`e.additional_info`)})::text collate "C", 6)`;

/** Of an active alarm; how far back the history of others goes is each side's own. */
function alarmHash(alias: "a" | "e"): SQL {
  const row = sql.raw(alias);
  return sql`hashtextextended(
      row(${row}.id, ${row}.type, ${row}.severity, ${row}.start_ms, ${row}.end_ms, ${row}.details::text, ${row}.propagate,
        ${row}.propagate_to_owner, ${row}.propagate_to_tenant, ${row}.propagate_relation_types::text, ${row}.created_ms,
        ${row}.edited_ms, ${row}.ack_ms, ${row}.assignee_id, ${row}.assign_ms)::text collate "C", 4)
    # coalesce((select bit_xor(hashtextextended(
        row(c.id, c.user_id, c.type, c.comment::text, c.created_ms, c.updated_ms)::text collate "C", 5))
      from alarm_comment c where c.alarm_id = ${row}.id), 0)`;
}

const RELATION_HASH = sql`hashtextextended(
      row(r.from_id, r.from_type, r.to_id, r.to_type, r.type, r.type_group, r.updated_ms,
        ${jsonText(sql`r.additional_info`)})::text collate "C", 7)`;

/** Of a request that is kept and may go on: those that came to an end are history. */
const RPC_HASH = sql`hashtextextended(row(p.id, ${jsonText(sql`p.body`)})::text collate "C", 8)`;

function attributesHash(condition: SQL): SQL {
  return sql`coalesce((select bit_xor(hashtextextended(row(a.entity_id, a.scope, a.key, a.value::text, a.updated_ms)::text collate "C", 1))
    from attribute a where a.entity_id = e.id and ${condition}), 0)`;
}

const HASH = sql`hashtextextended(
    row(e.id, e.entity_type, e.customer_id, e.name, e.label, e.profile_id, e.version, ${BODY})::text collate "C", 0)
  # ${attributesHash(sql`true`)}
  # coalesce((select hashtextextended(row(c.device_id, c.credentials_type, c.credentials_id, c.credentials_value)::text collate "C", 2)
    from device_credentials c where c.device_id = e.id), 0)
  # coalesce(hashtextextended(e.content collate "C", 3), 0)
  # coalesce((select bit_xor(${alarmHash("a")}) from alarm a where a.originator_id = e.id and a.clear_ms = 0), 0)
  # case when e.entity_type = 'DEVICE' then coalesce((select bit_xor(${RPC_HASH})
      from rpc p where p.device_id = e.id and p.is_open and p.is_persistent), 0) else 0 end`;
