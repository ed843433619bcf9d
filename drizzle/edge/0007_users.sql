CREATE TABLE "api_key" (
	"id" uuid PRIMARY KEY NOT NULL,
	"user_id" uuid NOT NULL,
	"description" text NOT NULL,
	"value_hash" text NOT NULL,
	"enabled" boolean NOT NULL,
	"expires_ms" bigint NOT NULL,
	"created_ms" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "user_settings" (
	"user_id" uuid PRIMARY KEY NOT NULL,
	"settings" json NOT NULL
);
--> statement-breakpoint
ALTER TABLE "app_user" ADD COLUMN "phone" text;--> statement-breakpoint
ALTER TABLE "app_user" ADD COLUMN "last_login_ms" bigint;--> statement-breakpoint
CREATE UNIQUE INDEX "api_key_value" ON "api_key" USING btree ("value_hash");--> statement-breakpoint
CREATE INDEX "api_key_by_user" ON "api_key" USING btree ("user_id");--> statement-breakpoint
CREATE INDEX "app_user_by_tenant" ON "app_user" USING btree ("tenant_id","authority");--> statement-breakpoint
CREATE INDEX "app_user_by_customer" ON "app_user" USING btree ("customer_id");