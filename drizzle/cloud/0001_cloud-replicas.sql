CREATE TABLE "cloud_replica" (
	"id" uuid PRIMARY KEY NOT NULL,
	"started_ms" bigint NOT NULL,
	"seen_ms" bigint NOT NULL,
	"steady_ms" bigint NOT NULL
);
--> statement-breakpoint
ALTER TABLE "edge_sync" ADD COLUMN "downlink_sent" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "edge_sync" ADD COLUMN "replica_id" uuid;