import { connectToDatabase } from "../support/database.ts";
import { connectToCloud } from "../support/rest-client.ts";
import { createTestBed } from "../support/test-bed.ts";
import { quantile, type Measure } from "./measure.ts";

const DEVICES = 100_000;
const DEVICES_QUICK = 5_000;
const CUSTOMERS = 50;
const PAGE_SIZE = 100;
const SORT_PROPERTIES = ["createdTime", "name", "type", "label", "customerTitle"] as const;
/** The first page, one in the middle, the last one. */
const PLACES = [0, 0.5, 1] as const;
/** Texts that about 1,000, 100 and all of the devices contain. */
const SEARCHES = ["e 99", "12.34", "device"] as const;

/**
 * A page of 100 out of 100,000 devices of a tenant over REST, with the totals: `GET /api/tenant/deviceInfos` sorted by each property, both
 * ways, at the first, the middle and the last page, and searched. The slowest of them, each asked three times of which the best counts;
 * and the median over all. Fails unless the totals are right and the pages are full.
 */
export const page100k: Measure = {
  figures: { page_100k: "ms", page_100k_p50: "ms" },
  async runOnce({ quick }) {
    await using bed = await createTestBed();
    const cloud = await bed.startCloud();
    const api = connectToCloud(cloud);
    const devices = quick ? DEVICES_QUICK : DEVICES;
    const { id: model } = await api.createDevice("Model");
    await using sql = connectToDatabase(cloud.dataDir);
    await sql`
      insert into entity (id, entity_type, tenant_id, name, version, created_ms, body)
      select gen_random_uuid(), 'CUSTOMER', tenant_id, 'Customer ' || n, 1, created_ms, '{}'
      from entity, generate_series(1, ${CUSTOMERS}::int) as n where id = ${model}`;
    await sql`
      insert into entity (id, entity_type, tenant_id, customer_id, name, label, subtype, profile_id, version, created_ms, body)
      select gen_random_uuid(), e.entity_type, e.tenant_id, c.id, 'Device ' || n, 'Rack 12.' || n % 1000, e.subtype, e.profile_id, 1,
        e.created_ms + n, e.body
      from entity e, generate_series(1, ${devices - 1}::int) as n
        left join entity c on c.name = 'Customer ' || n % ${CUSTOMERS * 2}::int
      where e.id = ${model}`;
    await sql`vacuum analyze entity`;
    const timesMs: number[] = [];
    const readPage = async (query: string, page: number): Promise<number> => {
      const path = `/api/tenant/deviceInfos?pageSize=${PAGE_SIZE}&page=${page}&${query}`;
      const takes: number[] = [];
      let totalElements = 0;
      for (let take = 0; take < 3; take += 1) {
        const startedMs = performance.now();
        const answer = await api.request<{ data: unknown[]; totalElements: number }>("GET", path);
        takes.push(performance.now() - startedMs);
        totalElements = answer.totalElements;
        const left = Math.max(0, totalElements - page * PAGE_SIZE);
        if (answer.data.length !== Math.min(PAGE_SIZE, left)) throw new Error(`${path}: ${answer.data.length} devices`);
      }
      timesMs.push(Math.min(...takes));
      return totalElements;
    };
    for (const property of SORT_PROPERTIES) {
      for (const order of ["ASC", "DESC"]) {
        for (const place of PLACES) {
          const page = Math.floor((devices / PAGE_SIZE - 1) * place);
          const total = await readPage(`sortProperty=${property}&sortOrder=${order}`, page);
          if (total !== devices) throw new Error(`Expected ${devices} devices in all, got ${total}`);
        }
      }
    }
    for (const search of SEARCHES) {
      for (const property of ["createdTime", "name"]) {
        const query = `textSearch=${encodeURIComponent(search)}&sortProperty=${property}`;
        const total = await readPage(query, 0);
        if (search === "device") await readPage(query, Math.floor((total - 1) / PAGE_SIZE));
      }
    }
    return { page_100k: Math.max(...timesMs), page_100k_p50: quantile(timesMs, 0.5) };
  },
};
