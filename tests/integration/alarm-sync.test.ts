import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { createUuid, type Uuid } from "../../shared/core/ids.ts";
import { createSeededRandom } from "../../shared/core/random.ts";
import type { AlarmInput } from "../../shared/entities/alarm-form.ts";
import { alarmBody, type Alarm } from "../../shared/entities/alarm.ts";
import type { Change, EntityRef } from "../../shared/entities/change.ts";
import { systemClock as clock } from "../../shared/runtime/system-clock.ts";
import { systemRandom as random } from "../../shared/runtime/system-random.ts";
import { deleteComment, findCommentsOf, saveComment } from "../../shared/store/alarm-comment-store.ts";
import { acknowledgeAlarm, assignAlarm, clearAlarm, deleteAlarm, saveAlarm } from "../../shared/store/alarm-edits.ts";
import { listAlarms } from "../../shared/store/alarm-lists.ts";
import { findAlarm } from "../../shared/store/alarm-store.ts";
import { applyChange } from "../../shared/store/apply-change.ts";
import type { ApplyResult } from "../../shared/store/apply-result.ts";
import { saveDevice } from "../../shared/store/device-store.ts";
import { loadEntityWithProfile } from "../../shared/store/entity-state.ts";
import { deleteEntity } from "../../shared/store/entity-store.ts";
import type { Outcome, Queryable } from "../../shared/store/unit-of-work.ts";
import { createUser } from "../../shared/store/user-store.ts";
import { startTestPostgres, type TestDatabase, type TestPostgres } from "../support/postgres.ts";

const deps = { clock, random };
const tenantId = createUuid(clock, random);
let postgres: TestPostgres;
let userId: Uuid;
const databases: TestDatabase[] = [];

/** One side of the link; what it does goes to `outbox`, in order. */
interface Side {
  readonly db: Queryable;
  readonly name: "edge" | "cloud";
  readonly outbox: Change[];
}

let cloud: Side;
let edge: Side;
let device: EntityRef;

beforeAll(async () => {
  postgres = await startTestPostgres();
  databases.push(await postgres.createDatabase("cloud"), await postgres.createDatabase("edge"));
});
afterAll(() => postgres[Symbol.asyncDispose]());
beforeEach(async () => {
  for (const { sql } of databases)
    await sql.unsafe("truncate entity, attribute, device_credentials, alarm, alarm_former_id, alarm_comment, app_user");
  const [cloudDb, edgeDb] = databases;
  if (cloudDb === undefined || edgeDb === undefined) throw new Error("No database");
  cloud = { db: cloudDb.db, name: "cloud", outbox: [] };
  edge = { db: edgeDb.db, name: "edge", outbox: [] };
  const user = { tenantId, customerId: null, email: "a@b.c", authority: "TENANT_ADMIN", passwordHash: "" } as const;
  userId = (await createUser(cloud.db, deps, user)).id;
  const { result } = await cloud.db.transaction((tx) => saveDevice(tx, deps, { tenantId, input: { name: "A" } }));
  device = { type: "DEVICE", id: result.id };
  for (const change of await loadEntityWithProfile(cloud.db, device)) await apply(edge, change);
});

const input = (more: Partial<AlarmInput> = {}): AlarmInput => ({
  originator: device,
  type: "Too hot",
  severity: "MAJOR",
  ...more,
});

async function run<T>(side: Side, work: (tx: Queryable) => Promise<Outcome<T>>): Promise<T> {
  const outcome = await side.db.transaction(work);
  side.outbox.push(...outcome.changes);
  return outcome.result;
}

const raise = (side: Side, more: Partial<AlarmInput> = {}): Promise<Alarm> =>
  run(side, (tx) => saveAlarm(tx, deps, { tenantId, actor: null, input: input(more) }));
const keyOf = (alarmId: Uuid) => ({ alarmId, tenantId, actor: null });
const acknowledge = (side: Side, id: Uuid) => run(side, (tx) => acknowledgeAlarm(tx, deps, keyOf(id)));
const clear = (side: Side, id: Uuid) => run(side, (tx) => clearAlarm(tx, deps, keyOf(id)));
const remove = (side: Side, id: Uuid) => run(side, (tx) => deleteAlarm(tx, deps, keyOf(id)));
const comment = (side: Side, alarmId: Uuid, text: string, commentId: Uuid | null = null) =>
  run(side, (tx) => saveComment(tx, deps, { alarmId, tenantId, userId, commentId, text }));

function apply(to: Side, change: Change): Promise<ApplyResult> {
  const from = to.name === "cloud" ? "edge" : "cloud";
  const context = { from, tenantId, edgeName: "Pump 4", changedMs: clock.nowMs() } as const;
  return to.db.transaction((tx) => applyChange(tx, deps, { change, context }));
}

/** Carries one change across, if any waits. */
async function carry(source: Side): Promise<ApplyResult | null> {
  const target = source === edge ? cloud : edge;
  const change = source.outbox.shift();
  if (change === undefined) return null;
  const result = await apply(target, change);
  if (result.kind === "applied") target.outbox.push(...result.followUps);
  return result;
}

async function settle(pick: () => Side = () => edge): Promise<void> {
  for (let round = 0; edge.outbox.length + cloud.outbox.length > 0; round += 1) {
    if (round > 1_000) throw new Error("The two sides never come to rest");
    const wanted = pick();
    const result = await carry(wanted.outbox.length > 0 ? wanted : wanted === edge ? cloud : edge);
    if (result?.kind === "rejected") throw new Error(`${result.code}: ${result.text}`);
  }
}

async function stateOf(
  side: Side,
): Promise<{ readonly alarms: readonly string[]; readonly comments: readonly string[] }> {
  const page = await listAlarms(side.db, { tenantId }, { pageSize: 100, page: 0 });
  const ids = page.data.map(({ alarm }) => alarm.id);
  const records = await Promise.all(ids.map((id) => findAlarm(side.db, id)));
  const comments = await findCommentsOf(side.db, ids, 1_000);
  return {
    alarms: records.map((record) => (record === null ? "" : alarmBody(record))),
    comments: comments.map((one) => JSON.stringify(one)).sort(),
  };
}

async function expectSame(): Promise<void> {
  expect(await stateOf(edge)).toEqual(await stateOf(cloud));
}

const only = async (side: Side): Promise<Alarm> => {
  const { data } = await listAlarms(side.db, { tenantId }, { pageSize: 10, page: 0 });
  expect(data).toHaveLength(1);
  return data[0]?.alarm ?? (await raise(side));
};

describe("an alarm", () => {
  test("made on the edge appears in the cloud under the same id, with what happens to it there", async () => {
    const { id } = await raise(edge, { details: { data: "1.50", list: [1, { a: null }] } });
    await settle();
    await acknowledge(cloud, id);
    await run(cloud, (tx) => assignAlarm(tx, deps, { ...keyOf(id), assigneeId: userId }));
    await comment(cloud, id, "On my way");
    await settle();
    await clear(edge, id);
    await settle();
    await expectSame();
    const alarm = await only(cloud);
    expect(alarm).toMatchObject({ id, assigneeId: userId, details: { data: "1.50", list: [1, { a: null }] } });
    expect(alarm.ackMs).toBeGreaterThan(0);
    expect(alarm.clearMs).toBeGreaterThan(0);
    expect((await stateOf(edge)).comments).toHaveLength(4);
  });

  test("made on both sides at once is one, with the lower id, whoever hears first", async () => {
    for (const first of [edge, cloud]) {
      const there = await raise(cloud, { type: first.name, severity: "MINOR" });
      const here = await raise(edge, { type: first.name, severity: "CRITICAL" });
      await comment(edge, here.id, "from the edge");
      await comment(cloud, there.id, "from the cloud");
      await acknowledge(edge, here.id);
      await settle(() => first);
      await expectSame();
      const [lower] = [here.id, there.id].sort();
      for (const side of [edge, cloud]) {
        for (const id of [here.id, there.id]) {
          expect(await findAlarm(side.db, id)).toMatchObject({ id: lower, severity: "CRITICAL" });
        }
      }
    }
    expect((await stateOf(cloud)).comments).toHaveLength(6);
  });

  test("keeps both an acknowledgement and a clear that were made apart", async () => {
    const { id } = await raise(edge);
    await settle();
    await clear(edge, id);
    await raise(cloud, { severity: "WARNING" });
    await acknowledge(cloud, id);
    await settle();
    await expectSame();
    expect(await only(edge)).toMatchObject({ severity: "WARNING" });
    expect((await only(edge)).ackMs * (await only(edge)).clearMs).toBeGreaterThan(0);
  });

  test("that was deleted stays deleted, whatever the other side did meanwhile", async () => {
    for (const deleter of [edge, cloud]) {
      const other = deleter === edge ? cloud : edge;
      const { id } = await raise(edge);
      await settle();
      await remove(deleter, id);
      await acknowledge(other, id);
      await comment(other, id, "Too late");
      await settle(() => other);
      for (const side of [edge, cloud]) expect(await stateOf(side)).toEqual({ alarms: [], comments: [] });
    }
  });

  test("that is raised again after it was cleared is another one on both sides", async () => {
    const first = await raise(edge);
    await clear(edge, first.id);
    const second = await raise(edge);
    expect(second.id).not.toBe(first.id);
    await settle();
    await expectSame();
    expect((await stateOf(cloud)).alarms).toHaveLength(2);
  });

  test("goes with its originator, comments and all", async () => {
    const { id } = await raise(edge);
    await comment(edge, id, "Hello");
    await settle();
    await run(cloud, (tx) => deleteEntity(tx, { type: "DEVICE", id: device.id, tenantId }));
    await settle();
    for (const { sql } of databases) {
      const [row] = await sql<{ rows: number }[]>`
        select (select count(*) from alarm) + (select count(*) from alarm_comment) + (select count(*) from alarm_former_id) as rows`;
      expect(row?.rows).toBe(0);
    }
  });

  test("of an originator that comes to the edge later comes along, active and lately cleared", async () => {
    const cleared = await raise(cloud);
    await clear(cloud, cleared.id);
    const active = await raise(cloud);
    await comment(cloud, active.id, "Hello");
    cloud.outbox.length = 0;
    for (const change of await loadEntityWithProfile(cloud.db, device)) await apply(edge, change);
    await expectSame();
    expect((await stateOf(edge)).alarms).toHaveLength(2);
  });
});

describe("a comment", () => {
  test("that one side edited and the other deleted is deleted on both", async () => {
    const { id } = await raise(cloud);
    const { id: commentId } = await comment(cloud, id, "one");
    await settle();
    await run(cloud, (tx) => deleteComment(tx, deps, { alarmId: id, tenantId, userId, commentId, anyones: false }));
    await comment(edge, id, "two", commentId);
    await settle();
    await expectSame();
    expect((await stateOf(edge)).comments.join()).toContain("COMMENT_DELETED");
  });
});

describe("applyChange() rejects", () => {
  const rejects = async (change: Change, code: string) =>
    expect(await apply(cloud, change)).toMatchObject({ kind: "rejected", code });

  test("alarms of nothing, of another originator's id, and those that it can't read", async () => {
    const other = await run(cloud, (tx) => saveDevice(tx, deps, { tenantId, input: { name: "B" } }));
    const foreign = await raise(cloud, { originator: { type: "DEVICE", id: other.id } });
    await raise(edge);
    const change = edge.outbox[0];
    if (change?.kind !== "alarm-saved") throw new Error("No alarm");
    const body = JSON.parse(change.body) as Record<string, unknown>;
    const withBody = (more: object): Change => ({ ...change, body: JSON.stringify({ ...body, ...more }) });
    const nothing = { type: "DEVICE", id: createUuid(clock, random) };
    await rejects(
      { ...change, originator: nothing, body: JSON.stringify({ ...body, originator: nothing }) },
      "NOT_FOUND",
    );
    await rejects(withBody({ formerIds: [foreign.id] }), "ALREADY_EXISTS");
    await rejects(withBody({ type: "" }), "INVALID_ARGUMENT");
    await rejects(withBody({ id: foreign.id }), "INVALID_ARGUMENT");
    await rejects({ ...change, body: "{" }, "INVALID_ARGUMENT");
    await rejects(
      { ...change, entity: { type: "ALARM", id: foreign.id }, body: JSON.stringify({ ...body, id: foreign.id }) },
      "ALREADY_EXISTS",
    );
    expect(await findAlarm(cloud.db, foreign.id)).toMatchObject({ id: foreign.id });
  });
});

test("both sides come to the same alarms after any edits in any order", async () => {
  for (let seed = 1; seed <= 6; seed += 1) {
    const dice = createSeededRandom(seed);
    const pick = <T>(list: readonly T[]): T | undefined => list[Math.floor(dice.float() * list.length)];
    for (let step = 0; step < 40; step += 1) {
      const side = dice.float() < 0.5 ? edge : cloud;
      const { data } = await listAlarms(side.db, { tenantId }, { pageSize: 100, page: 0 });
      const alarm = pick(data)?.alarm;
      const roll = dice.float();
      if (roll < 0.4 || alarm === undefined) {
        const severity = pick(["CRITICAL", "MINOR", "WARNING"] as const) ?? "MAJOR";
        await raise(side, { type: pick(["Too hot", "Too cold"]) ?? "Too wet", severity });
      } else if (roll < 0.5 && alarm.ackMs === 0) await acknowledge(side, alarm.id);
      else if (roll < 0.65 && alarm.clearMs === 0) await clear(side, alarm.id);
      else if (roll < 0.7) await remove(side, alarm.id);
      else if (roll < 0.8) await comment(side, alarm.id, `${seed} ${step}`);
      else await carry(dice.float() < 0.5 ? edge : cloud);
    }
    await settle(() => (dice.float() < 0.5 ? edge : cloud));
    expect({ seed, ...(await stateOf(edge)) }).toEqual({ seed, ...(await stateOf(cloud)) });
  }
});
