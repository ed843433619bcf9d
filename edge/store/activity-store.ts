import { and, eq, sql } from "drizzle-orm";
import type { Uuid } from "../../shared/core/ids.ts";
import type { Change } from "../../shared/entities/change.ts";
import type { Log } from "../../shared/observe/log.ts";
import { orDatabaseError } from "../../shared/postgres/connect.ts";
import { attributesSaved, putAttributes } from "../../shared/store/attribute-store.ts";
import { keepEntities } from "../../shared/store/entity-store.ts";
import { attribute, entity } from "../../shared/store/tables.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { ACTIVITY_KEYS, type ActivityStore, INACTIVITY_TIMEOUT_KEY, type KnownDevice } from "../devices/activity.ts";
import type { GroupCommit } from "./group-commit.ts";

const SCOPE = "SERVER_SCOPE";

/** Activity of devices as server attributes, which go to the cloud as any others. */
export function createActivityStore({
  db,
  groupCommit,
}: {
  readonly db: Queryable;
  readonly groupCommit: Pick<GroupCommit, "run">;
}): ActivityStore {
  return {
    readActive: async () => {
      const query = db
        .select({ deviceId: entity.id, profileId: entity.profileId })
        .from(attribute)
        .innerJoin(entity, eq(entity.id, attribute.entityId))
        .where(
          and(
            eq(entity.entityType, "DEVICE"),
            eq(attribute.scope, SCOPE),
            eq(attribute.key, ACTIVITY_KEYS.active),
            sql`${attribute.value} = 'true'::jsonb`,
          ),
        );
      const rows = await orDatabaseError(query.execute());
      return rows.map(({ deviceId, profileId }) => ({
        deviceId: deviceId as Uuid, // the columns hold uuids
        ...(profileId === null ? {} : { profileId: profileId as Uuid }),
      }));
    },
    save: (updates, nowMs) =>
      groupCommit.run(async (tx) => {
        const known = await keepEntities(
          tx,
          updates.map(({ deviceId }) => deviceId),
        );
        const rows = updates
          .filter(({ deviceId }) => known.has(deviceId))
          .flatMap(({ deviceId, values }) =>
            [...values].map(
              ([key, value]) => ({ entityId: deviceId, scope: SCOPE, key, value, updatedMs: nowMs }) as const,
            ),
          );
        const stored = Map.groupBy(await putAttributes(tx, rows, "local"), ({ entityId }) => entityId);
        const changes = [...stored].map(([id, entries]) => attributesSaved({ type: "DEVICE", id }, SCOPE, entries));
        return { result: undefined, changes };
      }),
  };
}

/** How long devices may be silent, as server attributes of them or their profiles say, kept in memory. */
export interface InactivityTimeouts {
  of(device: KnownDevice): number | undefined;
  /** Something was committed. */
  note(change: Change): void;
}

export async function openInactivityTimeouts({
  db,
  log,
}: {
  readonly db: Queryable;
  readonly log: Log;
}): Promise<InactivityTimeouts> {
  let byEntity = await readTimeouts(db);
  let reading: Promise<void> = Promise.resolve();

  async function read(): Promise<void> {
    try {
      byEntity = await readTimeouts(db);
    } catch (thrown) {
      log.warn("Inactivity time-outs of devices could not be read again", { error: thrown });
    }
  }

  return {
    of: ({ deviceId, profileId }) =>
      byEntity.get(deviceId) ?? (profileId === undefined ? undefined : byEntity.get(profileId)),
    note: (change) => {
      if (isOfTimeout(change)) reading = reading.then(read);
    },
  };
}

function isOfTimeout(change: Change): boolean {
  switch (change.kind) {
    case "attributes-saved":
      return change.scope === SCOPE && change.attributes.some(({ key }) => key === INACTIVITY_TIMEOUT_KEY);
    case "attributes-deleted":
      return change.scope === SCOPE && change.keys.includes(INACTIVITY_TIMEOUT_KEY);
    default:
      return false;
  }
}

async function readTimeouts(db: Queryable): Promise<ReadonlyMap<string, number>> {
  const query = db
    .select({ entityId: attribute.entityId, timeoutMs: sql<number>`(${attribute.value})::text::float8` })
    .from(attribute)
    .where(
      and(
        eq(attribute.scope, SCOPE),
        eq(attribute.key, INACTIVITY_TIMEOUT_KEY),
        sql`jsonb_typeof(${attribute.value}) = 'number' and ${attribute.value} > '0'::jsonb`,
      ),
    );
  const rows = await orDatabaseError(query.execute());
  return new Map(rows.map(({ entityId, timeoutMs }) => [entityId, timeoutMs]));
}
