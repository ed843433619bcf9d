import { connectToDatabase } from "../support/database.ts";
import { connectToCloud, type RestClient } from "../support/rest-client.ts";
import { createTestBed } from "../support/test-bed.ts";
import { quantile, type Measure } from "./measure.ts";

/** A device's day: a point every 8.64 s. */
const POINTS_PER_DAY = 10_000;
const DEVICES = 1_000;
const DEVICES_QUICK = 100;
const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;
/** One call may ask for 700 intervals at most: a day of minutes takes three. */
const CALLS_PER_DAY = 3;
const ASKED_DEVICES = 50;

/**
 * A day of one device as averages of a minute, over REST, among 10 million points of 1,000 devices that came side by side. The median
 * over 50 devices, each asked for the first time. Fails unless every average is right.
 */
export const aggregateDay: Measure = {
  figures: { aggregate_day: "ms" },
  async runOnce({ quick }) {
    await using bed = await createTestBed();
    const cloud = await bed.startCloud();
    const api = connectToCloud(cloud);
    const devices = quick ? DEVICES_QUICK : DEVICES;
    const startMs = Math.floor(Date.now() / DAY_MS) * DAY_MS - DAY_MS;
    const { id: model } = await api.createDevice("Model");
    await using sql = connectToDatabase(cloud.dataDir);
    const ids = await sql<{ id: string }[]>`
      insert into entity (id, entity_type, tenant_id, name, subtype, profile_id, version, created_ms, body)
      select gen_random_uuid(), entity_type, tenant_id, 'Device ' || n, subtype, profile_id, 1, created_ms, body
      from entity, generate_series(1, ${devices}::int) as n where id = ${model} returning id`;
    // In the order in which they would come: every device in turn.
    await sql`
      insert into telemetry (entity_id, ts_ms, "values")
      select device.id, ${startMs}::bigint + n * 8640, jsonb_build_object('temperature', n / 10.0)
      from generate_series(0, ${POINTS_PER_DAY - 1}::int) as n,
        (select id from entity where name like 'Device %') as device`;
    await sql`vacuum analyze telemetry`;
    await readDay(api, model, startMs, 0);
    const timesMs: number[] = [];
    for (const { id } of ids.slice(0, ASKED_DEVICES)) timesMs.push(await readDay(api, id, startMs, DAY_MS / MINUTE_MS));
    return { aggregate_day: quantile(timesMs, 0.5) };
  },
};

async function readDay(api: RestClient, id: string, startMs: number, expected: number): Promise<number> {
  const lengthMs = DAY_MS / CALLS_PER_DAY;
  const startedMs = performance.now();
  const minutes: { ts: number; value: string }[] = [];
  for (let call = 0; call < CALLS_PER_DAY; call += 1) {
    const fromMs = startMs + call * lengthMs;
    const query = `keys=temperature&startTs=${fromMs}&endTs=${fromMs + lengthMs}&interval=${MINUTE_MS}&agg=AVG`;
    const answer = await api.request<Record<string, { ts: number; value: string }[]>>(
      "GET",
      `/api/plugins/telemetry/DEVICE/${id}/values/timeseries?${query}`,
    );
    minutes.push(...(answer["temperature"] ?? []));
  }
  const tookMs = performance.now() - startedMs;
  if (minutes.length !== expected) throw new Error(`Expected ${expected} averages, got ${minutes.length}`);
  for (const { ts, value } of minutes) {
    const fromMs = ts - MINUTE_MS / 2 - startMs;
    const [first, last] = [Math.ceil(fromMs / 8640), Math.ceil((fromMs + MINUTE_MS) / 8640) - 1];
    if (Math.abs(Number(value) - (first + last) / 20) > 1e-6) throw new Error(`Wrong average ${value} at ${ts}`);
  }
  return tookMs;
}
