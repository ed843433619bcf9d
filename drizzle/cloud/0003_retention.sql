CREATE TABLE "telemetry_gap" (
	"edge_id" uuid NOT NULL,
	"device_id" uuid NOT NULL,
	"reason" text NOT NULL,
	"from_ms" bigint NOT NULL,
	"to_ms" bigint NOT NULL,
	"records" bigint NOT NULL,
	"removed_ms" bigint NOT NULL,
	CONSTRAINT "telemetry_gap_edge_id_device_id_reason_from_ms_pk" PRIMARY KEY("edge_id","device_id","reason","from_ms")
);
--> statement-breakpoint
CREATE INDEX "telemetry_gap_by_device" ON "telemetry_gap" USING btree ("device_id");