ALTER TABLE "edge_sync" ADD COLUMN "machine_id" uuid;--> statement-breakpoint
ALTER TABLE "edge_sync" ADD COLUMN "displaced_machines" json;--> statement-breakpoint
ALTER TABLE "edge_sync" ADD COLUMN "conflict_ms" bigint;--> statement-breakpoint
ALTER TABLE "edge_sync" ADD COLUMN "notice" text;--> statement-breakpoint
ALTER TABLE "edge_sync" ADD COLUMN "notice_ms" bigint;--> statement-breakpoint
ALTER TABLE "edge_sync" ADD COLUMN "sync_requested" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "edge_sync" ADD COLUMN "sync_completed" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "edge_sync" ADD COLUMN "sync_result" json;--> statement-breakpoint
ALTER TABLE "edge_uplink" ADD COLUMN "tag" text;--> statement-breakpoint
ALTER TABLE "edge_uplink" ADD COLUMN "tag_seq" bigint DEFAULT 0 NOT NULL;