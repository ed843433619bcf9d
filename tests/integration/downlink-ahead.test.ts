import { afterAll, beforeAll, expect, test } from "bun:test";
import { drizzle } from "drizzle-orm/postgres-js";
import { assignEntity } from "../../cloud/store/assignment-store.ts";
import { loadPlainEntities } from "../../cloud/store/downlink-ahead.ts";
import { loadEntityChanges } from "../../cloud/store/downlink-source.ts";
import { createCloudUnitOfWork, readDownlinks, type CloudUnitOfWork } from "../../cloud/store/downlink-store.ts";
import { saveEdge } from "../../cloud/store/edge-store.ts";
import { createTenant } from "../../cloud/store/tenant-store.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { EntityRecord } from "../../shared/entities/entity-record.ts";
import type { CanonicalJson } from "../../shared/entities/telemetry.ts";
import { systemClock as clock } from "../../shared/runtime/system-clock.ts";
import { systemRandom as random } from "../../shared/runtime/system-random.ts";
import { saveAlarm } from "../../shared/store/alarm-edits.ts";
import { saveAttributes } from "../../shared/store/attribute-store.ts";
import { saveDevice } from "../../shared/store/device-store.ts";
import { deleteEntity } from "../../shared/store/entity-store.ts";
import { saveRelation } from "../../shared/store/relation-store.ts";
import { startTestPostgres, type TestDatabase, type TestPostgres } from "../support/postgres.ts";

const deps = { clock, random };
let postgres: TestPostgres;
let cloud: TestDatabase;
let unitOfWork: CloudUnitOfWork;
let tenantId: Uuid;
let edgeId: Uuid;

beforeAll(async () => {
  postgres = await startTestPostgres();
  cloud = await postgres.createDatabase("cloud");
  unitOfWork = createCloudUnitOfWork(cloud.db, { clock, onCommitted: () => undefined });
  ({ tenantId } = await createTenant(cloud.db, deps, { adminEmail: "a@b.c", adminPasswordHash: "" }));
  const rest = { type: "default", label: null, routingKey: null, secret: null, expectedVersion: null };
  const save = { ...rest, id: null, tenantId, name: "Edge", additionalInfo: null };
  edgeId = (await saveEdge(cloud.db, deps, save)).edge.id;
});
afterAll(() => postgres[Symbol.asyncDispose]());

async function newDevice(name: string, additionalInfo: Record<string, string> = {}): Promise<EntityRecord> {
  const input = { name, additionalInfo };
  const device = await unitOfWork.run((tx) => saveDevice(tx, deps, { tenantId, input }));
  const entity = { type: "DEVICE", id: device.id };
  const readings = ["limit", "a", "z"].map((key) => ({ key, value: "5" as CanonicalJson }));
  for (const scope of ["SHARED_SCOPE", "SERVER_SCOPE"] as const)
    await unitOfWork.run((tx) => saveAttributes(tx, { entity, scope, readings, nowMs: clock.nowMs() }));
  const assignment = { edgeId, tenantId, type: "DEVICE" as const, entityId: device.id };
  await unitOfWork.runEvents((tx) => assignEntity(tx, assignment, { nowMs: clock.nowMs() }));
  return device;
}

test("loadPlainEntities() gives what each row says by itself, in a few statements, and leaves out what is not plain", async () => {
  for (let index = 0; index < 20; index += 1) await newDevice(`Plain ${index}`);
  const [alarmed, related, large] = [
    await newDevice("With an alarm"),
    await newDevice("Related"),
    await newDevice("Large", { noise: random.bytes(100_000).toBase64() }),
  ];
  const gone = await newDevice("Gone");
  await unitOfWork.run((tx) => {
    const originator = { type: "DEVICE", id: alarmed.id };
    return saveAlarm(tx, deps, { tenantId, actor: null, input: { originator, type: "Hot", severity: "MAJOR" } });
  });
  const ends = { from: { type: "DEVICE", id: related.id }, to: { type: "TENANT", id: tenantId } };
  await unitOfWork.run((tx) =>
    saveRelation(tx, deps, { tenantId, input: { ...ends, type: "Owns", typeGroup: "COMMON" } }),
  );
  const rows = await readDownlinks(cloud.db, edgeId, { afterSeq: 0, limit: 1_000 });
  await unitOfWork.run((tx) => deleteEntity(tx, { type: "DEVICE", id: gone.id }));
  let statements = 0;
  const counting = drizzle(cloud.sql, { logger: { logQuery: () => (statements += 1) } });
  const plain = await loadPlainEntities(counting, edgeId, rows);
  expect(statements).toBeLessThan(6);
  const left = new Set([alarmed.id, related.id, large.id, gone.id]);
  const wanted = rows
    .filter(({ action, entityId }) => /ADDED|ASSIGNED/.test(action) && !left.has(entityId))
    .filter(({ type }) => type.startsWith("DEVICE"));
  expect(wanted.filter(({ type }) => type === "DEVICE")).toHaveLength(20);
  // One more: the profile, which goes before them.
  expect(plain.size).toBe(21);
  for (const row of wanted) {
    const alone = await loadEntityChanges(cloud.db, row, clock.nowMs());
    expect(plain.get(row.seq)?.map((change) => JSON.stringify(change))).toEqual(
      alone.map((change) => JSON.stringify(change)),
    );
  }
});
