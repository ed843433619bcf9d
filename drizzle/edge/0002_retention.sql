CREATE TABLE "retention_mark" (
	"ran_ms" bigint PRIMARY KEY NOT NULL,
	"config_seq" bigint NOT NULL,
	"telemetry_seq" bigint NOT NULL,
	"history" json NOT NULL
);
--> statement-breakpoint
CREATE TABLE "telemetry_gap" (
	"device_id" uuid NOT NULL,
	"reason" text NOT NULL,
	"from_ms" bigint NOT NULL,
	"to_ms" bigint NOT NULL,
	"records" bigint NOT NULL,
	"removed_ms" bigint NOT NULL,
	CONSTRAINT "telemetry_gap_device_id_reason_from_ms_pk" PRIMARY KEY("device_id","reason","from_ms")
);
