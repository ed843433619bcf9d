-- compatible: a new table, of which older programs know nothing
CREATE TABLE "backfill" (
	"id" uuid PRIMARY KEY NOT NULL,
	"edge_id" uuid,
	"is_open" boolean NOT NULL,
	"created_ms" bigint NOT NULL,
	"updated_ms" bigint NOT NULL,
	"body" json NOT NULL
);
--> statement-breakpoint
CREATE INDEX "backfill_by_edge" ON "backfill" USING btree ("edge_id","created_ms");--> statement-breakpoint
CREATE INDEX "backfill_open" ON "backfill" USING btree ("created_ms") WHERE "backfill"."is_open";