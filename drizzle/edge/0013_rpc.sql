CREATE TABLE "rpc" (
	"id" uuid PRIMARY KEY NOT NULL,
	"device_id" uuid NOT NULL,
	"is_persistent" boolean NOT NULL,
	"status" text NOT NULL,
	"is_open" boolean NOT NULL,
	"created_ms" bigint NOT NULL,
	"expiration_ms" bigint NOT NULL,
	"deadline_ms" bigint,
	"request_number" bigint,
	"updated_ms" bigint NOT NULL,
	"body" json NOT NULL
);
--> statement-breakpoint
CREATE INDEX "rpc_by_device" ON "rpc" USING btree ("device_id","created_ms");--> statement-breakpoint
CREATE INDEX "rpc_by_deadline" ON "rpc" USING btree ("deadline_ms") WHERE "rpc"."is_open";--> statement-breakpoint
CREATE INDEX "rpc_by_age" ON "rpc" USING btree ("updated_ms");