CREATE TABLE "app_user" (
	"id" uuid PRIMARY KEY NOT NULL,
	"tenant_id" uuid NOT NULL,
	"customer_id" uuid,
	"email" text NOT NULL,
	"authority" text NOT NULL,
	"first_name" text,
	"last_name" text,
	"password_hash" text,
	"enabled" boolean DEFAULT true NOT NULL,
	"tokens_valid_from_ms" bigint NOT NULL,
	"version" bigint DEFAULT 1 NOT NULL,
	"created_ms" bigint NOT NULL,
	"additional_info" json
);
--> statement-breakpoint
CREATE TABLE "attribute" (
	"entity_id" uuid NOT NULL,
	"scope" text NOT NULL,
	"key" text NOT NULL,
	"value" jsonb NOT NULL,
	"updated_ms" bigint NOT NULL,
	CONSTRAINT "attribute_entity_id_scope_key_pk" PRIMARY KEY("entity_id","scope","key")
);
--> statement-breakpoint
CREATE TABLE "device_credentials" (
	"device_id" uuid PRIMARY KEY NOT NULL,
	"id" uuid NOT NULL,
	"credentials_type" text NOT NULL,
	"credentials_id" text NOT NULL,
	"credentials_value" text,
	"version" bigint DEFAULT 1 NOT NULL,
	"created_ms" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "entity" (
	"id" uuid PRIMARY KEY NOT NULL,
	"entity_type" text NOT NULL,
	"tenant_id" uuid NOT NULL,
	"customer_id" uuid,
	"name" text NOT NULL,
	"subtype" text,
	"label" text,
	"profile_id" uuid,
	"version" bigint DEFAULT 1 NOT NULL,
	"created_ms" bigint NOT NULL,
	"body" json NOT NULL
);
--> statement-breakpoint
CREATE TABLE "instance" (
	"id" uuid PRIMARY KEY NOT NULL,
	"jwt_secret" text NOT NULL,
	"created_ms" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "revoked_session" (
	"session_id" uuid PRIMARY KEY NOT NULL,
	"expires_ms" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "telemetry" (
	"entity_id" uuid NOT NULL,
	"ts_ms" bigint NOT NULL,
	"values" jsonb NOT NULL,
	CONSTRAINT "telemetry_entity_id_ts_ms_pk" PRIMARY KEY("entity_id","ts_ms")
) PARTITION BY RANGE (ts_ms);
--> statement-breakpoint
CREATE TABLE telemetry_default PARTITION OF telemetry DEFAULT;
--> statement-breakpoint
CREATE TABLE "telemetry_latest" (
	"entity_id" uuid NOT NULL,
	"key" text NOT NULL,
	"ts_ms" bigint NOT NULL,
	"value" jsonb NOT NULL,
	CONSTRAINT "telemetry_latest_entity_id_key_pk" PRIMARY KEY("entity_id","key")
);
--> statement-breakpoint
CREATE TABLE "cloud_event" (
	"lane" text NOT NULL,
	"first_seq" bigint NOT NULL,
	"last_seq" bigint NOT NULL,
	"created_ms" bigint NOT NULL,
	"entity_type" text,
	"entity_id" uuid,
	"action" text NOT NULL,
	"config_seq" bigint NOT NULL,
	"ts_min_ms" bigint,
	"ts_max_ms" bigint,
	"compression" text NOT NULL,
	"payload" bytea NOT NULL,
	CONSTRAINT "cloud_event_lane_first_seq_pk" PRIMARY KEY("lane","first_seq")
) PARTITION BY LIST (lane);
--> statement-breakpoint
CREATE TABLE cloud_event_config PARTITION OF cloud_event FOR VALUES IN ('config') PARTITION BY RANGE (first_seq);
--> statement-breakpoint
CREATE TABLE cloud_event_telemetry PARTITION OF cloud_event FOR VALUES IN ('telemetry') PARTITION BY RANGE (first_seq);
--> statement-breakpoint
ALTER TABLE cloud_event ALTER COLUMN payload SET STORAGE EXTERNAL;
--> statement-breakpoint
CREATE TABLE "parked_item" (
	"lane" text NOT NULL,
	"seq" bigint NOT NULL,
	"code" text NOT NULL,
	"reason" text NOT NULL,
	"parked_ms" bigint NOT NULL,
	"payload" bytea NOT NULL,
	CONSTRAINT "parked_item_lane_seq_pk" PRIMARY KEY("lane","seq")
);
--> statement-breakpoint
CREATE TABLE "site" (
	"id" integer PRIMARY KEY NOT NULL,
	"edge_id" uuid,
	"tenant_id" uuid NOT NULL,
	"name" text NOT NULL,
	"type" text NOT NULL,
	"cloud_id" uuid,
	"downlink_applied" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "uplink_cursor" (
	"lane" text PRIMARY KEY NOT NULL,
	"acked_seq" bigint NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX "app_user_email" ON "app_user" USING btree (lower("email"));--> statement-breakpoint
CREATE UNIQUE INDEX "device_credentials_id" ON "device_credentials" USING btree ("credentials_id");--> statement-breakpoint
CREATE UNIQUE INDEX "entity_unique_name" ON "entity" USING btree ("tenant_id","entity_type","name") WHERE "entity"."entity_type" in ('DEVICE', 'ASSET', 'DEVICE_PROFILE', 'ASSET_PROFILE', 'CUSTOMER', 'ENTITY_VIEW');--> statement-breakpoint
CREATE INDEX "entity_by_time" ON "entity" USING btree ("tenant_id","entity_type","created_ms");--> statement-breakpoint
CREATE INDEX "entity_by_subtype" ON "entity" USING btree ("tenant_id","entity_type","subtype");--> statement-breakpoint
CREATE INDEX "entity_by_profile" ON "entity" USING btree ("profile_id");--> statement-breakpoint
CREATE INDEX "entity_by_customer" ON "entity" USING btree ("customer_id");