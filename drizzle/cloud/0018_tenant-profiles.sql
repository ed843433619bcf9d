CREATE TABLE "tenant_profile" (
	"id" uuid PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"description" text,
	"is_default" boolean NOT NULL,
	"profile_data" json NOT NULL,
	"version" bigint DEFAULT 1 NOT NULL,
	"created_ms" bigint NOT NULL
);
--> statement-breakpoint
-- By hand: the first profile, which tenants of before have too.
INSERT INTO "tenant_profile" ("id", "name", "is_default", "profile_data", "created_ms")
VALUES ('13814000-1dd2-11b2-8080-808080808081', 'Default', true, '{"configuration":{"type":"DEFAULT"}}', (extract(epoch FROM now()) * 1000)::bigint);--> statement-breakpoint
ALTER TABLE "tenant" ADD COLUMN "profile_id" uuid NOT NULL DEFAULT '13814000-1dd2-11b2-8080-808080808081';--> statement-breakpoint
ALTER TABLE "tenant" ALTER COLUMN "profile_id" DROP DEFAULT;--> statement-breakpoint
CREATE UNIQUE INDEX "tenant_profile_name" ON "tenant_profile" USING btree ("name");--> statement-breakpoint
CREATE UNIQUE INDEX "tenant_profile_default" ON "tenant_profile" USING btree ("is_default") WHERE "tenant_profile"."is_default";--> statement-breakpoint
-- By hand from here on: triggers keep the limits, so that nothing that is made in whatever way goes past them.
CREATE FUNCTION "check_entity_limit"("owner" uuid, "kind" text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  key text := CASE kind WHEN 'DEVICE' THEN 'maxDevices' WHEN 'ASSET' THEN 'maxAssets' WHEN 'CUSTOMER' THEN 'maxCustomers' WHEN 'USER' THEN 'maxUsers'
    WHEN 'DASHBOARD' THEN 'maxDashboards' WHEN 'RULE_CHAIN' THEN 'maxRuleChains' WHEN 'EDGE' THEN 'maxEdges' END;
  allowed bigint := (SELECT (p.profile_data #>> ARRAY['configuration', key])::bigint FROM tenant t JOIN tenant_profile p ON p.id = t.profile_id WHERE t.id = owner);
  stored bigint;
BEGIN
  IF coalesce(allowed, 0) = 0 THEN RETURN; END IF;
  -- One after the other: what others make at the same moment counts.
  PERFORM FROM tenant WHERE id = owner FOR NO KEY UPDATE;
  stored := CASE kind
    WHEN 'USER' THEN (SELECT count(*) FROM app_user WHERE tenant_id = owner)
    WHEN 'EDGE' THEN (SELECT count(*) FROM edge WHERE tenant_id = owner)
    ELSE (SELECT count(*) FROM entity WHERE tenant_id = owner AND entity_type = kind) END;
  IF stored > allowed THEN
    RAISE EXCEPTION USING ERRCODE = 'SK001', MESSAGE = initcap(replace(kind, '_', ' ')) || 's limit reached: the tenant has ' || allowed || ', which is all that its profile allows',
      DETAIL = json_build_object('entityType', kind, 'limit', allowed)::text;
  END IF;
END $$;--> statement-breakpoint
CREATE FUNCTION "check_added_entities"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM check_entity_limit(a.tenant_id, a.entity_type) FROM (SELECT DISTINCT tenant_id, entity_type FROM added) AS a;
  RETURN NULL;
END $$;--> statement-breakpoint
CREATE FUNCTION "check_added"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM check_entity_limit(a.tenant_id, TG_ARGV[0]) FROM (SELECT DISTINCT tenant_id FROM added) AS a;
  RETURN NULL;
END $$;--> statement-breakpoint
CREATE TRIGGER "entity_limit" AFTER INSERT ON "entity" REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION check_added_entities();--> statement-breakpoint
CREATE TRIGGER "entity_limit" AFTER INSERT ON "app_user" REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION check_added('USER');--> statement-breakpoint
CREATE TRIGGER "entity_limit" AFTER INSERT ON "edge" REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION check_added('EDGE');--> statement-breakpoint
CREATE TRIGGER "audit" AFTER INSERT OR UPDATE OR DELETE ON "tenant_profile" FOR EACH ROW
  WHEN (coalesce(current_setting('skerry.caller', true), '') <> '') EXECUTE FUNCTION audit_change('TENANT_PROFILE', 'id', 'name');
