-- compatible: columns that programs of before leave as they are
ALTER TABLE "edge_sync" ADD COLUMN "settings_changed" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "edge_sync" ADD COLUMN "settings_told" bigint DEFAULT 0 NOT NULL;