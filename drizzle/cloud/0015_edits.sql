CREATE TABLE "entity_conflict" (
	"id" uuid PRIMARY KEY NOT NULL,
	"tenant_id" uuid NOT NULL,
	"edge_id" uuid NOT NULL,
	"entity_type" text NOT NULL,
	"entity_id" uuid NOT NULL,
	"entity_name" text NOT NULL,
	"kind" text NOT NULL,
	"fields" json NOT NULL,
	"created_ms" bigint NOT NULL
);
--> statement-breakpoint
ALTER TABLE "edge" ADD COLUMN "rights" json;--> statement-breakpoint
CREATE INDEX "entity_conflict_by_edge" ON "entity_conflict" USING btree ("edge_id","created_ms");