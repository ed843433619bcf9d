CREATE TABLE "downlink_rejection" (
	"seq" bigint PRIMARY KEY NOT NULL,
	"code" text NOT NULL,
	"reason" text NOT NULL,
	"version" text NOT NULL
);
--> statement-breakpoint
ALTER TABLE "parked_item" ADD COLUMN "refused_by" text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "parked_item" ADD COLUMN "decision" text;