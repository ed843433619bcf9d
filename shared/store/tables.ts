import { sql } from "drizzle-orm";
import {
  bigint,
  boolean,
  customType,
  index,
  json,
  pgTable,
  primaryKey,
  text,
  uniqueIndex,
  uuid,
} from "drizzle-orm/pg-core";
import { UNIQUE_NAME_TYPES } from "../entities/entity-kinds.ts";

/** Times are ms since 1970 UTC in a bigint named `…_ms`; ids are uuids; JSON that must keep its form is `json`, not `jsonb`. */
const timeMs = (name: string) => bigint(name, { mode: "number" }).notNull();

/** jsonb as text: numbers keep their kind (21 and 21.0) and their digits, which JSON.parse would lose. */
const canonicalJson = customType<{ data: string; driverData: string }>({ dataType: () => "jsonb" });

const bytes = customType<{ data: Uint8Array; driverData: Uint8Array }>({ dataType: () => "bytea" });

/** One row, made with the database: what this installation is, whatever its addresses are. */
export const instance = pgTable("instance", {
  /** The edge's store_id, or the cloud's cloud_id in the sync protocol. */
  id: uuid("id").primaryKey(),
  /** Signs the tokens of this installation; base64. */
  jwtSecret: text("jwt_secret").notNull(),
  createdMs: timeMs("created_ms"),
});

export const appUser = pgTable(
  "app_user",
  {
    id: uuid("id").primaryKey(),
    tenantId: uuid("tenant_id").notNull(),
    customerId: uuid("customer_id"),
    email: text("email").notNull(),
    authority: text("authority").notNull(),
    firstName: text("first_name"),
    lastName: text("last_name"),
    phone: text("phone"),
    /** argon2id in PHC form; null until the user was activated. */
    passwordHash: text("password_hash"),
    enabled: boolean("enabled").notNull().default(true),
    /** On an edge: it comes from the cloud, which alone changes it. */
    isCopy: boolean("is_copy").notNull().default(false),
    lastLoginMs: bigint("last_login_ms", { mode: "number" }),
    /** Tokens issued before this moment are refused. */
    tokensValidFromMs: timeMs("tokens_valid_from_ms"),
    version: bigint("version", { mode: "number" }).notNull().default(1),
    createdMs: timeMs("created_ms"),
    additionalInfo: json("additional_info"),
  },
  (table) => [
    uniqueIndex("app_user_email").on(sql`lower(${table.email})`),
    index("app_user_by_tenant").on(table.tenantId, table.authority),
    index("app_user_by_customer").on(table.customerId),
  ],
);

/** What a user interface keeps per user; free JSON. */
export const userSettings = pgTable("user_settings", {
  userId: uuid("user_id").primaryKey(),
  settings: json("settings").notNull(),
});

export const apiKey = pgTable(
  "api_key",
  {
    id: uuid("id").primaryKey(),
    userId: uuid("user_id").notNull(),
    description: text("description").notNull(),
    /** SHA-256, hex. Values are random and long: a slow hash would protect them no better. */
    valueHash: text("value_hash").notNull(),
    enabled: boolean("enabled").notNull(),
    /** 0: never. */
    expiresMs: timeMs("expires_ms"),
    createdMs: timeMs("created_ms"),
  },
  (table) => [uniqueIndex("api_key_value").on(table.valueHash), index("api_key_by_user").on(table.userId)],
);

/** Sessions that signed out before their tokens ran out. */
export const revokedSession = pgTable("revoked_session", {
  sessionId: uuid("session_id").primaryKey(),
  expiresMs: timeMs("expires_ms"),
});

/**
 * Every kind of entity that has a name, one row each; what only one kind knows is in `body`. The SQL adds by hand, so that records have
 * no such field: `search_text`, name and label in lower case, which PostgreSQL keeps itself, and which the indexes of lists include.
 */
export const entity = pgTable(
  "entity",
  {
    id: uuid("id").primaryKey(),
    entityType: text("entity_type").notNull(),
    tenantId: uuid("tenant_id").notNull(),
    customerId: uuid("customer_id"),
    name: text("name").notNull(),
    /** The "type" of the REST convention: for devices and assets the name of the profile. */
    subtype: text("subtype"),
    label: text("label"),
    profileId: uuid("profile_id"),
    version: bigint("version", { mode: "number" }).notNull().default(1),
    createdMs: timeMs("created_ms"),
    body: json("body").notNull(),
    /** What may be large and is kept as it is: the configuration of a dashboard. */
    content: text("content"),
    /** What it needs beside profile and customer, as its kind says (shared/entities/entity-kind.ts); null: nothing. */
    refersTo: uuid("refers_to").array(),
    /** Files that it names in its texts, and what names it if it is one (shared/entities/resource-links.ts); null: none. */
    links: text("links").array(),
    link: text("link"),
  },
  (table) => [
    uniqueIndex("entity_unique_name")
      .on(table.tenantId, table.entityType, table.name)
      .where(sql`${table.entityType} in (${sql.raw(UNIQUE_NAME_TYPES.map((type) => `'${type}'`).join(", "))})`),
    index("entity_by_reference")
      .using("gin", table.refersTo)
      .where(sql`${table.refersTo} is not null`),
    index("entity_by_links")
      .using("gin", table.links)
      .where(sql`${table.links} is not null`),
    index("entity_by_link")
      .on(table.link)
      .where(sql`${table.link} is not null`),
    // One for each order of a list: a page anywhere in 100,000 entities is found by the index alone, ties included.
    index("entity_by_id").on(table.tenantId, table.entityType, table.id),
    index("entity_by_time").on(table.tenantId, table.entityType, table.createdMs, table.id),
    index("entity_by_name").on(table.tenantId, table.entityType, table.name, table.id),
    index("entity_by_label").on(table.tenantId, table.entityType, table.label, table.id),
    index("entity_by_subtype").on(table.tenantId, table.entityType, table.subtype, table.id),
    index("entity_by_owner").on(table.tenantId, table.entityType, table.customerId, table.id),
    index("entity_by_profile").on(table.profileId),
    index("entity_by_customer").on(table.customerId),
  ],
);

export const deviceCredentials = pgTable(
  "device_credentials",
  {
    deviceId: uuid("device_id").primaryKey(),
    id: uuid("id").notNull(),
    credentialsType: text("credentials_type").notNull(),
    credentialsId: text("credentials_id").notNull(),
    credentialsValue: text("credentials_value"),
    version: bigint("version", { mode: "number" }).notNull().default(1),
    createdMs: timeMs("created_ms"),
  },
  (table) => [uniqueIndex("device_credentials_id").on(table.credentialsId)],
);

export const attribute = pgTable(
  "attribute",
  {
    entityId: uuid("entity_id").notNull(),
    scope: text("scope").notNull(),
    key: text("key").notNull(),
    value: canonicalJson("value").notNull(),
    updatedMs: timeMs("updated_ms"),
  },
  (table) => [primaryKey({ columns: [table.entityId, table.scope, table.key] })],
);

/** A row per message. Partitioned by range of ts_ms (by hand in the SQL; Drizzle has no words for it). */
export const telemetry = pgTable(
  "telemetry",
  {
    entityId: uuid("entity_id").notNull(),
    tsMs: timeMs("ts_ms"),
    values: canonicalJson("values").notNull(),
  },
  (table) => [primaryKey({ columns: [table.entityId, table.tsMs] })],
);

export const telemetryLatest = pgTable(
  "telemetry_latest",
  {
    entityId: uuid("entity_id").notNull(),
    key: text("key").notNull(),
    tsMs: timeMs("ts_ms"),
    value: canonicalJson("value").notNull(),
  },
  (table) => [primaryKey({ columns: [table.entityId, table.key] })],
);

/** Contents that travel in chunks, named by what they are; see blob-store.ts. */
export const blob = pgTable(
  "blob",
  {
    ownerId: uuid("owner_id").notNull(),
    /** Lower-case hex digits. */
    sha256: text("sha256").notNull(),
    totalBytes: bigint("total_bytes", { mode: "number" }).notNull(),
    /** Chunks lie from 0 up to here. */
    receivedBytes: bigint("received_bytes", { mode: "number" }).notNull(),
    /** All bytes are there and were compared with the hash. */
    isComplete: boolean("is_complete").notNull(),
    usedMs: timeMs("used_ms"),
  },
  (table) => [primaryKey({ columns: [table.ownerId, table.sha256] })],
);

export const blobChunk = pgTable(
  "blob_chunk",
  {
    ownerId: uuid("owner_id").notNull(),
    sha256: text("sha256").notNull(),
    /** Offset of its first byte. */
    start: bigint("start", { mode: "number" }).notNull(),
    content: bytes("content").notNull(),
  },
  (table) => [primaryKey({ columns: [table.ownerId, table.sha256, table.start] })],
);

/** Phones on which a user is signed in, for whoever sends messages to them. */
export const mobileSession = pgTable(
  "mobile_session",
  {
    userId: uuid("user_id").notNull(),
    /** Of the phone, as its messaging service gave it. */
    token: text("token").notNull(),
    /** When the phone got it, on its own clock. */
    tokenMs: timeMs("token_ms"),
    savedMs: timeMs("saved_ms"),
  },
  (table) => [primaryKey({ columns: [table.userId, table.token] })],
);
