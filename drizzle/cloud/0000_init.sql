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
CREATE TABLE "edge" (
	"id" uuid PRIMARY KEY NOT NULL,
	"tenant_id" uuid NOT NULL,
	"customer_id" uuid,
	"root_rule_chain_id" uuid,
	"name" text NOT NULL,
	"type" text NOT NULL,
	"label" text,
	"routing_key" text NOT NULL,
	"secret_hash" text NOT NULL,
	"version" bigint DEFAULT 1 NOT NULL,
	"created_ms" bigint NOT NULL,
	"additional_info" json
);
--> statement-breakpoint
CREATE TABLE "edge_assignment" (
	"edge_id" uuid NOT NULL,
	"entity_id" uuid NOT NULL,
	"entity_type" text NOT NULL,
	"assigned_ms" bigint NOT NULL,
	CONSTRAINT "edge_assignment_edge_id_entity_id_pk" PRIMARY KEY("edge_id","entity_id")
);
--> statement-breakpoint
CREATE TABLE "edge_event" (
	"edge_id" uuid NOT NULL,
	"seq" bigint NOT NULL,
	"created_ms" bigint NOT NULL,
	"tenant_id" uuid NOT NULL,
	"id" uuid DEFAULT gen_random_uuid() NOT NULL,
	"type" text NOT NULL,
	"action" text NOT NULL,
	"entity_id" uuid NOT NULL,
	"body" json,
	CONSTRAINT "edge_event_edge_id_seq_created_ms_pk" PRIMARY KEY("edge_id","seq","created_ms")
) PARTITION BY RANGE (created_ms);
--> statement-breakpoint
CREATE TABLE edge_event_default PARTITION OF edge_event DEFAULT;
--> statement-breakpoint
CREATE TABLE "edge_event_ack" (
	"edge_id" uuid NOT NULL,
	"last_seq" bigint NOT NULL,
	"acked_ms" bigint NOT NULL,
	CONSTRAINT "edge_event_ack_edge_id_last_seq_pk" PRIMARY KEY("edge_id","last_seq")
);
--> statement-breakpoint
CREATE TABLE "edge_event_rejection" (
	"edge_id" uuid NOT NULL,
	"seq" bigint NOT NULL,
	"code" text NOT NULL,
	"reason" text NOT NULL,
	"rejected_ms" bigint NOT NULL,
	CONSTRAINT "edge_event_rejection_edge_id_seq_pk" PRIMARY KEY("edge_id","seq")
);
--> statement-breakpoint
CREATE TABLE "edge_past_assignment" (
	"edge_id" uuid NOT NULL,
	"entity_id" uuid NOT NULL,
	"ended_ms" bigint NOT NULL,
	CONSTRAINT "edge_past_assignment_edge_id_entity_id_pk" PRIMARY KEY("edge_id","entity_id")
);
--> statement-breakpoint
CREATE TABLE "edge_sync" (
	"edge_id" uuid PRIMARY KEY NOT NULL,
	"downlink_last" bigint NOT NULL,
	"downlink_acked" bigint NOT NULL,
	"session" bigint NOT NULL,
	"store_id" uuid,
	"edge_version" text,
	"clock_skew_ms" bigint,
	"connected_ms" bigint,
	"disconnected_ms" bigint,
	"reason" text
);
--> statement-breakpoint
CREATE TABLE "edge_uplink" (
	"edge_id" uuid NOT NULL,
	"store_id" uuid NOT NULL,
	"lane" text NOT NULL,
	"watermark" bigint NOT NULL,
	"session" bigint NOT NULL,
	CONSTRAINT "edge_uplink_edge_id_store_id_lane_pk" PRIMARY KEY("edge_id","store_id","lane")
);
--> statement-breakpoint
CREATE TABLE "tenant" (
	"id" uuid PRIMARY KEY NOT NULL,
	"title" text NOT NULL,
	"version" bigint DEFAULT 1 NOT NULL,
	"created_ms" bigint NOT NULL,
	"body" json NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX "app_user_email" ON "app_user" USING btree (lower("email"));--> statement-breakpoint
CREATE UNIQUE INDEX "device_credentials_id" ON "device_credentials" USING btree ("credentials_id");--> statement-breakpoint
CREATE UNIQUE INDEX "entity_unique_name" ON "entity" USING btree ("tenant_id","entity_type","name") WHERE "entity"."entity_type" in ('DEVICE', 'ASSET', 'DEVICE_PROFILE', 'ASSET_PROFILE', 'CUSTOMER', 'ENTITY_VIEW');--> statement-breakpoint
CREATE INDEX "entity_by_time" ON "entity" USING btree ("tenant_id","entity_type","created_ms");--> statement-breakpoint
CREATE INDEX "entity_by_subtype" ON "entity" USING btree ("tenant_id","entity_type","subtype");--> statement-breakpoint
CREATE INDEX "entity_by_profile" ON "entity" USING btree ("profile_id");--> statement-breakpoint
CREATE INDEX "entity_by_customer" ON "entity" USING btree ("customer_id");--> statement-breakpoint
CREATE UNIQUE INDEX "edge_routing_key" ON "edge" USING btree ("routing_key");--> statement-breakpoint
CREATE UNIQUE INDEX "edge_unique_name" ON "edge" USING btree ("tenant_id","name");--> statement-breakpoint
CREATE INDEX "edge_by_time" ON "edge" USING btree ("tenant_id","created_ms");--> statement-breakpoint
CREATE INDEX "edge_assignment_by_entity" ON "edge_assignment" USING btree ("entity_id");