import { sql } from "drizzle-orm";
import type { Uuid } from "../../shared/core/ids.ts";
import { isProfileType } from "../../shared/entities/entity-kinds.ts";
import { isUnassignedOriginator } from "../../shared/store/alarm-originator.ts";
import type { DigestScope } from "../../shared/store/digest-store.ts";
import { isInBuckets, readDigestEntries, readFineBuckets } from "../../shared/store/digest-store.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { differingBuckets, isDigestType } from "../../shared/sync/digest.ts";
import type {
  Digest,
  DigestAnswer,
  DigestDiff,
  DigestQuestion,
  Entries,
  EntriesWanted,
} from "../../shared/sync/frames.ts";
import { RELATES_FOR_CLOUD, underWayIds } from "./repair.ts";
import { readSite } from "./site-store.ts";

/** What this edge holds, as a digest round of the cloud asks for it. Each answer is of one moment. */
export function answerDigest(db: Queryable, question: DigestQuestion): Promise<DigestAnswer> {
  return db.transaction(
    async (tx): Promise<DigestAnswer> => (question.type === "digest" ? compare(tx, question) : list(tx, question)),
    { isolationLevel: "repeatable read", accessMode: "read only" },
  );
}

/** Types that this version does not know are equal: it holds none of them, and could take none. */
async function compare(tx: Queryable, { round, types }: Digest): Promise<DigestDiff> {
  const differing: DigestDiff["types"][number][] = [];
  for (const type of types) {
    if (!isDigestType(type.entityType)) continue;
    const buckets = differingBuckets(type, await readFineBuckets(tx, scopeOf(type.entityType)));
    if (buckets !== null) differing.push(buckets);
  }
  return { type: "digest-diff", round, types: differing };
}

async function list(tx: Queryable, { round, buckets }: EntriesWanted): Promise<Entries> {
  const { downlinkApplied } = await readSite(tx);
  const entries = await readDigestEntries(tx, scopeOf(buckets.entityType), buckets);
  const busy = await tx.execute<{ entity_id: Uuid }>(sql`
    select entity_id from (${underWayIds()}) as under_way where ${isInBuckets(sql`entity_id`, buckets)}`);
  const busyIds = busy.map((row) => row.entity_id);
  return { type: "entries", round, buckets, downlinkApplied, entries, busyIds };
}

/** Everything here is this edge's; of profiles, what something here refers to; of users, those of the cloud, with their alarms. */
function scopeOf(entityType: string): DigestScope {
  const relations = RELATES_FOR_CLOUD;
  if (entityType === "USER") return { entityType, relations, condition: sql`e.is_copy` };
  if (entityType === "ALARM") return { entityType, relations, condition: OF_UNASSIGNED };
  if (entityType === "EDGE") return { entityType, relations, condition: sql`true` };
  const condition = isProfileType(entityType)
    ? sql`exists (select from entity u where u.profile_id = e.id)`
    : sql`true`;
  return { entityType, relations, condition };
}

const OF_UNASSIGNED = sql`${isUnassignedOriginator(sql`e.originator_type`)}
  and not exists (select from app_user u where u.id = e.originator_id and not u.is_copy)`;
