import type { Clock } from "../../shared/core/clock.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { Random } from "../../shared/core/random.ts";
import { TelemetryColumnsBuilder } from "../../shared/entities/telemetry-columns.ts";
import type { TelemetryRecord } from "../../shared/entities/telemetry.ts";
import type { Log } from "../../shared/observe/log.ts";
import type { Migration } from "../../shared/postgres/migrate.ts";
import { runMigrations } from "../../shared/postgres/migrate.ts";
import type { PoolDatabase } from "../../shared/postgres/pool.ts";
import { openPool } from "../../shared/postgres/pool.ts";
import { auditTelemetry, withCaller, type AuditCaller } from "../../shared/store/audit-store.ts";
import { ensureInstance, type Instance } from "../../shared/store/instance-store.ts";
import { openDb } from "../../shared/store/open-db.ts";
import { runStatementIn } from "../../shared/store/statement.ts";
import { writeTelemetry } from "../../shared/store/telemetry-writer.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { createCloudUnitOfWork, type CloudUnitOfWork } from "./downlink-store.ts";
import { keepTelemetryPartitions, type TelemetryRound, type TelemetryUpkeep } from "./telemetry-partitions.ts";

/** Everything that the cloud keeps, over one database. */
export interface CloudStores extends AsyncDisposable {
  readonly db: Queryable;
  /** For what sessions send: many short questions, no transaction. */
  readonly sendDb: Queryable;
  readonly instance: Instance;
  readonly unitOfWork: CloudUnitOfWork;
  /** Resolves after the commit. */
  saveTelemetry(records: readonly TelemetryRecord[]): Promise<void>;
  /** Makes partitions of telemetry ahead and drops old ones. */
  keepTelemetryPartitions(upkeep: TelemetryUpkeep): Promise<TelemetryRound>;
  /** Asks the database; null: it answers. */
  notReady(): Promise<string | null>;
}

export interface CloudStoresDeps {
  readonly database: PoolDatabase;
  readonly migrations: readonly Migration[];
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** For whom the program works at the moment; null: for nobody. */
  readonly currentCaller: () => AuditCaller | null;
  /** Downlinks were committed for these edges; must not throw. */
  readonly onDownlinks: (edgeIds: readonly Uuid[]) => void;
}

/** Sessions and requests share them; a connection serves one transaction at a time. */
const CONNECTIONS_MAX = 16;
/** Few, so that they are warm: questions side by side share a connection without waiting for each other's answers. */
const SEND_CONNECTIONS_MAX = 3;

/** @throws AppError of the migrations and of the connection */
export async function openCloudStores(deps: CloudStoresDeps): Promise<CloudStores> {
  const { clock, database, log, random } = deps;
  await using opening = new AsyncDisposableStack();
  const options = { applicationName: "skerry-cloud", max: CONNECTIONS_MAX, arrays: false };
  const { sql } = opening.use(openPool(database, options, log));
  const sendOptions = { ...options, applicationName: "skerry-cloud sending", max: SEND_CONNECTIONS_MAX };
  const { sql: sendSql } = opening.use(openPool(database, sendOptions, log));
  const { newer } = await runMigrations(sql, deps.migrations, { kind: "cloud" });
  if (newer.length > 0) log.warn("A newer version used this database; this one works with it", { migrations: newer });
  const db = withCaller(openDb(sql), { clock, current: deps.currentCaller });
  const instance = await ensureInstance(db, { clock, random });
  const closing = opening.move();
  return {
    db,
    sendDb: openDb(sendSql),
    instance,
    unitOfWork: createCloudUnitOfWork(db, { clock, onCommitted: deps.onDownlinks }),
    saveTelemetry: (records) => saveTelemetry(db, records),
    keepTelemetryPartitions: (upkeep) => keepTelemetryPartitions(sql, upkeep),
    notReady: async () => {
      try {
        await sql`select 1`;
        return null;
      } catch {
        return "The database does not answer";
      }
    },
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  };
}

/** Stores what came over REST. Resolves after the commit. */
export async function saveTelemetry(db: Queryable, records: readonly TelemetryRecord[]): Promise<void> {
  const columns = new TelemetryColumnsBuilder();
  const shown = new Map<Uuid, string[]>();
  for (const record of records) {
    columns.add(record);
    const { entityId, tsMs, values } = record;
    const points = shown.get(entityId) ?? [];
    points.push(`{"ts":${tsMs},"values":${values}}`);
    shown.set(entityId, points);
  }
  await db.transaction(async (tx) => {
    await writeTelemetry(runStatementIn(tx), columns.build());
    for (const [entityId, points] of shown) {
      const data = `{"timeseries":[${points.join(",")}]}`;
      await auditTelemetry(tx, { entityId, actionType: "TIMESERIES_UPDATED", data });
    }
  });
}
