CREATE TABLE "relation" (
	"from_id" uuid NOT NULL,
	"from_type" text NOT NULL,
	"to_id" uuid NOT NULL,
	"to_type" text NOT NULL,
	"type" text NOT NULL,
	"type_group" text NOT NULL,
	"tenant_id" uuid NOT NULL,
	"additional_info" json,
	"version" bigint NOT NULL,
	"is_removed" boolean NOT NULL,
	"updated_ms" bigint NOT NULL,
	CONSTRAINT "relation_from_id_type_group_type_to_id_pk" PRIMARY KEY("from_id","type_group","type","to_id")
);
--> statement-breakpoint
CREATE INDEX "relation_by_to" ON "relation" USING btree ("to_id","type_group");--> statement-breakpoint
CREATE INDEX "relation_by_version" ON "relation" USING btree ("tenant_id","version");--> statement-breakpoint
CREATE INDEX "relation_by_time" ON "relation" USING btree ("is_removed","updated_ms");