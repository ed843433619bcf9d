CREATE TABLE "mqtt_message" (
	"device_id" uuid NOT NULL,
	"seq" bigint NOT NULL,
	"topic" text NOT NULL,
	"payload" text NOT NULL,
	CONSTRAINT "mqtt_message_device_id_seq_pk" PRIMARY KEY("device_id","seq")
);
--> statement-breakpoint
CREATE TABLE "mqtt_session" (
	"device_id" uuid PRIMARY KEY NOT NULL,
	"device_name" text NOT NULL,
	"is_gateway" boolean NOT NULL,
	"client_id" text NOT NULL,
	"expiry_s" bigint NOT NULL,
	"filters" json NOT NULL,
	"unreleased" json NOT NULL,
	"sent_seq" bigint NOT NULL,
	"will_topic" text,
	"will_payload" "bytea",
	"will_delay_s" bigint
);
--> statement-breakpoint
ALTER TABLE "mqtt_message" ADD CONSTRAINT "mqtt_message_device_id_mqtt_session_device_id_fk" FOREIGN KEY ("device_id") REFERENCES "public"."mqtt_session"("device_id") ON DELETE cascade ON UPDATE no action;