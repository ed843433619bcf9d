import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { loadEntityChanges } from "../../cloud/store/downlink-source.ts";
import { readDownlinks } from "../../cloud/store/downlink-store.ts";
import { guardUplinkChange } from "../../cloud/store/uplink-guard.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { readBackfillRecord } from "../../shared/entities/backfill.ts";
import { systemRandom as random } from "../../shared/runtime/system-random.ts";
import { applyChange } from "../../shared/store/apply-change.ts";
import { backfillSaved, findBackfill } from "../../shared/store/backfill-store.ts";
import { startTestCloud, type TestCloud } from "../support/test-cloud.ts";

let cloud: TestCloud;
let edgeId: Uuid;
let deviceId: Uuid;
beforeAll(async () => {
  cloud = await startTestCloud();
  edgeId = (await cloud.call<Made>("POST", "/api/edge", { name: "Site", type: "default" })).id.id;
  deviceId = (await cloud.call<Made>("POST", "/api/device", { name: "Meter" })).id.id;
  await cloud.call("POST", `/api/edge/${edgeId}/device/${deviceId}`);
});
afterAll(() => cloud[Symbol.asyncDispose]());

interface Made {
  readonly id: { readonly id: Uuid };
}
interface Backfill extends Made {
  readonly state: string;
  readonly reason: string | null;
  readonly records: number;
}

const path = (rest = ""): string => `/api/edge/${edgeId}/backfill${rest}`;
const body = (more: object = {}): object => ({
  entityId: { entityType: "DEVICE", id: deviceId },
  startTs: 0,
  endTs: 100,
  ...more,
});
const ask = (): Promise<Backfill> => cloud.call("POST", path(), body());
const read = ({ id: { id } }: Made): Promise<Backfill> => cloud.call("GET", path(`/${id}`));

/** What the edge says of a request. */
async function report({ id: { id } }: Made, from: Uuid, more: object): Promise<void> {
  const { db } = cloud.database;
  const stored = await findBackfill(db, id);
  if (stored === null) throw new Error("No request");
  const change = backfillSaved({ ...stored.record, ...more });
  const { tenantId } = cloud.first;
  if ((await guardUplinkChange(db, { edgeId: from, tenantId }, change)) !== null) return;
  const context = { from: "edge", tenantId, edgeName: "Site", changedMs: 0 } as const;
  await db.transaction((tx) => applyChange(tx, { clock: cloud.clock, random }, { change, context }));
}

describe("/api/edge/{edgeId}/backfill", () => {
  test("asks the edge by a downlink, and shows how far it came", async () => {
    const asked = await ask();
    expect(asked).toMatchObject({ state: "QUEUED", reason: null, records: 0, keys: null, startTs: 0, endTs: 100 });
    expect(cloud.woken.at(-1)).toBe(edgeId);
    const event = (await readDownlinks(cloud.database.db, edgeId, { afterSeq: 0, limit: 1_000 })).at(-1);
    expect(event).toMatchObject({ action: "BACKFILL", entityId: deviceId, body: { backfillId: asked.id.id } });
    if (event === undefined) return;
    const [change] = await loadEntityChanges(cloud.database.db, event, 0);
    expect(change?.kind === "backfill-saved" && readBackfillRecord(change.body)).toMatchObject({ id: asked.id.id });
    await report(asked, edgeId, { state: "RUNNING", nextMs: 50, records: 7 });
    expect(await read(asked)).toMatchObject({ state: "RUNNING", sentUpToTs: 50, records: 7 });
    await report(asked, edgeId, { state: "DONE", nextMs: 100, records: 9 });
    await report(asked, edgeId, { state: "RUNNING", nextMs: 50, records: 7 });
    expect(await read(asked)).toMatchObject({ state: "DONE", sentUpToTs: 100, records: 9 });
    const { data } = await cloud.call<{ data: readonly Made[] }>("GET", path("?pageSize=1&page=0"));
    expect(data).toMatchObject([{ id: asked.id }]);
  });

  test("takes nothing of another edge's word", async () => {
    const asked = await ask();
    const other = (await cloud.call<Made>("POST", "/api/edge", { name: "Other", type: "default" })).id.id;
    await report(asked, other, { state: "DONE" });
    expect(await read(asked)).toMatchObject({ state: "QUEUED" });
  });

  test("is cancelled, and what has ended stays as it is", async () => {
    const asked = await ask();
    expect(await cloud.call("POST", path(`/${asked.id.id}/cancel`))).toMatchObject({ state: "CANCELLED" });
    await report(asked, edgeId, { state: "DONE" });
    expect(await cloud.call("POST", path(`/${asked.id.id}/cancel`))).toMatchObject({ state: "DONE" });
  });

  test("has failed when the edge refused it, as one of an older version does", async () => {
    const asked = await ask();
    const event = (await readDownlinks(cloud.database.db, edgeId, { afterSeq: 0, limit: 1_000 })).at(-1);
    await cloud.database.sql`insert into edge_event_rejection (edge_id, seq, code, reason, rejected_ms)
      values (${edgeId}, ${event?.seq ?? 0}, 'UNSUPPORTED_ITEM', 'A change of an unknown kind', 0)`;
    expect(await read(asked)).toMatchObject({
      state: "FAILED",
      reason: "UNSUPPORTED_ITEM: A change of an unknown kind",
    });
  });

  test.each([
    [{ endTs: 0 }, 400, "endTs"],
    [{ keys: [] }, 400, "keys"],
    [{ startTs: "x" }, 400, "startTs"],
    [{ entityId: { entityType: "DEVICE", id: "784f394c-42b6-435a-983c-b7beff2784f9" } }, 404, undefined],
  ])("refuses %j", async (more, status, field) => {
    const answer = await cloud.request("POST", path(), { body: body(more) });
    expect([answer.status, answer.json?.["field"]]).toEqual([status, field]);
  });
});
