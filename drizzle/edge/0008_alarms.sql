CREATE TABLE "alarm" (
	"id" uuid PRIMARY KEY NOT NULL,
	"originator_id" uuid NOT NULL,
	"originator_type" text NOT NULL,
	"type" text NOT NULL,
	"severity" text NOT NULL,
	"start_ms" bigint NOT NULL,
	"end_ms" bigint NOT NULL,
	"details" json,
	"propagate" boolean NOT NULL,
	"propagate_to_owner" boolean NOT NULL,
	"propagate_to_tenant" boolean NOT NULL,
	"propagate_relation_types" json NOT NULL,
	"created_ms" bigint NOT NULL,
	"edited_ms" bigint NOT NULL,
	"ack_ms" bigint NOT NULL,
	"clear_ms" bigint NOT NULL,
	"assignee_id" uuid,
	"assign_ms" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "alarm_comment" (
	"id" uuid PRIMARY KEY NOT NULL,
	"alarm_id" uuid NOT NULL,
	"user_id" uuid,
	"type" text NOT NULL,
	"comment" json NOT NULL,
	"created_ms" bigint NOT NULL,
	"updated_ms" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "alarm_former_id" (
	"id" uuid PRIMARY KEY NOT NULL,
	"originator_id" uuid NOT NULL,
	"alarm_id" uuid,
	"ended_ms" bigint NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX "alarm_active" ON "alarm" USING btree ("originator_id","type") WHERE "alarm"."clear_ms" = 0;--> statement-breakpoint
CREATE INDEX "alarm_by_originator" ON "alarm" USING btree ("originator_id","created_ms");--> statement-breakpoint
CREATE INDEX "alarm_by_time" ON "alarm" USING btree ("created_ms");--> statement-breakpoint
CREATE INDEX "alarm_comment_by_alarm" ON "alarm_comment" USING btree ("alarm_id","created_ms");--> statement-breakpoint
CREATE INDEX "alarm_former_id_by_alarm" ON "alarm_former_id" USING btree ("alarm_id");--> statement-breakpoint
CREATE INDEX "alarm_former_id_by_originator" ON "alarm_former_id" USING btree ("originator_id");--> statement-breakpoint
CREATE INDEX "alarm_former_id_by_time" ON "alarm_former_id" USING btree ("ended_ms");