CREATE VIEW "alarm_originator" AS (
  select id, entity_type as type, tenant_id, case entity_type when 'CUSTOMER' then id else customer_id end as customer_id, name, label
  from entity
  union all select id, 'USER', tenant_id, customer_id, email, null::text from app_user
  union all select edge_id, 'EDGE', tenant_id, null::uuid, name, null::text from site where edge_id is not null
  union all select tenant_id, 'TENANT', tenant_id, null::uuid, 'Tenant', null::text from site);