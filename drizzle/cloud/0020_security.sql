ALTER TABLE "audit_log" ADD COLUMN "action_status" text DEFAULT 'SUCCESS' NOT NULL;--> statement-breakpoint
ALTER TABLE "audit_log" ADD COLUMN "action_failure" text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "edge_sync" ADD COLUMN "secret_hash" text;--> statement-breakpoint
-- By hand from here on.
CREATE FUNCTION "audit_comment"() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  caller jsonb := nullif(current_setting('skerry.caller', true), '')::jsonb;
  action text := 'ADDED_COMMENT';
  told jsonb := jsonb_build_object('after', audit_shown(audit_row(NEW)));
BEGIN
  IF TG_OP = 'UPDATE' THEN
    action := CASE WHEN NEW.type <> OLD.type THEN 'DELETED_COMMENT' ELSE 'UPDATED_COMMENT' END;
    told := jsonb_build_object('before', audit_shown(audit_row(OLD))) || told;
  ELSIF NEW.type = 'SYSTEM' THEN
    -- What was done to the alarm says so itself.
    RETURN NULL;
  END IF;
  INSERT INTO audit_log (created_ms, tenant_id, customer_id, entity_type, entity_id, entity_name, user_id, user_name, action_type, action_data)
  SELECT (caller ->> 'nowMs')::bigint, e.tenant_id, e.customer_id, 'ALARM', a.id, a.type, (caller ->> 'userId')::uuid,
    coalesce((SELECT email FROM app_user WHERE id = (caller ->> 'userId')::uuid), ''), action, told
  FROM alarm a JOIN entity e ON e.id = a.originator_id WHERE a.id = NEW.alarm_id;
  RETURN NULL;
END $$;--> statement-breakpoint
CREATE TRIGGER "audit" AFTER INSERT OR UPDATE ON "alarm_comment" FOR EACH ROW
  WHEN (coalesce(current_setting('skerry.caller', true), '') <> '') EXECUTE FUNCTION audit_comment();
