ALTER TABLE "entity" ADD COLUMN "links" text[];--> statement-breakpoint
ALTER TABLE "entity" ADD COLUMN "link" text;--> statement-breakpoint
CREATE INDEX "entity_by_links" ON "entity" USING gin ("links") WHERE "entity"."links" is not null;--> statement-breakpoint
CREATE INDEX "entity_by_link" ON "entity" USING btree ("link") WHERE "entity"."link" is not null;--> statement-breakpoint
UPDATE "entity" SET "link" = coalesce("subtype", 'GENERAL') || ' ' || ("body" ->> 'resourceKey') WHERE "entity_type" = 'TB_RESOURCE';