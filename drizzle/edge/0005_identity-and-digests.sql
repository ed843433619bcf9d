ALTER TABLE "site" ADD COLUMN "downlink_tag" uuid;--> statement-breakpoint
ALTER TABLE "site" ADD COLUMN "first_config_seq" bigint DEFAULT 1 NOT NULL;--> statement-breakpoint
ALTER TABLE "site" ADD COLUMN "first_telemetry_seq" bigint DEFAULT 1 NOT NULL;