import { sql } from "drizzle-orm";
import {
  bigint,
  boolean,
  index,
  json,
  pgTable,
  pgView,
  primaryKey,
  text,
  uniqueIndex,
  uuid,
} from "drizzle-orm/pg-core";
import { alarmOriginatorColumns } from "../../shared/store/alarm-originator.ts";
import { seqRanges } from "../../shared/store/seq-ranges.ts";

// What only the cloud stores; the tables that both ends have are in shared/store/tables.ts.

const sequence = (name: string) => bigint(name, { mode: "number" }).notNull();
const timeMs = (name: string) => bigint(name, { mode: "number" }).notNull();

/** What tenants may have. The SQL adds by hand the first one, which is the default, and the triggers that keep the limits. */
export const tenantProfile = pgTable(
  "tenant_profile",
  {
    id: uuid("id").primaryKey(),
    name: text("name").notNull(),
    description: text("description"),
    isDefault: boolean("is_default").notNull(),
    /** `configuration` holds the limits: maxDevices and so on; absent or 0: none. */
    profileData: json("profile_data").notNull(),
    version: bigint("version", { mode: "number" }).notNull().default(1),
    createdMs: timeMs("created_ms"),
  },
  (table) => [
    uniqueIndex("tenant_profile_name").on(table.name),
    uniqueIndex("tenant_profile_default")
      .on(table.isDefault)
      .where(sql`${table.isDefault}`),
  ],
);

/** See shared/store/alarm-originator.ts. */
export const alarmOriginator = pgView("alarm_originator", alarmOriginatorColumns).as(sql`
  select id, entity_type as type, tenant_id, case entity_type when 'CUSTOMER' then id else customer_id end as customer_id, name, label
  from entity
  union all select id, 'USER', tenant_id, customer_id, email, null::text from app_user
  union all select id, 'EDGE', tenant_id, customer_id, name, label from edge
  union all select id, 'TENANT', id, null::uuid, title, null::text from tenant`);

export const tenant = pgTable("tenant", {
  id: uuid("id").primaryKey(),
  title: text("title").notNull(),
  /** A new one has the default profile, unless another is named. */
  profileId: uuid("profile_id").notNull(),
  version: bigint("version", { mode: "number" }).notNull().default(1),
  createdMs: timeMs("created_ms"),
  body: json("body").notNull(),
});

export const edge = pgTable(
  "edge",
  {
    id: uuid("id").primaryKey(),
    tenantId: uuid("tenant_id").notNull(),
    customerId: uuid("customer_id"),
    rootRuleChainId: uuid("root_rule_chain_id"),
    name: text("name").notNull(),
    type: text("type").notNull(),
    label: text("label"),
    routingKey: text("routing_key").notNull(),
    /** SHA-256 over routing key and secret, hex; the secret itself is shown once and not kept. */
    secretHash: text("secret_hash").notNull(),
    /** The secret before this one, which opens sessions until its time is over. */
    oldSecretHash: text("old_secret_hash"),
    oldSecretUntilMs: bigint("old_secret_until_ms", { mode: "number" }),
    version: bigint("version", { mode: "number" }).notNull().default(1),
    createdMs: timeMs("created_ms"),
    additionalInfo: json("additional_info"),
    /** What it may change, an EdgeRights; null: all that edges may. */
    rights: json("rights"),
  },
  (table) => [
    uniqueIndex("edge_routing_key").on(table.routingKey),
    uniqueIndex("edge_unique_name").on(table.tenantId, table.name),
    index("edge_by_time").on(table.tenantId, table.createdMs),
  ],
);

export const edgeAssignment = pgTable(
  "edge_assignment",
  {
    edgeId: uuid("edge_id").notNull(),
    entityId: uuid("entity_id").notNull(),
    entityType: text("entity_type").notNull(),
    assignedMs: timeMs("assigned_ms"),
    /** Nobody put it there: something on the edge needs it; see edge-holdings.ts. */
    follows: boolean("follows").notNull().default(false),
  },
  (table) => [
    primaryKey({ columns: [table.edgeId, table.entityId] }),
    index("edge_assignment_by_entity").on(table.entityId),
  ],
);

/** Assignments that ended: what an edge measured before it heard of that still arrives, and what it still holds is surplus. */
export const edgePastAssignment = pgTable(
  "edge_past_assignment",
  {
    edgeId: uuid("edge_id").notNull(),
    entityId: uuid("entity_id").notNull(),
    endedMs: timeMs("ended_ms"),
  },
  (table) => [primaryKey({ columns: [table.edgeId, table.entityId] })],
);

/**
 * A row per running cloud process. All times are the database's: the processes' clocks need not agree. A replica that was not seen
 * for the time of a lease is gone; see replica-store.ts.
 */
export const cloudReplica = pgTable("cloud_replica", {
  /** Made anew at each start. */
  id: uuid("id").primaryKey(),
  startedMs: timeMs("started_ms"),
  seenMs: timeMs("seen_ms"),
  /** Since when it was seen without a gap. */
  steadyMs: timeMs("steady_ms"),
});

/** A row per edge: the counters that order its downlinks and fence its sessions. The row lock is the order of commits. */
export const edgeSync = pgTable("edge_sync", {
  edgeId: uuid("edge_id").primaryKey(),
  /** Sequence of the last downlink written. */
  downlinkLast: sequence("downlink_last"),
  /** Sequence of the last downlink that the edge has acknowledged. */
  downlinkAcked: sequence("downlink_acked"),
  /** Last downlink that was on its way for longer than a moment, for who asks another replica than the one that sends. */
  downlinkSent: sequence("downlink_sent").default(0),
  /** Fencing number of the newest session. */
  session: sequence("session"),
  /** The cloud process that holds the newest session; null while the edge is not connected. */
  replicaId: uuid("replica_id"),
  /** Database of the edge that the newest session speaks for. */
  storeId: uuid("store_id"),
  edgeVersion: text("edge_version"),
  clockSkewMs: bigint("clock_skew_ms", { mode: "number" }),
  connectedMs: bigint("connected_ms", { mode: "number" }),
  disconnectedMs: bigint("disconnected_ms", { mode: "number" }),
  /** Why the last session ended, or why the edge is refused: a code of shared/core/errors.ts. */
  reason: text("reason"),
  /** What the newest session was opened with: a secretHash of the edge. */
  secretHash: text("secret_hash"),
  /** The process that the newest session speaks for, and those that it took over from; see edge-identity.ts. */
  machineId: uuid("machine_id"),
  displacedMachines: json("displaced_machines"),
  /** When a machine was refused last because another one has its identity. */
  conflictMs: bigint("conflict_ms", { mode: "number" }),
  /** What did not continue where it ended when a session began, for people. */
  notice: text("notice"),
  noticeMs: bigint("notice_ms", { mode: "number" }),
  /** Digest rounds that people asked for, and the last of them that was run. */
  syncRequested: sequence("sync_requested").default(0),
  syncCompleted: sequence("sync_completed").default(0),
  /** The newest digest round, a SyncResult. */
  syncResult: json("sync_result"),
  /** Counts changes of what the cloud sets for the edge (edge-settings.ts), and how many of them its session has been told. */
  settingsChanged: sequence("settings_changed").default(0),
  settingsTold: sequence("settings_told").default(0),
});

/** Per database of an edge and numbering what is committed here; written in the transaction that applies. */
export const edgeUplink = pgTable(
  "edge_uplink",
  {
    edgeId: uuid("edge_id").notNull(),
    storeId: uuid("store_id").notNull(),
    lane: text("lane").notNull(),
    /** Telemetry has several ranges while a backlog drains; config one at most. */
    committed: seqRanges("committed")
      .notNull()
      .default(sql`'{}'`),
    /** What the newest sequence that is committed was (shared/wire/item-tag.ts): in another history the number is of another item. */
    tag: text("tag"),
    tagSeq: sequence("tag_seq").default(0),
    /** Fencing number of the session that may commit; a newer session overwrites it in every row of the edge. */
    session: sequence("session"),
  },
  (table) => [primaryKey({ columns: [table.edgeId, table.storeId, table.lane] })],
);

/**
 * The downlink outbox: what changed for an edge, in commit order, sequences without gaps. Rows name the entity; its state is
 * read when the row is sent, so a large entity followed by 1,000 edges is not stored 1,000 times. Partitioned by range of
 * created_ms (by hand in the SQL); rows are never updated, their state follows from edge_sync.
 */
export const edgeEvent = pgTable(
  "edge_event",
  {
    edgeId: uuid("edge_id").notNull(),
    seq: sequence("seq"),
    createdMs: timeMs("created_ms"),
    tenantId: uuid("tenant_id").notNull(),
    id: uuid("id")
      .notNull()
      .default(sql`gen_random_uuid()`),
    /** As in the REST convention: DEVICE, …; ASSIGNED_TO_EDGE, … */
    type: text("type").notNull(),
    action: text("action").notNull(),
    entityId: uuid("entity_id").notNull(),
    body: json("body"),
  },
  (table) => [primaryKey({ columns: [table.edgeId, table.seq, table.createdMs] })],
);

/** Downlinks that the edge refused for good, with its reason. */
export const edgeEventRejection = pgTable(
  "edge_event_rejection",
  {
    edgeId: uuid("edge_id").notNull(),
    seq: sequence("seq"),
    code: text("code").notNull(),
    reason: text("reason").notNull(),
    rejectedMs: timeMs("rejected_ms"),
    /** Version of the edge that refused: another one may take it. */
    edgeVersion: text("edge_version").notNull().default(""),
    /** What somebody decided about it: replayed or discarded; null: it waits. */
    decision: text("decision"),
    /** The downlink that was made in its place. */
    replaySeq: bigint("replay_seq", { mode: "number" }),
  },
  (table) => [primaryKey({ columns: [table.edgeId, table.seq] })],
);

/**
 * Uplink items that this cloud refused for good. Kept until the edge has heard of it, because it is the edge that parks them; some
 * more are kept for people.
 */
export const edgeUplinkRejection = pgTable(
  "edge_uplink_rejection",
  {
    edgeId: uuid("edge_id").notNull(),
    storeId: uuid("store_id").notNull(),
    lane: text("lane").notNull(),
    seq: sequence("seq"),
    code: text("code").notNull(),
    reason: text("reason").notNull(),
    /** Of this program, when it refused. */
    version: text("version").notNull(),
    rejectedMs: timeMs("rejected_ms"),
  },
  (table) => [primaryKey({ columns: [table.edgeId, table.storeId, table.lane, table.seq] })],
);

/** When a range of downlinks was applied by the edge, for the list that people read: one row per acknowledgement. */
export const edgeEventAck = pgTable(
  "edge_event_ack",
  {
    edgeId: uuid("edge_id").notNull(),
    lastSeq: sequence("last_seq"),
    ackedMs: timeMs("acked_ms"),
  },
  (table) => [primaryKey({ columns: [table.edgeId, table.lastSeq] })],
);

/** Telemetry that edges removed before it was sent, because their disk was full; per device, with the times of measurement. */
export const telemetryGap = pgTable(
  "telemetry_gap",
  {
    edgeId: uuid("edge_id").notNull(),
    deviceId: uuid("device_id").notNull(),
    /** thinned or dropped. */
    reason: text("reason").notNull(),
    fromMs: timeMs("from_ms"),
    toMs: timeMs("to_ms"),
    records: bigint("records", { mode: "number" }).notNull(),
    /** On the clock of the edge. */
    removedMs: timeMs("removed_ms"),
  },
  (table) => [
    primaryKey({ columns: [table.edgeId, table.deviceId, table.reason, table.fromMs] }),
    index("telemetry_gap_by_device").on(table.deviceId),
  ],
);

/**
 * What is known of an edge beside the protocol, which depends on none of it; apart from edge_sync, whose rows are locked all the time.
 */
export const edgeReport = pgTable("edge_report", {
  edgeId: uuid("edge_id").primaryKey(),
  /** Session in which it reported last, and when that was. */
  session: sequence("session").default(0),
  reportedMs: bigint("reported_ms", { mode: "number" }),
  /** The report, as edge-report-store.ts writes it. */
  body: json("body"),
  /** The last attempt to connect that was refused since it was connected: a code of shared/core/errors.ts. */
  refusedCode: text("refused_code"),
  refusedText: text("refused_text"),
  refusedMs: bigint("refused_ms", { mode: "number" }),
  /** Last downlink that the statistics have counted. */
  downlinkCounted: sequence("downlink_counted").default(0),
});

/** The newest sessions of an edge: its connect and disconnect events are made of them. */
export const edgeSession = pgTable(
  "edge_session",
  {
    edgeId: uuid("edge_id").notNull(),
    session: sequence("session"),
    replicaId: uuid("replica_id").notNull(),
    edgeVersion: text("edge_version").notNull(),
    connectedMs: timeMs("connected_ms"),
    disconnectedMs: bigint("disconnected_ms", { mode: "number" }),
    /** Why it ended: a code of shared/core/errors.ts. */
    reason: text("reason"),
  },
  (table) => [primaryKey({ columns: [table.edgeId, table.session] })],
);

/** Edits of edges that were not taken as they were made; see conflict-store.ts. */
export const entityConflict = pgTable(
  "entity_conflict",
  {
    id: uuid("id").primaryKey(),
    tenantId: uuid("tenant_id").notNull(),
    edgeId: uuid("edge_id").notNull(),
    entityType: text("entity_type").notNull(),
    entityId: uuid("entity_id").notNull(),
    entityName: text("entity_name").notNull(),
    /** One of CONFLICT_KINDS (shared/store/apply-result.ts). */
    kind: text("kind").notNull(),
    fields: json("fields").notNull(),
    createdMs: timeMs("created_ms"),
  },
  (table) => [index("entity_conflict_by_edge").on(table.edgeId, table.createdMs)],
);

/** Codes with which new gateways become edges; see claim-store.ts. */
export const claimCode = pgTable(
  "claim_code",
  {
    /** SHA-256, hex. */
    codeHash: text("code_hash").primaryKey(),
    edgeId: uuid("edge_id").notNull(),
    createdMs: timeMs("created_ms"),
    expiresMs: timeMs("expires_ms"),
    usedMs: bigint("used_ms", { mode: "number" }),
  },
  (table) => [index("claim_code_by_edge").on(table.edgeId)],
);

/** Keys of edges that were deleted, so that one that still runs is told so instead of that its secret is wrong. */
export const deletedEdge = pgTable(
  "deleted_edge",
  {
    routingKey: text("routing_key").notNull(),
    secretHash: text("secret_hash").notNull(),
    deletedMs: timeMs("deleted_ms"),
  },
  (table) => [primaryKey({ columns: [table.routingKey, table.secretHash] })],
);
