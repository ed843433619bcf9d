import type { Hasher } from "../../shared/core/blob-ref.ts";
import type { Clock } from "../../shared/core/clock.ts";
import { NULL_UUID } from "../../shared/core/ids.ts";
import type { Random } from "../../shared/core/random.ts";
import type { Log } from "../../shared/observe/log.ts";
import type { Sql } from "../../shared/postgres/connect.ts";
import type { Migration } from "../../shared/postgres/migrate.ts";
import { runMigrations } from "../../shared/postgres/migrate.ts";
import type { PoolDatabase } from "../../shared/postgres/pool.ts";
import { openPool } from "../../shared/postgres/pool.ts";
import type { OpenScriptSandbox } from "../../shared/runtime/script-sandbox.ts";
import type { BlobStore } from "../../shared/store/blob-store.ts";
import { createBlobStore } from "../../shared/store/blob-store.ts";
import type { Instance } from "../../shared/store/instance-store.ts";
import { ensureInstance } from "../../shared/store/instance-store.ts";
import { openDb } from "../../shared/store/open-db.ts";
import { ensureDefaultProfiles } from "../../shared/store/profile-store.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import type { UplinkLane } from "../../shared/sync/lanes.ts";
import type { AlarmRules } from "../rules/alarm-rules.ts";
import { openAlarmRules } from "../rules/alarm-rules.ts";
import { openCalculatedFields } from "../rules/calculated-fields.ts";
import { openRuleChains, type RuleChains } from "../rules/rule-chains.ts";
import { composeRules } from "../rules/rule-stages.ts";
import { withCalculatedFields } from "../rules/rules-in-order.ts";
import { openUplinkThinning, type UplinkThinning } from "../rules/uplink-thinning.ts";
import type { DeviceRegistry } from "./device-directory.ts";
import { createDeviceRegistry } from "./device-directory.ts";
import type { DiskGuard } from "./disk-guard.ts";
import { openEdgeNotifications, type EdgeNotifications, type EdgeNotificationsDeps } from "./edge-notifications.ts";
import type { GroupCommit } from "./group-commit.ts";
import { createGroupCommit } from "./group-commit.ts";
import type { Outbox } from "./outbox.ts";
import { createOutbox } from "./outbox.ts";
import type { ParkedItems } from "./parked-items.ts";
import { createParkedItems } from "./parked-items.ts";
import { ensureFirstHistory } from "./retention.ts";
import type { Site } from "./site-store.ts";
import { openSite, readSite } from "./site-store.ts";

/** Everything that the edge keeps, over one database. */
export interface EdgeStores extends AsyncDisposable {
  readonly db: Queryable;
  readonly sql: Sql;
  readonly instance: Instance;
  readonly groupCommit: GroupCommit;
  readonly outbox: Outbox;
  readonly parked: ParkedItems;
  readonly blobs: BlobStore;
  readonly registry: DeviceRegistry;
  readonly alarmRules: AlarmRules;
  readonly notifications: EdgeNotifications;
  readonly thinning: UplinkThinning;
  readonly ruleChains: RuleChains;
  readSite(): Promise<Site>;
}

export interface EdgeStoresDeps {
  readonly database: PoolDatabase;
  readonly migrations: readonly Migration[];
  readonly clock: Clock;
  readonly random: Random;
  /** SHA-256. */
  readonly createHasher: () => Hasher;
  /** The largest content that is taken from the cloud. */
  readonly blobBytesMax: number;
  readonly log: Log;
  /** Loads the machine that scripts of rules run in. */
  readonly openScriptSandbox: OpenScriptSandbox;
  /** Rows were committed to the outbox. */
  readonly onOutbox: (lane: UplinkLane) => void;
  /** @default no mail server, and 30 s */
  readonly notifications?: Pick<EdgeNotificationsDeps, "hasMail" | "offlineMs">;
  /** @default nobody watches the disk */
  readonly disk?: Pick<DiskGuard, "noteFailure" | "refusal">;
}

/** Whose contents an edge holds: its own, whatever its store id becomes. */
export const EDGE_CONTENTS = NULL_UUID;

/** Connections for all but the writer. */
const READERS_MAX = 3;
/** Then a connection is closed, the writer's too: it costs the server 4 to 8 MB, and 15 ms when it is opened again. */
const IDLE_MS = 20_000;

/** @throws AppError of the migrations and of the connection */
export async function openEdgeStores(deps: EdgeStoresDeps): Promise<EdgeStores> {
  const { clock, database, log, random } = deps;
  await using opening = new AsyncDisposableStack();
  const readerOptions = {
    applicationName: "skerry-edge",
    max: READERS_MAX,
    idleTimeoutMs: IDLE_MS,
    arrays: false,
  };
  const { sql } = opening.use(openPool(database, readerOptions, log));
  // Not on the writer's connection: its process would keep what it has learned of the schema's making.
  const { newer } = await runMigrations(sql, deps.migrations, { kind: "edge" });
  if (newer.length > 0) log.warn("A newer version used this database; this one works with it", { migrations: newer });
  const writerOptions = { applicationName: "skerry-edge writer", max: 1, idleTimeoutMs: IDLE_MS, arrays: false };
  const { sql: writerSql } = opening.use(openPool(database, writerOptions, log));
  const db = openDb(sql);
  await ensureFirstHistory(sql, clock.nowMs());
  const instance = await ensureInstance(db, { clock, random });
  const site = await openSite(db);
  const registry = createDeviceRegistry(db);
  const blobs = createBlobStore(
    { db, clock, createHasher: deps.createHasher },
    { ownerId: EDGE_CONTENTS, bytesMax: deps.blobBytesMax },
  );
  const alarmRules = await openAlarmRules({ db, clock, random, log });
  registry.watchChanges((changes) => alarmRules.note(changes));
  const fields = await openCalculatedFields({ db, clock, random, log });
  registry.watchChanges((changes) => fields.note(changes));
  const thinning = await openUplinkThinning({ db, clock, log });
  registry.watchChanges((changes) => thinning.note(changes));
  const ruleChains = await openRuleChains({ db, clock, random, log, openScriptSandbox: deps.openScriptSandbox });
  registry.watchChanges((changes) => ruleChains.note(changes));
  const stages = composeRules({ log, onUnseen: () => ruleChains.wake() }, [alarmRules, ruleChains]);
  const notifications = await openEdgeNotifications({
    offlineMs: 30_000,
    hasMail: false,
    ...deps.notifications,
    db,
    clock,
    log,
  });
  const groupCommit = await createGroupCommit({
    telling: () => notifications.telling(),
    uplink: thinning,
    rules: withCalculatedFields({ log }, fields, stages),
    sql: writerSql,
    blobs,
    clock,
    log,
    onFailed: (error) => deps.disk?.noteFailure(error),
    refusal: () => deps.disk?.refusal() ?? null,
    onCommitted: ({ changes, records }) => {
      if (changes.length > 0) deps.onOutbox("config");
      if (records > 0) deps.onOutbox("telemetry");
      registry.publish(changes);
    },
  });
  await db.transaction((tx) => ensureDefaultProfiles(tx, { clock, random }, site.tenantId));
  const closing = opening.move();
  return {
    db,
    sql,
    instance,
    groupCommit,
    outbox: createOutbox(sql),
    parked: createParkedItems({ db, groupCommit, blobs, clock }),
    blobs,
    registry,
    alarmRules,
    notifications,
    thinning,
    ruleChains,
    readSite: () => readSite(db),
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  };
}
