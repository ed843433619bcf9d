CREATE VIEW "alarm_originator" AS (
  select id, entity_type as type, tenant_id, case entity_type when 'CUSTOMER' then id else customer_id end as customer_id, name, label
  from entity
  union all select id, 'USER', tenant_id, customer_id, email, null::text from app_user
  union all select id, 'EDGE', tenant_id, customer_id, name, label from edge
  union all select id, 'TENANT', id, null::uuid, title, null::text from tenant);