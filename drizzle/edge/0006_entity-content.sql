DROP INDEX "entity_unique_name";--> statement-breakpoint
ALTER TABLE "entity" ADD COLUMN "content" text;--> statement-breakpoint
ALTER TABLE "entity" ADD COLUMN "refers_to" uuid[];--> statement-breakpoint
CREATE INDEX "entity_by_reference" ON "entity" USING gin ("refers_to") WHERE "entity"."refers_to" is not null;--> statement-breakpoint
CREATE UNIQUE INDEX "entity_unique_name" ON "entity" USING btree ("tenant_id","entity_type","name") WHERE "entity"."entity_type" in ('CUSTOMER', 'DEVICE_PROFILE', 'ASSET_PROFILE', 'DEVICE', 'ASSET', 'ENTITY_VIEW');