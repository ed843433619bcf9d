-- compatible: a function is replaced, nothing else
-- By hand: tenants, users and edges have attributes, alarms and relations too; audit_change of 0016 knew those of entities only.
CREATE OR REPLACE FUNCTION "audit_change"() RETURNS trigger LANGUAGE plpgsql AS $$
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
  IF TG_TABLE_NAME = 'tenant' THEN owner := subject; END IF;
  IF TG_TABLE_NAME IN ('attribute', 'device_credentials', 'edge_assignment', 'alarm', 'relation') THEN
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
    WHEN 'claim_code' THEN
      IF TG_OP <> 'INSERT' THEN RETURN NULL; END IF;
      SELECT e.name, e.tenant_id, e.customer_id INTO title, owner, customer FROM edge e WHERE e.id = subject;
      action := 'CREDENTIALS_UPDATED';
    WHEN 'edge_assignment' THEN
      -- What only follows was not given by anybody; what is given up may go on to follow.
      IF (CASE TG_OP WHEN 'UPDATE' THEN old_row ->> 'follows' = new_row ->> 'follows' ELSE (r ->> 'follows')::boolean END) THEN RETURN NULL; END IF;
      IF NOT EXISTS (SELECT FROM edge WHERE id = (r ->> 'edge_id')::uuid) THEN RETURN NULL; END IF;
      action := CASE WHEN TG_OP = 'DELETE' OR (r ->> 'follows')::boolean THEN 'UNASSIGNED_FROM_EDGE' ELSE 'ASSIGNED_TO_EDGE' END;
      details := jsonb_build_object('edgeId', r ->> 'edge_id', 'edgeName', (SELECT name FROM edge WHERE id = (r ->> 'edge_id')::uuid));
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
          WHEN old_row ->> 'password_hash' IS DISTINCT FROM new_row ->> 'password_hash'
            OR old_row ->> 'secret_hash' IS DISTINCT FROM new_row ->> 'secret_hash' THEN 'CREDENTIALS_UPDATED'
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
END $$;
