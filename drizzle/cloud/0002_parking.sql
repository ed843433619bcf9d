CREATE TABLE "edge_uplink_rejection" (
	"edge_id" uuid NOT NULL,
	"store_id" uuid NOT NULL,
	"lane" text NOT NULL,
	"seq" bigint NOT NULL,
	"code" text NOT NULL,
	"reason" text NOT NULL,
	"version" text NOT NULL,
	"rejected_ms" bigint NOT NULL,
	CONSTRAINT "edge_uplink_rejection_edge_id_store_id_lane_seq_pk" PRIMARY KEY("edge_id","store_id","lane","seq")
);
--> statement-breakpoint
ALTER TABLE "edge_event_rejection" ADD COLUMN "edge_version" text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "edge_event_rejection" ADD COLUMN "decision" text;--> statement-breakpoint
ALTER TABLE "edge_event_rejection" ADD COLUMN "replay_seq" bigint;