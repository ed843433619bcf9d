import type { Sql } from "postgres";
import { connectToDatabase } from "../support/database.ts";
import { readEdgeInfo, readSync, syncEdge } from "../support/edge-sync.ts";
import { withBenchSite, type BenchSite } from "./bench-site.ts";
import type { Measure } from "./measure.ts";

const ENTITIES = 10_000;
const ENTITIES_QUICK = 1_000;
const DIFFERENCES = 10;
const AGREE_DEADLINE_MS = 60_000;

/**
 * "Sync Edge" on an edge with 10,000 devices, each with credentials and two attributes, of which 10 differ: deleted, altered, with other
 * attributes or credentials on the edge, or left there by an unassignment that it never heard of. From the request until the cloud has
 * compared, the edge has applied what was sent, and the cloud knows that. Fails unless exactly the 10 were sent and both sides are equal.
 */
export const digest: Measure = {
  figures: { digest_10k: "ms" },
  async runOnce({ quick }) {
    return await withBenchSite(0, async (site) => {
      await using cloudSql = connectToDatabase(site.cloud.dataDir);
      await using edgeSql = connectToDatabase(site.edge.dataDir);
      await assignDevices(cloudSql, site, quick ? ENTITIES_QUICK : ENTITIES);
      await syncEdge(site.cloudApi, site.edgeId, { deadlineMs: AGREE_DEADLINE_MS * 3, intervalMs: 200 });
      for (const sql of [cloudSql, edgeSql]) await sql`vacuum analyze`;
      await damage(edgeSql, cloudSql);
      const before = await countDownlinks(cloudSql);
      const tookMs = await syncAndWait(site);
      const sent = (await countDownlinks(cloudSql)) - before;
      if (sent !== DIFFERENCES) throw new Error(`${sent} entities were sent for ${DIFFERENCES} differences`);
      const [inCloud, onEdge] = await Promise.all([readAll(cloudSql), readAll(edgeSql)]);
      if (inCloud !== onEdge) throw new Error("Both sides differ after the comparison");
      return { digest_10k: tookMs };
    });
  },
};

async function assignDevices(sql: Sql, { cloudApi, edgeId }: BenchSite, count: number): Promise<void> {
  const { id: model } = await cloudApi.createDevice("Model");
  await sql`
    insert into entity (id, entity_type, tenant_id, name, subtype, profile_id, version, created_ms, body)
    select gen_random_uuid(), e.entity_type, e.tenant_id, 'Pump ' || n, e.subtype, e.profile_id, 1, e.created_ms, e.body
    from entity e, generate_series(1, ${count}::int) as n where e.id = ${model}`;
  await sql`
    insert into device_credentials (device_id, id, credentials_type, credentials_id, version, created_ms)
    select e.id, gen_random_uuid(), 'ACCESS_TOKEN', e.id::text, 1, e.created_ms from entity e where e.name like 'Pump %'`;
  await sql`
    insert into attribute (entity_id, scope, key, value, updated_ms)
    select e.id, scope, 'limit', '7.5'::jsonb, 1 from entity e, unnest(array['SHARED_SCOPE', 'SERVER_SCOPE']) as scope
    where e.name like 'Pump %'`;
  await sql`
    insert into edge_assignment (edge_id, entity_id, entity_type, assigned_ms)
    select ${edgeId}::uuid, e.id, 'DEVICE', 1 from entity e where e.name like 'Pump %'`;
}

/** Two of each kind. */
async function damage(edgeSql: Sql, cloudSql: Sql): Promise<void> {
  const pumps = (...numbers: readonly number[]) => numbers.map((number) => `Pump ${number}`);
  await edgeSql`delete from entity where name = any(${pumps(100, 200)})`;
  await edgeSql`update attribute set value = '8'::jsonb where scope = 'SHARED_SCOPE' and entity_id in
    (select id from entity where name = any(${pumps(300, 400)}))`;
  await edgeSql`update device_credentials set credentials_id = 'by hand ' || device_id where device_id in
    (select id from entity where name = any(${pumps(500, 600)}))`;
  await edgeSql`update entity set label = 'By hand' where name = any(${pumps(700, 800)})`;
  await cloudSql`delete from edge_assignment where entity_id in
    (select id from entity where name = any(${pumps(900, 950)}))`;
}

async function syncAndWait({ cloudApi, edgeId }: BenchSite): Promise<number> {
  const startedMs = performance.now();
  await cloudApi.request("POST", `/api/edge/sync/${edgeId}`);
  for (;;) {
    const { inProgress } = await readSync(cloudApi, edgeId);
    const { status } = await readEdgeInfo(cloudApi, edgeId);
    const tookMs = performance.now() - startedMs;
    if (!inProgress && status.downlinksWaiting === 0) return tookMs;
    if (tookMs > AGREE_DEADLINE_MS) throw new Error("The comparison did not end");
    await Bun.sleep(2);
  }
}

async function countDownlinks(sql: Sql): Promise<number> {
  const [row] = await sql<{ count: string }[]>`select count(*) from edge_event`;
  return Number(row?.count ?? Number.NaN);
}

/** Everything that has to be equal, asked in another way than the product does. */
async function readAll(sql: Sql): Promise<string> {
  const [{ isCloud } = { isCloud: false }] = await sql<
    { isCloud: boolean }[]
  >`select to_regclass('edge_assignment') is not null as "isCloud"`;
  const scope = isCloud ? sql`join edge_assignment g on g.entity_id = e.id` : sql``;
  const rows = await sql`
    select e.id, e.name, e.label, e.version, c.credentials_id, a.scope, a.key, a.value::text, a.updated_ms
    from entity e ${scope} join device_credentials c on c.device_id = e.id left join attribute a on a.entity_id = e.id
    where e.name like 'Pump %' order by e.id, a.scope, a.key`;
  return JSON.stringify(rows);
}
