-- compatible: a new table, which programs of before leave empty
CREATE TABLE "audit_log" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"created_ms" bigint NOT NULL,
	"tenant_id" uuid NOT NULL,
	"customer_id" uuid,
	"entity_type" text NOT NULL,
	"entity_id" uuid NOT NULL,
	"entity_name" text,
	"user_id" uuid NOT NULL,
	"user_name" text NOT NULL,
	"action_type" text NOT NULL,
	"action_data" json NOT NULL,
	"action_status" text DEFAULT 'SUCCESS' NOT NULL,
	"action_failure" text DEFAULT '' NOT NULL,
	"seq" bigint GENERATED ALWAYS AS IDENTITY (sequence name "audit_log_seq_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1)
);
--> statement-breakpoint
CREATE INDEX "audit_log_by_time" ON "audit_log" USING btree ("tenant_id","created_ms");--> statement-breakpoint
CREATE INDEX "audit_log_by_entity" ON "audit_log" USING btree ("entity_id","created_ms");--> statement-breakpoint
CREATE INDEX "audit_log_by_user" ON "audit_log" USING btree ("user_id","created_ms");--> statement-breakpoint
CREATE INDEX "audit_log_by_age" ON "audit_log" USING btree ("created_ms");--> statement-breakpoint
-- By hand from here on: rows of audit_log are written by triggers, as in the cloud.
CREATE FUNCTION "audit_shown"("data" jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN length(kept::text) > 65536 THEN jsonb_build_object('bytes', length(kept::text)) ELSE kept END
  FROM (SELECT data
    - '{password_hash,secret_hash,old_secret_hash,old_secret_until_ms,value_hash,code_hash,credentials_id,credentials_value,content,search_text}'::text[]
    #- '{body,profileData,provisionConfiguration,provisionDeviceSecret}' #- '{body,provisionDeviceKey}' AS kept) AS shown
$$;--> statement-breakpoint
CREATE FUNCTION "audit_row"("data" anyelement) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  RETURN to_jsonb(data);
EXCEPTION WHEN data_exception THEN
  -- Characters that jsonb can't hold: a null, or half of a surrogate pair.
  RETURN regexp_replace(row_to_json(data)::text, '(?<!\\)((?:\\\\)*)\\u(0000|d[89a-f]..)', '\1?', 'gi')::jsonb;
END $$;--> statement-breakpoint
CREATE FUNCTION "audit_change"() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  caller jsonb := nullif(current_setting('skerry.caller', true), '')::jsonb;
  old_row jsonb := CASE WHEN TG_OP <> 'INSERT' THEN audit_row(OLD) END;
  new_row jsonb := CASE WHEN TG_OP <> 'DELETE' THEN audit_row(NEW) END;
  r jsonb := coalesce(new_row, old_row);
  kind text := TG_ARGV[0];
  subject uuid := (r ->> TG_ARGV[1])::uuid;
  title text := r ->> TG_ARGV[2];
  owner uuid := (r ->> 'tenant_id')::uuid;
  customer uuid := (r ->> 'customer_id')::uuid;
  action text := CASE TG_OP WHEN 'INSERT' THEN 'ADDED' WHEN 'DELETE' THEN 'DELETED' ELSE 'UPDATED' END;
  details jsonb := jsonb_strip_nulls(jsonb_build_object('before', audit_shown(old_row), 'after', audit_shown(new_row)));
BEGIN
  IF TG_OP = 'UPDATE' AND old_row - '{version,last_login_ms}'::text[] = new_row - '{version,last_login_ms}'::text[] THEN RETURN NULL; END IF;
  IF TG_TABLE_NAME = 'entity' THEN kind := r ->> 'entity_type'; END IF;
  IF TG_TABLE_NAME IN ('attribute', 'device_credentials', 'alarm', 'relation') THEN
    SELECT o.name, o.type, o.tenant_id, o.customer_id INTO title, kind, owner, customer FROM alarm_originator o WHERE o.id = subject;
    -- It goes with its entity, whose own row says so.
    IF NOT FOUND THEN RETURN NULL; END IF;
  END IF;
  CASE TG_TABLE_NAME
    WHEN 'attribute' THEN
      action := CASE TG_OP WHEN 'DELETE' THEN 'ATTRIBUTES_DELETED' ELSE 'ATTRIBUTES_UPDATED' END;
    WHEN 'device_credentials' THEN
      IF TG_OP = 'DELETE' THEN RETURN NULL; END IF;
      action := 'CREDENTIALS_UPDATED';
    WHEN 'relation' THEN
      action := CASE WHEN TG_OP = 'DELETE' OR (r ->> 'is_removed')::boolean THEN 'RELATION_DELETED' ELSE 'RELATION_ADD_OR_UPDATE' END;
    WHEN 'alarm' THEN
      kind := 'ALARM';
      subject := (r ->> 'id')::uuid;
      title := r ->> 'type';
      IF TG_OP = 'UPDATE' THEN
        action := CASE
          WHEN old_row ->> 'ack_ms' <> new_row ->> 'ack_ms' THEN 'ALARM_ACK'
          WHEN old_row ->> 'clear_ms' <> new_row ->> 'clear_ms' THEN 'ALARM_CLEAR'
          WHEN old_row ->> 'assign_ms' <> new_row ->> 'assign_ms' THEN
            CASE WHEN new_row ->> 'assignee_id' IS NULL THEN 'ALARM_UNASSIGNED' ELSE 'ALARM_ASSIGNED' END
          ELSE action END;
      END IF;
    ELSE
      IF TG_OP = 'UPDATE' THEN
        action := CASE
          WHEN old_row ->> 'password_hash' IS DISTINCT FROM new_row ->> 'password_hash' THEN 'CREDENTIALS_UPDATED'
          WHEN TG_TABLE_NAME = 'app_user' AND old_row ->> 'enabled' <> new_row ->> 'enabled' THEN
            CASE WHEN (new_row ->> 'enabled')::boolean THEN 'ACTIVATED' ELSE 'SUSPENDED' END
          WHEN old_row ->> 'customer_id' IS DISTINCT FROM new_row ->> 'customer_id' THEN
            CASE WHEN new_row ->> 'customer_id' IS NULL THEN 'UNASSIGNED_FROM_CUSTOMER' ELSE 'ASSIGNED_TO_CUSTOMER' END
          ELSE action END;
      END IF;
  END CASE;
  INSERT INTO audit_log (created_ms, tenant_id, customer_id, entity_type, entity_id, entity_name, user_id, user_name, action_type, action_data)
  VALUES ((caller ->> 'nowMs')::bigint, coalesce(owner, (caller ->> 'tenantId')::uuid), customer, kind, subject, title, (caller ->> 'userId')::uuid,
    coalesce((SELECT email FROM app_user WHERE id = (caller ->> 'userId')::uuid), ''), action, details);
  RETURN NULL;
END $$;--> statement-breakpoint
CREATE TRIGGER "audit" AFTER INSERT OR UPDATE OR DELETE ON "entity" FOR EACH ROW
  WHEN (coalesce(current_setting('skerry.caller', true), '') <> '') EXECUTE FUNCTION audit_change('', 'id', 'name');--> statement-breakpoint
CREATE TRIGGER "audit" AFTER INSERT OR UPDATE OR DELETE ON "app_user" FOR EACH ROW
  WHEN (coalesce(current_setting('skerry.caller', true), '') <> '') EXECUTE FUNCTION audit_change('USER', 'id', 'email');--> statement-breakpoint
CREATE TRIGGER "audit" AFTER INSERT OR UPDATE OR DELETE ON "api_key" FOR EACH ROW
  WHEN (coalesce(current_setting('skerry.caller', true), '') <> '') EXECUTE FUNCTION audit_change('API_KEY', 'id', 'description');--> statement-breakpoint
CREATE TRIGGER "audit" AFTER INSERT OR UPDATE OR DELETE ON "device_credentials" FOR EACH ROW
  WHEN (coalesce(current_setting('skerry.caller', true), '') <> '') EXECUTE FUNCTION audit_change('DEVICE', 'device_id', '');--> statement-breakpoint
CREATE TRIGGER "audit" AFTER INSERT OR UPDATE OR DELETE ON "attribute" FOR EACH ROW
  WHEN (coalesce(current_setting('skerry.caller', true), '') <> '') EXECUTE FUNCTION audit_change('', 'entity_id', '');--> statement-breakpoint
CREATE TRIGGER "audit" AFTER INSERT OR UPDATE OR DELETE ON "relation" FOR EACH ROW
  WHEN (coalesce(current_setting('skerry.caller', true), '') <> '') EXECUTE FUNCTION audit_change('', 'from_id', '');--> statement-breakpoint
CREATE TRIGGER "audit" AFTER INSERT OR UPDATE OR DELETE ON "alarm" FOR EACH ROW
  WHEN (coalesce(current_setting('skerry.caller', true), '') <> '') EXECUTE FUNCTION audit_change('', 'originator_id', '');--> statement-breakpoint
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
  FROM alarm a JOIN alarm_originator e ON e.id = a.originator_id WHERE a.id = NEW.alarm_id;
  RETURN NULL;
END $$;--> statement-breakpoint
CREATE TRIGGER "audit" AFTER INSERT OR UPDATE ON "alarm_comment" FOR EACH ROW
  WHEN (coalesce(current_setting('skerry.caller', true), '') <> '') EXECUTE FUNCTION audit_comment();
