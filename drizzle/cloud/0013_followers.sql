ALTER TABLE "edge_assignment" ADD COLUMN "follows" boolean DEFAULT false NOT NULL;--> statement-breakpoint
-- What was assigned before needs its profile and its customer on the same edges.
INSERT INTO "edge_assignment" ("edge_id", "entity_id", "entity_type", "assigned_ms", "follows")
SELECT DISTINCT ON (a."edge_id", n."id") a."edge_id", n."id", n."entity_type", a."assigned_ms", true
FROM "edge_assignment" a JOIN "entity" e ON e."id" = a."entity_id" JOIN "entity" n ON n."id" IN (e."profile_id", e."customer_id")
ON CONFLICT DO NOTHING;
