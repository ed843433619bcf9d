import { and, eq, inArray, sql } from "drizzle-orm";
import type { Uuid } from "../../shared/core/ids.ts";
import type { TelemetryRecord } from "../../shared/entities/telemetry.ts";
import { joinValues } from "../../shared/entities/values.ts";
import type { Sql } from "../../shared/postgres/connect.ts";
import type { DeviceThinning, UsedBytes } from "../../shared/rules/thinning/device-thinner.ts";
import { arrayParam } from "../../shared/store/array-param.ts";
import { entity } from "../../shared/store/tables.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { thinningState } from "./schema.ts";

// What thinning remembers: of devices what was sent and what waits, of profiles what went of their budget.

/** Bodies of the device profiles that have a policy. */
export async function readUplinkProfiles(db: Queryable): Promise<ReadonlyMap<Uuid, unknown>> {
  const rows = await db
    .select({ id: entity.id, body: entity.body })
    .from(entity)
    .where(
      and(
        eq(entity.entityType, "DEVICE_PROFILE"),
        sql`coalesce(json_typeof(${entity.body} #> '{profileData,uplink}'), 'null') <> 'null'`,
      ),
    );
  return new Map(rows.map(({ body, id }) => [id as Uuid, body] as const)); // a uuid column
}

/** Devices of which something is kept, and when something of them is due. */
export async function readThinnedDevices(
  db: Queryable,
): Promise<readonly { readonly id: Uuid; readonly dueMs: number | null }[]> {
  const rows = await db
    .select({ id: thinningState.entityId, dueMs: thinningState.dueMs })
    .from(thinningState)
    .where(eq(thinningState.isDevice, true));
  return rows.map(({ dueMs, id }) => ({ id: id as Uuid, dueMs })); // a uuid column
}

export interface ThinnedDevice {
  readonly profileId: Uuid | null;
  /** null: nothing is kept of it. */
  readonly state: DeviceThinning | null;
}

/** Those of `ids` that are devices. */
export async function readThinning(db: Queryable, ids: readonly Uuid[]): Promise<ReadonlyMap<Uuid, ThinnedDevice>> {
  if (ids.length === 0) return new Map();
  const rows = await db
    .select({ id: entity.id, profileId: entity.profileId, state: thinningState.state })
    .from(entity)
    .leftJoin(thinningState, eq(thinningState.entityId, entity.id))
    .where(and(inArray(entity.id, [...ids]), eq(entity.entityType, "DEVICE")));
  return new Map(
    rows.map(({ id, profileId, state }) => [
      id as Uuid, // a uuid column
      { profileId: profileId as Uuid | null, state: state as DeviceThinning | null }, // written from one only
    ]),
  );
}

export async function readUsedBytes(db: Queryable, profileId: Uuid): Promise<UsedBytes | null> {
  const [row] = await db
    .select({ state: thinningState.state })
    .from(thinningState)
    .where(and(eq(thinningState.entityId, profileId), eq(thinningState.isDevice, false)));
  return row === undefined ? null : (row.state as UsedBytes); // written from one only
}

export interface KeptThinning {
  readonly id: Uuid;
  readonly isDevice: boolean;
  readonly dueMs: number | null;
  /** A DeviceThinning, of a profile UsedBytes; null: nothing is kept any more. */
  readonly state: DeviceThinning | UsedBytes | null;
}

export async function keepThinning(tx: Queryable, all: readonly KeptThinning[]): Promise<void> {
  const gone = all.filter(({ state }) => state === null).map(({ id }) => id);
  if (gone.length > 0) await tx.delete(thinningState).where(inArray(thinningState.entityId, gone));
  const kept = all.filter(({ state }) => state !== null);
  if (kept.length === 0) return;
  const columns = sql.join(
    [
      arrayParam(kept.map(({ id }) => id), "uuid"), // prettier-ignore
      arrayParam(kept.map(({ isDevice }) => isDevice), "boolean"), // prettier-ignore
      arrayParam(kept.map(({ dueMs }) => (dueMs === null ? null : Math.ceil(dueMs))), "bigint"), // prettier-ignore
      arrayParam(kept.map(({ state }) => JSON.stringify(state)), "json"), // prettier-ignore
    ],
    sql`, `,
  );
  await tx.execute(sql`
    insert into thinning_state (entity_id, is_device, due_ms, state) select * from unnest(${columns})
    on conflict (entity_id) do update set is_device = excluded.is_device, due_ms = excluded.due_ms, state = excluded.state`);
}

/** What is kept of devices and profiles that went is removed. */
export async function forgetThinningOfGone(db: Queryable): Promise<void> {
  await db.execute(sql`delete from thinning_state s where not exists (select from entity e where e.id = s.entity_id)`);
}

const DEVICES_PER_READ = 500;

/** The newest values of thinned keys, which need not be in the outbox; a part of the devices at a time. */
export async function* readThinnedValues(sql: Sql): AsyncGenerator<readonly TelemetryRecord[]> {
  let after = "00000000-0000-0000-0000-000000000000";
  for (;;) {
    const rows = await sql<{ id: Uuid; state: DeviceThinning }[]>`
      select entity_id as id, state from thinning_state where is_device and entity_id > ${after}
      order by entity_id limit ${DEVICES_PER_READ}`;
    const last = rows.at(-1);
    if (last === undefined) return;
    after = last.id;
    yield rows.flatMap(({ id: entityId, state }) =>
      Object.entries(state.keys).map(
        ([
          key,
          {
            newest: [tsMs, value],
          },
        ]) => ({
          entityId,
          tsMs,
          values: joinValues([[key, value]]),
          keySet: key,
        }),
      ),
    );
  }
}
