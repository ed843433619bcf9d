import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { assignEntity } from "../../cloud/store/assignment-store.ts";
import { loadEntityChanges } from "../../cloud/store/downlink-source.ts";
import { createCloudUnitOfWork, readDownlinks, type CloudUnitOfWork } from "../../cloud/store/downlink-store.ts";
import { saveEdge } from "../../cloud/store/edge-store.ts";
import { createTenant } from "../../cloud/store/tenant-store.ts";
import { guardUplinkChange } from "../../cloud/store/uplink-guard.ts";
import { createUuid, type Uuid } from "../../shared/core/ids.ts";
import { createSeededRandom } from "../../shared/core/random.ts";
import type { Change, EntityRef } from "../../shared/entities/change.ts";
import { mergeRelations, relationBody, type RelationKey, type RelationRecord } from "../../shared/entities/relation.ts";
import { systemClock as clock } from "../../shared/runtime/system-clock.ts";
import { systemRandom as random } from "../../shared/runtime/system-random.ts";
import { applyChange } from "../../shared/store/apply-change.ts";
import type { ApplyResult } from "../../shared/store/apply-result.ts";
import { saveDevice } from "../../shared/store/device-store.ts";
import { loadEntityWithProfile } from "../../shared/store/entity-state.ts";
import { findRelations, loadRelationsOf, removeRelation, saveRelation } from "../../shared/store/relation-store.ts";
import type { Outcome, Queryable } from "../../shared/store/unit-of-work.ts";
import { startTestPostgres, type TestDatabase, type TestPostgres } from "../support/postgres.ts";

const deps = { clock, random };
let postgres: TestPostgres;
let cloud: TestDatabase;
let edge: TestDatabase;
let unitOfWork: CloudUnitOfWork;
let tenantId: Uuid;
let names = 0;

beforeAll(async () => {
  postgres = await startTestPostgres();
  cloud = await postgres.createDatabase("cloud");
  edge = await postgres.createDatabase("edge");
  unitOfWork = createCloudUnitOfWork(cloud.db, { clock, onCommitted: () => undefined });
  ({ tenantId } = await createTenant(cloud.db, deps, { adminEmail: "a@b.c", adminPasswordHash: "" }));
});
afterAll(() => postgres[Symbol.asyncDispose]());

async function newDevice(): Promise<EntityRef> {
  names += 1;
  const { id } = await unitOfWork.run((tx) => saveDevice(tx, deps, { tenantId, input: { name: `Device ${names}` } }));
  return { type: "DEVICE", id };
}
const keyOf = (from: EntityRef, to: EntityRef) => ({ from, to, type: "Contains", typeGroup: "COMMON" as const });

function apply(to: "edge" | "cloud", change: Change): Promise<ApplyResult> {
  const from = to === "cloud" ? "edge" : "cloud";
  const context = { from, tenantId, edgeName: "Pump 4", changedMs: clock.nowMs() } as const;
  const { db } = to === "cloud" ? cloud : edge;
  return db.transaction((tx) => applyChange(tx, deps, { change, context }));
}

describe("downlinks carry", () => {
  let edgeId: Uuid;
  beforeEach(async () => {
    names += 1;
    const rest = { type: "default", label: null, routingKey: null, secret: null, expectedVersion: null };
    const save = { ...rest, id: null, tenantId, name: `Edge ${names}`, additionalInfo: null };
    edgeId = (await saveEdge(cloud.db, deps, save)).edge.id;
  });
  const assign = ({ id }: EntityRef) =>
    unitOfWork.runEvents((tx) =>
      assignEntity(tx, { edgeId, tenantId, type: "DEVICE", entityId: id }, { nowMs: clock.nowMs() }),
    );
  const relate = (from: EntityRef, to: EntityRef) =>
    unitOfWork.run((tx) => saveRelation(tx, deps, { tenantId, input: keyOf(from, to) }));
  const remove = (from: EntityRef, to: EntityRef) =>
    unitOfWork.run((tx) => removeRelation(tx, deps, { tenantId, key: keyOf(from, to) }));
  /** Names of the rows, and what the edge gets of relations. */
  const received = async (afterSeq = 0) => {
    const rows = await readDownlinks(cloud.db, edgeId, { afterSeq, limit: 100 });
    const changes = (await Promise.all(rows.map((row) => loadEntityChanges(cloud.db, row, clock.nowMs())))).flat();
    const relations = changes.flatMap((change) => (change.kind === "relation-saved" ? change : []));
    return { last: rows.at(-1)?.seq ?? afterSeq, actions: rows.map(({ action }) => action), relations };
  };

  test("a relation once both of its ends are on the edge, and then what happens to it", async () => {
    const [one, two] = [await newDevice(), await newDevice()];
    await assign(one);
    await relate(one, two);
    const before = await received();
    expect(before.relations).toEqual([]);
    await assign(two);
    const assigned = await received(before.last);
    expect(assigned.relations.map(({ from, to }) => [from, to])).toEqual([[one, two]]);
    await remove(one, two);
    const removed = await received(assigned.last);
    expect(removed.actions).toEqual(["RELATION_DELETED"]);
    expect(removed.relations.map(({ body }) => (JSON.parse(body) as RelationRecord).isRemoved)).toEqual([true]);
  });

  test("nothing of relations to what is not on the edge, and take none of those from it", async () => {
    const [one, two] = [await newDevice(), await newDevice()];
    await assign(one);
    const { last } = await received();
    const saved = await relate(two, one);
    expect(await received(last)).toMatchObject({ actions: [], relations: [] });
    const [change] = await loadRelationsOf(cloud.db, saved.from.id);
    if (change === undefined) throw new Error("No relation");
    expect(await guardUplinkChange(cloud.db, { edgeId, tenantId }, change)).toMatchObject({ code: "NOT_FOUND" });
    await assign(two);
    expect(await guardUplinkChange(cloud.db, { edgeId, tenantId }, change)).toBeNull();
  });
});

describe("applyChange()", () => {
  test("passes over a relation to what is not on the edge, and refuses what can't be in the cloud", async () => {
    const [one, two] = [await newDevice(), await newDevice()];
    for (const change of await loadEntityWithProfile(cloud.db, one)) await apply("edge", change);
    await unitOfWork.run((tx) => saveRelation(tx, deps, { tenantId, input: keyOf(one, two) }));
    const [change] = await loadRelationsOf(cloud.db, one.id);
    if (change?.kind !== "relation-saved") throw new Error("No relation");
    expect(await apply("edge", change)).toEqual({ kind: "applied", effects: [], followUps: [] });
    const record = JSON.parse(change.body) as RelationRecord;
    const unknown = { type: "DEVICE", id: createUuid(clock, random) };
    const refusals: readonly [object, object, string][] = [
      [{}, { typeGroup: "EDGE" }, "INVALID_ARGUMENT"],
      [{}, { from: two }, "INVALID_ARGUMENT"],
      [{ to: unknown }, { to: unknown }, "NOT_FOUND"],
    ];
    for (const [more, body, code] of refusals) {
      const sent = { ...change, ...more, body: JSON.stringify({ ...record, ...body }) };
      expect(await apply("cloud", sent)).toMatchObject({ kind: "rejected", code });
    }
  });

  test("brings both sides to the same relations after any edits in any order", async () => {
    const [one, two, three] = [await newDevice(), await newDevice(), await newDevice()];
    for (const end of [one, two, three]) {
      for (const change of await loadEntityWithProfile(cloud.db, end)) await apply("edge", change);
    }
    const pairs = [keyOf(one, two), keyOf(two, three), keyOf(three, one)];
    for (let seed = 1; seed <= 8; seed += 1) await editAndCompare(seed, pairs);
  });

  async function editAndCompare(seed: number, pairs: readonly RelationKey[]): Promise<void> {
    const dice = createSeededRandom(seed);
    const outboxes = { edge: [] as Change[], cloud: [] as Change[] };
    const carry = async (from: "edge" | "cloud") => {
      const change = outboxes[from].shift();
      if (change === undefined) return;
      const to = from === "edge" ? "cloud" : "edge";
      const result = await apply(to, change);
      if (result.kind === "applied") outboxes[to].push(...result.followUps);
    };
    for (let step = 0; step < 40; step += 1) {
      const side = dice.float() < 0.5 ? "edge" : "cloud";
      const { db } = side === "edge" ? edge : cloud;
      const key = pairs[Math.floor(dice.float() * pairs.length)];
      if (key === undefined) throw new Error("No pair");
      const run = async (work: (tx: Queryable) => Promise<Outcome<unknown>>) =>
        outboxes[side].push(...(await db.transaction(work)).changes);
      const roll = dice.float();
      if (roll < 0.3) await run((tx) => saveRelation(tx, deps, { tenantId, input: { ...key, additionalInfo: step } }));
      else if (roll < 0.5) await run((tx) => removeRelation(tx, deps, { tenantId, key })).catch(() => undefined);
      else await carry(side);
    }
    while (outboxes.edge.length + outboxes.cloud.length > 0) await carry(dice.float() < 0.5 ? "edge" : "cloud");
    const here = (db: Queryable) =>
      Promise.all(
        pairs.map(async ({ from, to }) =>
          (await findRelations(db, tenantId, { from, to, typeGroup: "COMMON" })).map(relationBody),
        ),
      );
    expect({ seed, state: await here(edge.db) }).toEqual({ seed, state: await here(cloud.db) });
  }
});

test("mergeRelations() lets the newest stay, and of two of one time the removal", () => {
  const record = (updatedMs: number, isRemoved: boolean): RelationRecord => {
    const end = { type: "DEVICE", id: tenantId };
    return { ...keyOf(end, end), additionalInfo: null, isRemoved, updatedMs };
  };
  expect(mergeRelations(record(2, false), record(1, true))).toEqual(record(2, false));
  expect(mergeRelations(record(1, false), record(1, true))).toEqual(record(1, true));
  expect(mergeRelations(record(1, true), record(1, false))).toEqual(record(1, true));
});
