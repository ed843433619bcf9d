import { sql } from "drizzle-orm";
import {
  bigint,
  boolean,
  customType,
  integer,
  json,
  pgTable,
  pgView,
  primaryKey,
  text,
  uuid,
} from "drizzle-orm/pg-core";
import { alarmOriginatorColumns } from "../../shared/store/alarm-originator.ts";
import { seqRanges } from "../../shared/store/seq-ranges.ts";

// What only an edge stores; the tables that both ends have are in shared/store/tables.ts.

const bytes = customType<{ data: Uint8Array; driverData: Uint8Array }>({ dataType: () => "bytea" });
const sequence = (name: string) => bigint(name, { mode: "number" }).notNull();

/** One row: who this edge is to the cloud, learned from the first Welcome. */
export const site = pgTable("site", {
  /** Always 1. */
  id: integer("id").primaryKey(),
  edgeId: uuid("edge_id"),
  tenantId: uuid("tenant_id").notNull(),
  name: text("name").notNull(),
  type: text("type").notNull(),
  /** Identity of the cloud database that `downlinkApplied` counts for. */
  cloudId: uuid("cloud_id"),
  /** Last downlink sequence applied; moved in the transaction that applies. */
  downlinkApplied: sequence("downlink_applied"),
  /** Identity of the row with that sequence in the cloud; null when that is not known. */
  downlinkTag: uuid("downlink_tag"),
  /** The first sequences of the outbox that belong to this store id; those before belong to the one that it replaced. */
  firstConfigSeq: sequence("first_config_seq").default(1),
  firstTelemetrySeq: sequence("first_telemetry_seq").default(1),
  /** EdgeSettings, as the cloud said last; null before that. */
  settings: json("settings"),
});

/** See shared/store/alarm-originator.ts. */
export const alarmOriginator = pgView("alarm_originator", alarmOriginatorColumns).as(sql`
  select id, entity_type as type, tenant_id, case entity_type when 'CUSTOMER' then id else customer_id end as customer_id, name, label
  from entity
  union all select id, 'USER', tenant_id, customer_id, email, null::text from app_user
  union all select edge_id, 'EDGE', tenant_id, null::uuid, name, null::text from site where edge_id is not null
  union all select tenant_id, 'TENANT', tenant_id, null::uuid, 'Tenant', null::text from site`);

/**
 * The outbox: everything that is meant for the cloud, in commit order per lane, sequences without gaps.
 * config: a row per item. telemetry: a row per group commit (a record batch), merged with its neighbours while it waits.
 * Partitioned by lane and range of first_seq (by hand in the SQL); the state of a row follows from uplink_cursor.
 * Rows are updated only to take records out of them when the disk is full.
 */
export const cloudEvent = pgTable(
  "cloud_event",
  {
    lane: text("lane").notNull(),
    firstSeq: sequence("first_seq"),
    lastSeq: sequence("last_seq"),
    createdMs: sequence("created_ms"),
    /** config: as in the REST convention; telemetry: null. */
    entityType: text("entity_type"),
    entityId: uuid("entity_id"),
    action: text("action").notNull(),
    /** telemetry: the last config sequence before this row that made an entity; it is sent after that one, so that its devices exist. */
    configSeq: sequence("config_seq"),
    /** telemetry: range of measurement times in the batch. */
    tsMinMs: bigint("ts_min_ms", { mode: "number" }),
    tsMaxMs: bigint("ts_max_ms", { mode: "number" }),
    compression: text("compression").notNull(),
    /** A protobuf TelemetryRecords or Items, compressed as said, sent as it is. */
    payload: bytes("payload").notNull(),
  },
  (table) => [primaryKey({ columns: [table.lane, table.firstSeq] })],
);

/** Per lane what the cloud has committed: everything up to `ackedSeq`, and while a backlog drains also what lies `ahead` of it. */
export const uplinkCursor = pgTable("uplink_cursor", {
  lane: text("lane").primaryKey(),
  ackedSeq: sequence("acked_seq"),
  ahead: seqRanges("ahead")
    .notNull()
    .default(sql`'{}'`),
});

/** Items that the cloud refused for good, kept with the reason until someone decides. */
export const parkedItem = pgTable(
  "parked_item",
  {
    lane: text("lane").notNull(),
    seq: sequence("seq"),
    code: text("code").notNull(),
    reason: text("reason").notNull(),
    /** Version of the cloud that refused: another one may take the item. */
    refusedBy: text("refused_by").notNull().default(""),
    parkedMs: sequence("parked_ms"),
    /** What somebody decided about it: replayed or discarded; null: it waits. Stays for the list of events, without the payload. */
    decision: text("decision"),
    /** The item alone, uncompressed: a TelemetryRecords or Items with one member. */
    payload: bytes("payload").notNull(),
  },
  (table) => [primaryKey({ columns: [table.lane, table.seq] })],
);

/** Downlinks that this edge refused for good, until the cloud has heard of it. */
export const downlinkRejection = pgTable("downlink_rejection", {
  seq: bigint("seq", { mode: "number" }).primaryKey(),
  code: text("code").notNull(),
  reason: text("reason").notNull(),
  /** Of this program, when it refused. */
  version: text("version").notNull(),
});

/** Telemetry that was removed before it was sent, because the disk was full; per device, with the times of measurement. */
export const telemetryGap = pgTable(
  "telemetry_gap",
  {
    deviceId: uuid("device_id").notNull(),
    /** thinned or dropped. */
    reason: text("reason").notNull(),
    fromMs: sequence("from_ms"),
    toMs: sequence("to_ms"),
    records: sequence("records"),
    removedMs: sequence("removed_ms"),
  },
  (table) => [primaryKey({ columns: [table.deviceId, table.reason, table.fromMs] })],
);

/**
 * How far everything was after so many ms of running: what is below an old mark is old. The wall clock is not asked, because it may
 * jump by years.
 */
export const retentionMark = pgTable("retention_mark", {
  /** Time that the edge has run in all, in ms. */
  ranMs: bigint("ran_ms", { mode: "number" }).primaryKey(),
  configSeq: sequence("config_seq"),
  telemetrySeq: sequence("telemetry_seq"),
  /** Bytes per partition of telemetry: one that has grown since holds newer records. */
  history: json("history").notNull(),
});
/** Contents that items of the outbox name; they are kept for as long as the item is there, or parked. */
export const outboxBlob = pgTable(
  "outbox_blob",
  {
    lane: text("lane").notNull(),
    seq: sequence("seq"),
    sha256: text("sha256").notNull(),
    totalBytes: sequence("total_bytes"),
  },
  (table) => [primaryKey({ columns: [table.lane, table.seq, table.sha256] })],
);

/** Sessions of MQTT that outlive their connection, and the wills of connections. */
export const mqttSession = pgTable("mqtt_session", {
  deviceId: uuid("device_id").primaryKey(),
  deviceName: text("device_name").notNull(),
  isGateway: boolean("is_gateway").notNull(),
  clientId: text("client_id").notNull(),
  /** How long the session is kept without a connection; 0: the row is there for the will only. */
  expiryS: sequence("expiry_s"),
  /** `[["v1/devices/me/attributes",1]]`, in the order in which they were subscribed. */
  filters: json("filters").notNull(),
  /** Packet ids of QoS 2 that wait for their release. */
  unreleased: json("unreleased").notNull(),
  /** Up to where messages were sent, acknowledged or not. */
  sentSeq: sequence("sent_seq"),
  willTopic: text("will_topic"),
  willPayload: bytes("will_payload"),
  willDelayS: bigint("will_delay_s", { mode: "number" }),
});

/** Messages to devices that wait for their PUBACK across connections. */
export const mqttMessage = pgTable(
  "mqtt_message",
  {
    deviceId: uuid("device_id")
      .notNull()
      .references(() => mqttSession.deviceId, { onDelete: "cascade" }),
    seq: sequence("seq"),
    topic: text("topic").notNull(),
    payload: text("payload").notNull(),
  },
  (table) => [primaryKey({ columns: [table.deviceId, table.seq] })],
);

/** The packages that devices were told of, so that each is told once, and what was told is taken back. */
export const announcedPackage = pgTable(
  "announced_package",
  {
    deviceId: uuid("device_id").notNull(),
    /** FIRMWARE or SOFTWARE. */
    type: text("type").notNull(),
    packageId: uuid("package_id").notNull(),
    packageVersion: sequence("package_version"),
  },
  (table) => [primaryKey({ columns: [table.deviceId, table.type] })],
);

/** What nodes of rule chains remember (shared/rules/chain/run.ts), and when they want to be woken. */
export const ruleNodeState = pgTable(
  "rule_node_state",
  {
    chainId: uuid("chain_id").notNull(),
    nodeId: uuid("node_id").notNull(),
    /** As the node gave it; null: nothing. */
    state: json("state"),
    /** null: never. */
    wakeMs: bigint("wake_ms", { mode: "number" }),
  },
  (table) => [primaryKey({ columns: [table.chainId, table.nodeId] })],
);

/** What nodes of rule chains asked for outside, until its outcome is known to them. */
export const ruleCall = pgTable("rule_call", {
  id: uuid("id").primaryKey(),
  /** A CallHttp, PublishMqtt or SendRpc of shared/rules/chain/effects.ts. */
  effect: json("effect").notNull(),
});

/** What alarm rules remember of devices: conditions that hold, but not long or often enough yet. */
export const alarmRuleState = pgTable(
  "alarm_rule_state",
  {
    deviceId: uuid("device_id").notNull(),
    ruleId: text("rule_id").notNull(),
    /** RuleState.conditions of shared/rules/alarm-evaluator.ts. */
    conditions: json("conditions").notNull(),
  },
  (table) => [primaryKey({ columns: [table.deviceId, table.ruleId] })],
);

/** What thinning of the uplink remembers; see thinning-store.ts. */
export const thinningState = pgTable("thinning_state", {
  /** A device, or a device profile whose budget its devices share. */
  entityId: uuid("entity_id").primaryKey(),
  isDevice: boolean("is_device").notNull(),
  /** On the edge's clock: then something that waits goes; null: nothing waits. */
  dueMs: bigint("due_ms", { mode: "number" }),
  /** Of a device a DeviceThinning, of a profile UsedBytes; see shared/rules/thinning/device-thinner.ts. */
  state: json("state").notNull(),
});
