-- compatible: a column with a default
ALTER TABLE "notification_rule" ADD COLUMN "from_edges" boolean DEFAULT false NOT NULL;--> statement-breakpoint
-- By hand from here on: what an edge tells by itself, the cloud does not.
CREATE OR REPLACE FUNCTION "queue_notifications"() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  happened text[] := '{}';
  edited bigint := 0;
  owner uuid;
  told text[] := string_to_array(coalesce(current_setting('skerry.told_by_edge', true), ''), ',');
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
  IF cardinality(happened) = 0 OR NOT EXISTS (SELECT FROM notification_rule WHERE enabled) THEN RETURN NULL; END IF;
  SELECT o.tenant_id, e.profile_id INTO owner, profile
    FROM alarm_originator o LEFT JOIN entity e ON e.id = o.id WHERE o.id = NEW.originator_id;
  INSERT INTO notification (id, rule_id, tenant_id, alarm_id, transition, occasion, alarm, state, due_ms, created_ms, error)
  SELECT md5(concat_ws('/', NEW.id, r.id, t.name, t.occasion))::uuid, r.id, r.tenant_id, NEW.id, t.name, t.occasion, row_to_json(NEW),
    CASE WHEN r.id::text = ANY (told) THEN 'LEFT_TO_EDGE' WHEN w.is_full THEN 'FAILED' ELSE 'QUEUED' END, 0, floor(extract(epoch FROM clock_timestamp()) * 1000),
    CASE WHEN w.is_full AND r.id::text <> ALL (told) THEN 'Too many notifications of this rule wait' END
  FROM notification_rule r
  CROSS JOIN LATERAL (SELECT n.name, CASE n.name WHEN 'SEVERITY_CHANGED' THEN edited ELSE 0 END AS occasion FROM unnest(happened) AS n (name)) AS t
  CROSS JOIN LATERAL (
    SELECT count(*) >= 1000 AS is_full FROM (SELECT FROM notification q WHERE q.rule_id = r.id AND q.state = 'QUEUED' LIMIT 1000) AS waiting
  ) AS w
  WHERE r.tenant_id = owner AND r.enabled AND r.transitions ? t.name
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
END $$;
