ALTER TABLE "edge_uplink" ADD COLUMN "committed" "int8multirange" DEFAULT '{}' NOT NULL;--> statement-breakpoint
UPDATE "edge_uplink" SET "committed" = int8multirange(int8range(1, "watermark" + 1)) WHERE "watermark" > 0;--> statement-breakpoint
ALTER TABLE "edge_uplink" DROP COLUMN "watermark";