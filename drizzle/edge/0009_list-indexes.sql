DROP INDEX "entity_by_time";--> statement-breakpoint
DROP INDEX "entity_by_subtype";--> statement-breakpoint
-- By hand: what lists are searched by, in each index, so that a search that finds little or much looks through one of them alone.
ALTER TABLE "entity" ADD COLUMN "search_text" text GENERATED ALWAYS AS (lower("name" || E'\n' || coalesce("label", ''))) STORED;--> statement-breakpoint
CREATE INDEX "entity_by_id" ON "entity" USING btree ("tenant_id","entity_type","id") INCLUDE ("search_text");--> statement-breakpoint
CREATE INDEX "entity_by_name" ON "entity" USING btree ("tenant_id","entity_type","name","id") INCLUDE ("search_text");--> statement-breakpoint
CREATE INDEX "entity_by_label" ON "entity" USING btree ("tenant_id","entity_type","label","id") INCLUDE ("search_text");--> statement-breakpoint
CREATE INDEX "entity_by_owner" ON "entity" USING btree ("tenant_id","entity_type","customer_id","id") INCLUDE ("search_text");--> statement-breakpoint
CREATE INDEX "entity_by_time" ON "entity" USING btree ("tenant_id","entity_type","created_ms","id") INCLUDE ("search_text");--> statement-breakpoint
CREATE INDEX "entity_by_subtype" ON "entity" USING btree ("tenant_id","entity_type","subtype","id") INCLUDE ("search_text");
