-- compatible: two tables and a trigger more
CREATE TABLE "notification" (
	"id" uuid PRIMARY KEY NOT NULL,
	"rule_id" uuid NOT NULL,
	"tenant_id" uuid NOT NULL,
	"alarm_id" uuid NOT NULL,
	"transition" text NOT NULL,
	"occasion" bigint NOT NULL,
	"alarm" json NOT NULL,
	"state" text NOT NULL,
	"attempts" integer DEFAULT 0 NOT NULL,
	"due_ms" bigint NOT NULL,
	"created_ms" bigint NOT NULL,
	"sent_ms" bigint,
	"error" text
);
--> statement-breakpoint
CREATE TABLE "notification_rule" (
	"id" uuid PRIMARY KEY NOT NULL,
	"tenant_id" uuid NOT NULL,
	"name" text NOT NULL,
	"enabled" boolean NOT NULL,
	"transitions" jsonb NOT NULL,
	"severities" jsonb,
	"alarm_types" jsonb,
	"device_profile_ids" jsonb,
	"entity_ids" jsonb,
	"target" json NOT NULL,
	"webhook_secret" text,
	"from_edges" boolean DEFAULT false NOT NULL,
	"created_ms" bigint NOT NULL
);
--> statement-breakpoint
CREATE INDEX "notification_due" ON "notification" USING btree ("due_ms") WHERE "notification"."state" = 'QUEUED';--> statement-breakpoint
CREATE INDEX "notification_waiting" ON "notification" USING btree ("rule_id") WHERE "notification"."state" = 'QUEUED';--> statement-breakpoint
CREATE INDEX "notification_by_tenant" ON "notification" USING btree ("tenant_id","created_ms");--> statement-breakpoint
CREATE INDEX "notification_by_alarm" ON "notification" USING btree ("alarm_id","rule_id");--> statement-breakpoint
CREATE INDEX "notification_by_age" ON "notification" USING btree ("created_ms");--> statement-breakpoint
CREATE INDEX "notification_rule_by_tenant" ON "notification_rule" USING btree ("tenant_id","created_ms");--> statement-breakpoint
-- By hand from here on: as in the cloud, of the rules by which this edge tells of what is committed now.
CREATE FUNCTION "queue_notifications"() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  happened text[] := '{}';
  edited bigint := 0;
  owner uuid;
  telling text[] := string_to_array(current_setting('skerry.telling', true), ',');
  profile uuid;
BEGIN
  IF TG_OP = 'INSERT' THEN
    happened := ARRAY['CREATED'];
  ELSIF OLD.severity <> NEW.severity THEN
    happened := ARRAY['SEVERITY_CHANGED'];
    edited := NEW.edited_ms;
  END IF;
  IF NEW.ack_ms <> 0 AND (TG_OP = 'INSERT' OR OLD.ack_ms = 0) THEN happened := array_append(happened, 'ACKNOWLEDGED'); END IF;
  IF NEW.clear_ms <> 0 AND (TG_OP = 'INSERT' OR OLD.clear_ms = 0) THEN happened := array_append(happened, 'CLEARED'); END IF;
  IF cardinality(happened) = 0 THEN RETURN NULL; END IF;
  SELECT o.tenant_id, e.profile_id INTO owner, profile
    FROM alarm_originator o LEFT JOIN entity e ON e.id = o.id WHERE o.id = NEW.originator_id;
  INSERT INTO notification (id, rule_id, tenant_id, alarm_id, transition, occasion, alarm, state, due_ms, created_ms, error)
  SELECT md5(concat_ws('/', NEW.id, r.id, t.name, t.occasion))::uuid, r.id, r.tenant_id, NEW.id, t.name, t.occasion, row_to_json(NEW),
    CASE WHEN w.is_full THEN 'FAILED' ELSE 'QUEUED' END, 0, floor(extract(epoch FROM clock_timestamp()) * 1000),
    CASE WHEN w.is_full THEN 'Too many notifications of this rule wait' END
  FROM notification_rule r
  CROSS JOIN LATERAL (SELECT n.name, CASE n.name WHEN 'SEVERITY_CHANGED' THEN edited ELSE 0 END AS occasion FROM unnest(happened) AS n (name)) AS t
  CROSS JOIN LATERAL (
    SELECT count(*) >= 1000 AS is_full FROM (SELECT FROM notification q WHERE q.rule_id = r.id AND q.state = 'QUEUED' LIMIT 1000) AS waiting
  ) AS w
  WHERE r.tenant_id = owner AND r.enabled AND r.id::text = ANY (telling) AND r.transitions ? t.name
    AND (r.severities IS NULL OR r.severities ? NEW.severity)
    AND (r.alarm_types IS NULL OR r.alarm_types ? NEW.type)
    AND (r.device_profile_ids IS NULL OR r.device_profile_ids ? profile::text)
    AND (r.entity_ids IS NULL OR r.entity_ids ? NEW.originator_id::text)
    -- Of alarms that became one, each told once.
    AND NOT EXISTS (
      SELECT FROM alarm_former_id f JOIN notification n ON n.alarm_id = f.id
      WHERE f.alarm_id = NEW.id AND n.rule_id = r.id AND n.transition = t.name AND n.occasion = t.occasion)
  ON CONFLICT (id) DO NOTHING;
  RETURN NULL;
END $$;--> statement-breakpoint
CREATE TRIGGER "queue_notifications" AFTER INSERT OR UPDATE ON "alarm" FOR EACH ROW
  WHEN (coalesce(current_setting('skerry.telling', true), '') <> '') EXECUTE FUNCTION queue_notifications();
