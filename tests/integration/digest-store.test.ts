import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { assignEntity, unassignEntity } from "../../cloud/store/assignment-store.ts";
import { loadEntityChanges } from "../../cloud/store/downlink-source.ts";
import { createCloudUnitOfWork, readDownlinks } from "../../cloud/store/downlink-store.ts";
import { keepEdge, saveEdge } from "../../cloud/store/edge-store.ts";
import {
  completeRound,
  readCloudDigest,
  readSyncRequests,
  repairDifferences,
} from "../../cloud/store/reconcile-store.ts";
import { createTenant } from "../../cloud/store/tenant-store.ts";
import { guardUplinkChange } from "../../cloud/store/uplink-guard.ts";
import { userEvents } from "../../cloud/store/user-downlinks.ts";
import { answerDigest } from "../../edge/store/digest-answer.ts";
import { applyDownlinks } from "../../edge/store/downlink-apply.ts";
import { ensurePartitions } from "../../edge/store/outbox-partitions.ts";
import { openSite, renewStore, saveSite } from "../../edge/store/site-store.ts";
import { createUuid, type Uuid } from "../../shared/core/ids.ts";
import type { Change, EntityRef } from "../../shared/entities/change.ts";
import type { EntityRecord } from "../../shared/entities/entity-record.ts";
import { KIND_TYPES } from "../../shared/entities/entity-types.ts";
import { newRpc } from "../../shared/entities/rpc-form.ts";
import { rpcStatus, withStep, type RpcRecord } from "../../shared/entities/rpc.ts";
import type { CanonicalJson } from "../../shared/entities/telemetry.ts";
import { systemClock as clock } from "../../shared/runtime/system-clock.ts";
import { systemRandom as random } from "../../shared/runtime/system-random.ts";
import { acknowledgeAlarm, saveAlarm } from "../../shared/store/alarm-edits.ts";
import { alarmSaved, findAlarm } from "../../shared/store/alarm-store.ts";
import { applyChange } from "../../shared/store/apply-change.ts";
import { saveAttributes } from "../../shared/store/attribute-store.ts";
import { saveDevice } from "../../shared/store/device-store.ts";
import { deleteEntity } from "../../shared/store/entity-store.ts";
import { ensureInstance } from "../../shared/store/instance-store.ts";
import { saveRelation } from "../../shared/store/relation-store.ts";
import { createRpc, findRpc, putRpc } from "../../shared/store/rpc-store.ts";
import type { UnitOfWork } from "../../shared/store/unit-of-work.ts";
import { createUser, findUser } from "../../shared/store/user-store.ts";
import type { RoundCounts } from "../../shared/sync/digest-round.ts";
import { encodeItems } from "../../shared/wire/changes-codec.ts";
import { compress } from "../../shared/wire/compression.ts";
import { createTestBlobs, startTestPostgres, type TestDatabase, type TestPostgres } from "../support/postgres.ts";

// Both databases of one site: what the cloud writes for its edge is applied there, without a link between them.

const deps = { clock, random, edgeVersion: "test" };
let postgres: TestPostgres;
let cloud: TestDatabase;
let edge: TestDatabase;
let unitOfWork: ReturnType<typeof createCloudUnitOfWork>;
let tenantId: Uuid;
let edgeId: Uuid;
let applied = 0;
let names = 0;
/** What the edge has to tell the cloud. */
let answers: Change[] = [];

beforeAll(async () => {
  postgres = await startTestPostgres();
  cloud = await postgres.createDatabase("cloud");
  edge = await postgres.createDatabase("edge");
  unitOfWork = createCloudUnitOfWork(cloud.db, { clock, onCommitted: () => undefined });
  ({ tenantId } = await createTenant(cloud.db, deps, { adminEmail: "a@b.c", adminPasswordHash: "" }));
  // Users are compared in user-sync.test.ts.
  await cloud.sql`delete from app_user`;
  edgeId = (await saveEdge(cloud.db, deps, edgeDraft())).edge.id;
  await openSite(edge.db);
  await ensurePartitions(edge.sql, "config", 1, 1);
  const site = { edgeId, tenantId, name: "Edge", type: "default", cloudId: createUuid(clock, random) };
  await saveSite(edge.db, { ...site, downlinkApplied: 0 });
});
afterAll(() => postgres[Symbol.asyncDispose]());

const edgeDraft = () => {
  const rest = { type: "default", label: null, routingKey: null, secret: null, expectedVersion: null };
  return { ...rest, id: null, tenantId, name: "Edge", additionalInfo: null };
};

/** Commits, and keeps what is meant for the cloud instead of sending it. */
const edgeWork: UnitOfWork = {
  run: (work) =>
    edge.db.transaction(async (tx) => {
      const { result, changes } = await work(tx);
      answers.push(...changes);
      return result;
    }),
};

/** Brings all downlinks to the edge. @returns how many there were */
async function deliver(): Promise<number> {
  const rows = await readDownlinks(cloud.db, edgeId, { afterSeq: applied, limit: 1_000 });
  const items = await Promise.all(
    rows.map(async (row) => {
      const changes = await loadEntityChanges(cloud.db, row, clock.nowMs());
      return { changedMs: row.createdMs, changes, isRepair: row.body?.["repair"] === true };
    }),
  );
  if (items.length === 0) return 0;
  const batch = { type: "batch", lane: "downlink", firstSeq: applied + 1, count: items.length } as const;
  await applyDownlinks(edgeWork, { ...deps, blobs: createTestBlobs(edge) }, [
    { ...batch, ...compress(encodeItems(items)) },
  ]);
  applied += items.length;
  return items.length;
}

async function newDevice(): Promise<EntityRecord> {
  names += 1;
  const device = await unitOfWork.run((tx) => saveDevice(tx, deps, { tenantId, input: { name: `Device ${names}` } }));
  const assignment = { edgeId, tenantId, type: "DEVICE" as const, entityId: device.id };
  await unitOfWork.runEvents((tx) => assignEntity(tx, assignment, { nowMs: clock.nowMs() }));
  for (const [scope, value] of [
    ["SHARED_SCOPE", "21.0"],
    ["SERVER_SCOPE", '{"b":[1,2.50],"a":"\\u00e9"}'],
    ["CLIENT_SCOPE", "9007199254740993"],
  ] as const) {
    const readings = [{ key: "key", value: value as CanonicalJson }];
    const saved = { entity: { type: "DEVICE", id: device.id }, scope, readings, nowMs: clock.nowMs() };
    await unitOfWork.run((tx) => saveAttributes(tx, saved));
  }
  await deliver();
  return device;
}

interface Found extends RoundCounts {
  /** `ACTION id` of each downlink that was written. */
  readonly events: readonly string[];
}

/** One round without a link: what the cloud finds and writes. */
async function compare(isNew: () => boolean = () => true): Promise<Found> {
  const { types } = await readCloudDigest(cloud.db, edgeId);
  const diff = await answerDigest(edge.db, { type: "digest", round: 1, types });
  if (diff.type !== "digest-diff") throw new Error("Expected a difference");
  let counts: RoundCounts = { missing: 0, stale: 0, surplus: 0, unknown: 0, lasting: 0 };
  for (const buckets of diff.types) {
    const entries = await answerDigest(edge.db, { type: "entries-wanted", round: 1, buckets });
    if (entries.type !== "entries") throw new Error("Expected entries");
    const { found } = await repairDifferences(cloud.db, { edgeId, entries }, { nowMs: clock.nowMs(), isNew });
    counts = {
      missing: counts.missing + found.missing,
      stale: counts.stale + found.stale,
      surplus: counts.surplus + found.surplus,
      unknown: counts.unknown + found.unknown,
      lasting: counts.lasting + found.lasting,
    };
  }
  const rows = await readDownlinks(cloud.db, edgeId, { afterSeq: applied, limit: 1_000 });
  return { ...counts, events: rows.map(({ action, entityId }) => `${action} ${entityId}`) };
}

const AGREED: Found = { missing: 0, stale: 0, surplus: 0, unknown: 0, lasting: 0, events: [] };

async function expectRepaired(): Promise<void> {
  await deliver();
  expect(await compare()).toEqual(AGREED);
}

/** Carries repairs down, and their answers up. */
async function exchange(): Promise<readonly string[]> {
  answers = [];
  await deliver();
  const said = answers.map(({ kind, entity }) => `${kind} ${entity.id}`);
  const context = { from: "edge", tenantId, edgeName: "Edge", changedMs: clock.nowMs() } as const;
  for (const change of answers)
    await unitOfWork.run(async (tx) => {
      const result = await applyChange(tx, deps, { change, context });
      return { result, changes: result.kind === "applied" ? result.followUps : [] };
    });
  await deliver();
  return said;
}

describe("hashes of one entity", () => {
  test("are equal on both ends, also for bodies that jsonb can't hold", async () => {
    const device = await newDevice();
    expect(await compare()).toEqual(AGREED);
    const body = { additionalInfo: { nul: "\u0000", half: "\ud800", text: "\u00e9\u{1f40c}" } };
    await cloud.sql`update entity set body = ${JSON.stringify(body)}::json, version = version + 1 where id = ${device.id}`;
    expect(await compare()).toMatchObject({ stale: 1, events: [`ADDED ${device.id}`] });
    await expectRepaired();
  });

  test.each([
    ["its name", "update entity set name = name || '!' where id = $1"],
    ["its label", "update entity set label = 'by hand' where id = $1"],
    ["its customer", "update entity set customer_id = id where id = $1"],
    ["its version", "update entity set version = version + 1 where id = $1"],
    ["its body", `update entity set body = '{"additionalInfo":{"by":"hand"}}' where id = $1`],
    [
      "the value of an attribute",
      "update attribute set value = '22.0' where entity_id = $1 and scope = 'SHARED_SCOPE'",
    ],
    ["the kind of a number", "update attribute set value = '21' where entity_id = $1 and scope = 'SHARED_SCOPE'"],
    ["the time of an attribute", "update attribute set updated_ms = updated_ms - 1 where entity_id = $1"],
    ["an attribute less", "delete from attribute where entity_id = $1 and scope = 'SERVER_SCOPE'"],
    ["an attribute more", "insert into attribute values ($1, 'SHARED_SCOPE', 'more', '1', 1)"],
    ["its token", "update device_credentials set credentials_id = 'by hand ' || device_id where device_id = $1"],
    ["its secret", "update device_credentials set credentials_value = 'by hand' where device_id = $1"],
    ["its credentials", "delete from device_credentials where device_id = $1"],
  ])("differ in %s, and a repair makes them equal", async (_what, statement) => {
    const device = await newDevice();
    await edge.sql.unsafe(statement, [device.id]);
    expect(await compare()).toMatchObject({ stale: 1, events: [`ADDED ${device.id}`] });
    answers = [];
    await deliver();
    // What is newer on the edge goes up, as it would by the config lane.
    for (const change of answers) {
      if (change.kind === "entity-saved")
        await cloud.sql`update entity set version = ${(JSON.parse(change.body) as EntityRecord).version} where id = ${device.id}`;
    }
    expect(await compare()).toEqual(AGREED);
  });

  test("differ in their profile, which is repaired before what refers to it", async () => {
    const device = await newDevice();
    await edge.sql`update entity set name = name || '!' where id = ${device.profileId}`;
    await edge.sql`update entity set label = 'by hand' where id = ${device.id}`;
    const { events } = await compare();
    expect(events).toEqual([`ADDED ${device.profileId}`, `ADDED ${device.id}`]);
    await expectRepaired();
  });
});

test.each([
  ["a value", "update attribute set value = '22' where entity_id = $1 and key = 'limit'"],
  [
    "a time, even a later one",
    "update attribute set updated_ms = updated_ms + 1 where entity_id = $1 and key = 'limit'",
  ],
  ["one less", "delete from attribute where entity_id = $1 and key = 'limit'"],
  ["one more", "insert into attribute values ($1, 'SERVER_SCOPE', 'more', '1', 1)"],
])("attributes of the edge itself that differ in %s become what the cloud has", async (_what, statement) => {
  const entity = { type: "EDGE", id: edgeId };
  const readings = [{ key: "limit", value: "21" as CanonicalJson }];
  const save = { entity, scope: "SHARED_SCOPE", readings, nowMs: clock.nowMs() } as const;
  await unitOfWork.run((tx) => saveAttributes(tx, { ...save, keep: keepEdge }));
  await expectRepaired();
  await edge.sql.unsafe(statement, [edgeId]);
  expect(await compare()).toMatchObject({ stale: 1, events: [`ADDED ${edgeId}`] });
  expect(await exchange()).toEqual([]);
  expect(await compare()).toEqual(AGREED);
});

describe("alarms of an entity", () => {
  const raise = (device: EntityRecord, type: string) =>
    unitOfWork.run((tx) => {
      const input = { originator: { type: "DEVICE", id: device.id }, type, severity: "MAJOR" as const };
      return saveAlarm(tx, deps, { tenantId, actor: null, input });
    });

  test("that are active are compared, and what one side has lost of them comes back", async () => {
    const device = await newDevice();
    const [lost, stale, gone] = [
      await raise(device, "lost"),
      await raise(device, "stale"),
      await raise(device, "gone"),
    ];
    await unitOfWork.run((tx) => acknowledgeAlarm(tx, deps, { alarmId: stale.id, tenantId, actor: null }));
    await expectRepaired();
    await edge.sql`delete from alarm where id = ${lost.id}`;
    await edge.sql`update alarm set ack_ms = 0 where id = ${stale.id}`;
    await edge.sql`delete from alarm_comment where alarm_id = ${stale.id}`;
    await cloud.sql`update alarm set clear_ms = 5 where id = ${gone.id}`;
    expect(await compare()).toMatchObject({ stale: 1, events: [`ADDED ${device.id}`] });
    await expectRepaired();
    // What only the edge has goes up.
    await cloud.sql`delete from alarm where id = ${lost.id}`;
    expect(await compare()).toMatchObject({ stale: 1 });
    answers = [];
    await deliver();
    expect(answers.map(({ kind, entity }) => `${kind} ${entity.id}`)).toEqual([`alarm-saved ${lost.id}`]);
    await edge.sql`delete from alarm where id = ${lost.id}`;
  });

  test("are no difference while something is on its way", async () => {
    const [down, up] = [await newDevice(), await newDevice()];
    await raise(down, "down");
    const made = await raise(up, "up");
    await deliver();
    await raise(down, "later");
    await edge.sql`update alarm set ack_ms = 5 where id = ${made.id}`;
    await edge.sql`insert into cloud_event (lane, first_seq, last_seq, created_ms, entity_type, entity_id, action, config_seq, compression, payload)
      values ('config', 900, 900, 1, 'ALARM', ${made.id}, 'ALARM_ACK', 0, 'none', '')`;
    expect(await compare()).toMatchObject({ stale: 0, missing: 0, surplus: 0 });
    await edge.sql`delete from cloud_event where first_seq = 900`;
    await edge.sql`update alarm set ack_ms = 0 where id = ${made.id}`;
    await expectRepaired();
  });
});

test("alarms of the edge, its tenant and its users go to the edge that knows them, and may come from there", async () => {
  const user = { tenantId, customerId: null, email: "alarm@b.c", authority: "TENANT_ADMIN", passwordHash: "" } as const;
  const { id: userId } = await createUser(cloud.db, deps, user);
  await unitOfWork.runEvents(async (tx) => {
    const stored = await findUser(tx, userId);
    return { result: null, events: stored === null ? [] : await userEvents(tx, stored, "UPDATED") };
  });
  await deliver();
  const stranger = createUuid(clock, random);
  const known = [
    { type: "EDGE", id: edgeId },
    { type: "TENANT", id: tenantId },
    { type: "USER", id: userId },
  ];
  for (const originator of known) {
    const input = { originator, type: "Raised in the cloud", severity: "MAJOR" as const };
    const raised = await unitOfWork.run((tx) => saveAlarm(tx, deps, { tenantId, actor: null, input }));
    await unitOfWork.run((tx) => acknowledgeAlarm(tx, deps, { alarmId: raised.id, tenantId, actor: null }));
    expect(await deliver()).toBe(3);
    expect(await findAlarm(edge.db, raised.id)).toMatchObject({ originator, ackMs: expect.any(Number) as never });
    const change = alarmSaved({ ...raised, formerIds: [] }, "ADDED");
    expect(await guardUplinkChange(cloud.db, { edgeId, tenantId }, change)).toBeNull();
    const foreign = { ...change, originator: { ...originator, id: stranger } };
    expect(await guardUplinkChange(cloud.db, { edgeId, tenantId }, foreign)).toMatchObject({ code: "NOT_FOUND" });
  }
  const other = await saveEdge(cloud.db, deps, { ...edgeDraft(), name: "Another edge" });
  const originator = { type: "EDGE", id: other.edge.id };
  const input = { originator, type: "Not for this one", severity: "MAJOR" as const };
  await unitOfWork.run((tx) => saveAlarm(tx, deps, { tenantId, actor: null, input }));
  expect(await deliver()).toBe(0);
});

describe("alarms of what is assigned to no edge", () => {
  const raise = (type: string) =>
    unitOfWork.run((tx) => {
      const input = { originator: { type: "TENANT", id: tenantId }, type, severity: "MAJOR" as const };
      return saveAlarm(tx, deps, { tenantId, actor: null, input });
    });
  const acknowledge = (alarmId: Uuid) =>
    unitOfWork.run((tx) => acknowledgeAlarm(tx, deps, { alarmId, tenantId, actor: null }));

  test("come back where they are missing or stale", async () => {
    const [lost, stale] = [await raise("lost"), await raise("stale")];
    await acknowledge(stale.id);
    await expectRepaired();
    await edge.sql`delete from alarm where id = ${lost.id}`;
    await edge.sql`update alarm set ack_ms = 0 where id = ${stale.id}`;
    await edge.sql`delete from alarm_comment where alarm_id = ${stale.id}`;
    const found = await compare();
    expect(found).toMatchObject({ missing: 1, stale: 1 });
    expect(found.events.toSorted()).toEqual([`ADDED ${lost.id}`, `ADDED ${stale.id}`].toSorted());
    expect(await exchange()).toEqual([]);
    expect(await compare()).toEqual(AGREED);
    expect(await findAlarm(edge.db, lost.id)).toMatchObject({ clearMs: 0 });
  });

  test("leave the edge when they were cleared or deleted in the cloud, and come up when it lost them", async () => {
    const [cleared, deleted, forgotten, less] = [
      await raise("cleared"),
      await raise("deleted"),
      await raise("forgotten"),
      await raise("less"),
    ];
    await deliver();
    await cloud.sql`update alarm set clear_ms = 5 where id = ${cleared.id}`;
    await cloud.sql`delete from alarm where id in (${deleted.id}, ${forgotten.id})`;
    await cloud.sql`insert into alarm_former_id values (${deleted.id}, ${tenantId}, null, ${clock.nowMs()})`;
    await edge.sql`update alarm set ack_ms = 7 where id = ${less.id}`;
    const found = await compare();
    expect(found).toMatchObject({ stale: 2, unknown: 2, missing: 0, surplus: 0 });
    const said = await exchange();
    expect(said.toSorted()).toEqual([deleted, forgotten, less].map(({ id }) => `alarm-saved ${id}`).toSorted());
    expect(await compare()).toEqual(AGREED);
    expect(await findAlarm(edge.db, cleared.id)).toMatchObject({ clearMs: 5 });
    expect(await findAlarm(edge.db, deleted.id)).toBeNull();
    expect(await findAlarm(cloud.db, forgotten.id)).toMatchObject({ clearMs: 0 });
    expect(await findAlarm(cloud.db, less.id)).toMatchObject({ ackMs: 7 });
  });

  test("are no difference while something of them is on its way", async () => {
    const [down, up] = [await raise("down"), await raise("up")];
    await deliver();
    await acknowledge(down.id);
    await edge.sql`insert into alarm_comment values (${edgeId}, ${up.id}, null, 'OTHER', '{"text":"Hello"}', 1, 1)`;
    await edge.sql`insert into cloud_event (lane, first_seq, last_seq, created_ms, entity_type, entity_id, action, config_seq, compression, payload)
      values ('config', 902, 902, 1, 'ALARM_COMMENT', ${edgeId}, 'ADDED_COMMENT', 0, 'none', '')`;
    expect(await compare()).toMatchObject({ stale: 0, missing: 0, surplus: 0 });
    await edge.sql`delete from cloud_event where first_seq = 902`;
    await edge.sql`delete from alarm_comment where id = ${edgeId}`;
    await expectRepaired();
  });
});

describe("requests to a device", () => {
  const ask = (deviceId: Uuid) => {
    const nowMs = clock.nowMs();
    const input = { method: "m", params: '{"x":1.0}' as CanonicalJson, retries: 0, additionalInfo: null };
    const times = { id: createUuid(clock, random), expirationMs: nowMs + 60_000, isPersistent: true };
    const record = newRpc({ ...input, ...times }, { deviceId, isOneway: false, nowMs });
    return unitOfWork.run((tx) => createRpc(tx, record, nowMs));
  };
  const statusIn = async ({ db }: TestDatabase, { id }: RpcRecord) => {
    const stored = await findRpc(db, id);
    return stored === null ? null : rpcStatus(stored.record);
  };
  /** As if it had been said to nobody. */
  const step = async ({ db }: TestDatabase, { id }: RpcRecord, status: "SENT" | "SUCCESSFUL" | "DELETED") => {
    const stored = await findRpc(db, id);
    if (stored === null) throw new Error("Expected the request");
    const record = withStep(stored.record, { status, attempt: status === "SENT" ? 1 : 0, atMs: clock.nowMs() });
    await putRpc(db, { ...stored, record }, clock.nowMs());
  };

  test("that the edge lost, or of which it does not know what the cloud does, are repaired with their device", async () => {
    const { id } = await newDevice();
    const [lost, stale] = [await ask(id), await ask(id)];
    await expectRepaired();
    await edge.sql`delete from rpc where id = ${lost.id}`;
    await step(cloud, stale, "SENT");
    expect(await compare()).toMatchObject({ stale: 1, events: [`ADDED ${id}`] });
    expect(await exchange()).toEqual([]);
    expect(await compare()).toEqual(AGREED);
    expect([await statusIn(edge, lost), await statusIn(edge, stale)]).toEqual(["QUEUED", "SENT"]);
  });

  test("of which the edge knows more go up, and those that ended in the cloud end on the edge", async () => {
    const { id } = await newDevice();
    const [answered, forgotten, deleted] = [await ask(id), await ask(id), await ask(id)];
    await deliver();
    await step(edge, answered, "SUCCESSFUL");
    await cloud.sql`delete from rpc where id = ${forgotten.id}`;
    await step(cloud, deleted, "DELETED");
    expect(await compare()).toMatchObject({ stale: 1 });
    expect(await exchange()).toEqual([`rpc-saved ${id}`, `rpc-saved ${id}`, `rpc-saved ${id}`]);
    expect(await compare()).toEqual(AGREED);
    for (const side of [edge, cloud]) {
      const states = [await statusIn(side, answered), await statusIn(side, forgotten), await statusIn(side, deleted)];
      expect(states).toEqual(["SUCCESSFUL", "QUEUED", "DELETED"]);
    }
  });

  test("that have come to an end are history, and no difference", async () => {
    const { id } = await newDevice();
    const ended = await ask(id);
    await deliver();
    for (const side of [edge, cloud]) await step(side, ended, "SUCCESSFUL");
    await edge.sql`delete from rpc where id = ${ended.id}`;
    expect(await compare()).toEqual(AGREED);
  });
});

describe("relations between entities", () => {
  const relate = (from: EntityRef, to: EntityRef) =>
    unitOfWork.run((tx) =>
      saveRelation(tx, deps, { tenantId, input: { from, to, type: "Contains", typeGroup: "COMMON" } }),
    );
  const isRow = (from: EntityRef, to: EntityRef) => cloud.sql`from_id = ${from.id} and to_id = ${to.id}`;
  const refOf = ({ id }: EntityRecord): EntityRef => ({ type: "DEVICE", id });
  const tenant = (): EntityRef => ({ type: "TENANT", id: tenantId });
  const onEdge = async (from: EntityRef, to: EntityRef) => {
    const rows = await edge.sql`select is_removed from relation where ${isRow(from, to)}`;
    return rows.map((row) => (row["is_removed"] === true ? "removed" : "there"));
  };

  test("that are missing, stale or too much on the edge are repaired with what they go out from", async () => {
    const [one, two] = [refOf(await newDevice()), refOf(await newDevice())];
    for (const end of [two, tenant()]) await relate(end, one);
    await relate(one, two);
    await expectRepaired();
    await edge.sql`delete from relation where ${isRow(one, two)}`;
    expect(await compare()).toMatchObject({ stale: 1, events: [`ADDED ${one.id}`] });
    await expectRepaired();
    expect(await onEdge(one, two)).toEqual(["there"]);
    await edge.sql`update relation set additional_info = '{"by":"hand"}', updated_ms = 1 where ${isRow(two, one)}`;
    expect(await compare()).toMatchObject({ stale: 1, events: [`ADDED ${two.id}`] });
    await expectRepaired();
    await cloud.sql`update relation set is_removed = true, updated_ms = updated_ms + 1 where ${isRow(tenant(), one)}`;
    expect(await compare()).toMatchObject({ stale: 1, events: [`ADDED ${one.id}`] });
    await expectRepaired();
    expect(await onEdge(tenant(), one)).toEqual(["removed"]);
  });

  test("that the cloud lost, or of which the edge knows more, go up with a repair", async () => {
    const [one, two, three] = [refOf(await newDevice()), refOf(await newDevice()), refOf(await newDevice())];
    for (const end of [two, three]) await relate(one, end);
    await deliver();
    await cloud.sql`delete from relation where ${isRow(one, two)}`;
    await edge.sql`update relation set is_removed = true, updated_ms = updated_ms + 1 where ${isRow(one, three)}`;
    expect(await compare()).toMatchObject({ stale: 1 });
    answers = [];
    await deliver();
    const context = { from: "edge", tenantId, edgeName: "Edge", changedMs: clock.nowMs() } as const;
    for (const change of answers) await cloud.db.transaction((tx) => applyChange(tx, deps, { change, context }));
    const rows = await cloud.sql`select to_id, is_removed from relation where from_id = ${one.id}`;
    expect(Object.fromEntries(rows.map((row) => [row["to_id"] as Uuid, row["is_removed"] as boolean]))).toEqual({
      [two.id]: false,
      [three.id]: true,
    });
    expect(await compare()).toEqual(AGREED);
  });

  test("are no difference while they, or their other end, are on their way", async () => {
    const [one, two] = [refOf(await newDevice()), refOf(await newDevice())];
    await relate(one, two);
    await relate(tenant(), two);
    expect(await compare()).toMatchObject({ stale: 0, missing: 0 });
    await deliver();
    await unitOfWork.runEvents((tx) => unassignEntity(tx, { edgeId, tenantId, type: "DEVICE", entityId: two.id }));
    expect(await compare()).toMatchObject({ stale: 0, surplus: 0 });
    await expectRepaired();
    await edge.sql`insert into relation values (${tenantId}, 'TENANT', ${one.id}, 'DEVICE', 'Made', 'COMMON', ${tenantId}, null, 1, false, 1)`;
    await edge.sql`insert into cloud_event (lane, first_seq, last_seq, created_ms, entity_type, entity_id, action, config_seq, compression, payload)
      values ('config', 901, 901, 1, 'RELATION', ${tenantId}, 'RELATION_ADD_OR_UPDATE', 0, 'none', '')`;
    expect(await compare()).toMatchObject({ stale: 0 });
    await edge.sql`delete from cloud_event where first_seq = 901`;
    expect(await compare()).toMatchObject({ stale: 1 });
    await edge.sql`delete from relation where to_id = ${one.id}`;
    await deliver();
  });

  test("with what is not on the edge are in no comparison", async () => {
    const [one, away] = [await newDevice(), await newDevice()];
    await unitOfWork.runEvents((tx) => unassignEntity(tx, { edgeId, tenantId, type: "DEVICE", entityId: away.id }));
    await relate(refOf(one), refOf(away));
    await edge.sql`insert into relation values (${one.id}, 'DEVICE', ${edgeId}, 'USER', 'Owns', 'COMMON', ${tenantId}, null, 1, false, 1)`;
    await deliver();
    expect(await compare()).toEqual(AGREED);
  });
});

describe("a difference", () => {
  test("that something on its way explains is none", async () => {
    const [renamed, sending] = [await newDevice(), await newDevice()];
    await unitOfWork.run((tx) => saveDevice(tx, deps, { tenantId, input: { id: renamed.id, name: "Renamed" } }));
    await edge.sql`update entity set label = 'by hand' where id = ${sending.id}`;
    await edge.sql`insert into cloud_event (lane, first_seq, last_seq, created_ms, entity_type, entity_id, action, config_seq, compression, payload)
      values ('config', 1, 1, 1, 'DEVICE', ${sending.id}, 'UPDATED', 0, 'none', '')`;
    const found = await compare();
    expect(found).toMatchObject({ stale: 0, missing: 0, surplus: 0 });
    expect(found.events).toEqual([`UPDATED ${renamed.id}`]);
    await edge.sql`insert into uplink_cursor values ('config', 1)`;
    await deliver();
    expect((await compare()).events).toEqual([`ADDED ${sending.id}`]);
    await expectRepaired();
  });

  test("of something deleted on the edge, whose deletion is on its way, brings nothing back", async () => {
    const device = await newDevice();
    await edge.db.transaction((tx) => deleteEntity(tx, { type: "DEVICE", id: device.id }));
    await edge.sql`insert into cloud_event (lane, first_seq, last_seq, created_ms, entity_type, entity_id, action, config_seq, compression, payload)
      values ('config', 2, 2, 1, 'DEVICE', ${device.id}, 'DELETED', 0, 'none', '')`;
    expect(await compare()).toEqual(AGREED);
    await edge.sql`update uplink_cursor set acked_seq = 2 where lane = 'config'`;
    expect(await compare()).toMatchObject({ missing: 1, events: [`ADDED ${device.id}`] });
    await expectRepaired();
  });

  test("that was repaired before and is still there is not repaired again", async () => {
    const device = await newDevice();
    await edge.sql`update entity set label = 'by hand' where id = ${device.id}`;
    expect(await compare(() => false)).toEqual({ ...AGREED, lasting: 1 });
    await compare();
    await expectRepaired();
  });
});

describe("what is on the edge alone", () => {
  const removeAssignment = (id: Uuid) => cloud.sql`delete from edge_assignment where entity_id = ${id}`;

  test("leaves it when it lives on in the cloud", async () => {
    const device = await newDevice();
    await removeAssignment(device.id);
    expect(await compare()).toMatchObject({ surplus: 1, events: [`UNASSIGNED_FROM_EDGE ${device.id}`] });
    await expectRepaired();
  });

  test("is deleted when it was deleted in the cloud", async () => {
    const device = await newDevice();
    await unitOfWork.run((tx) => deleteEntity(tx, { type: "DEVICE", id: device.id, tenantId }));
    await cloud.sql`delete from edge_event where entity_id = ${device.id} and action = 'DELETED'`;
    await cloud.sql`update edge_sync set downlink_last = downlink_last - 1`;
    expect(await compare()).toMatchObject({ surplus: 1, events: [`DELETED ${device.id}`] });
    await expectRepaired();
  });

  test("is asked for when the cloud never heard of it", async () => {
    const device = await newDevice();
    await removeAssignment(device.id);
    await cloud.db.transaction((tx) => deleteEntity(tx, { type: "DEVICE", id: device.id }));
    expect(await compare()).toMatchObject({ unknown: 1, events: [`ENTITY_MERGE_REQUEST ${device.id}`] });
    answers = [];
    await deliver();
    const kinds = answers.map(({ kind, entity }) => `${kind} ${entity.type}`);
    expect(kinds.slice(0, 3)).toEqual([
      "entity-saved DEVICE_PROFILE",
      "entity-saved DEVICE",
      "credentials-saved DEVICE",
    ]);
    expect(kinds.slice(3)).toEqual(Array.from({ length: 3 }, () => "attributes-saved DEVICE"));
    await edge.db.transaction((tx) => deleteEntity(tx, { type: "DEVICE", id: device.id }));
  });
});

describe("a repair", () => {
  test("takes the cloud's shared and server attributes, and answers with what the edge has of its devices", async () => {
    const device = await newDevice();
    const ref = { type: "DEVICE", id: device.id };
    await edge.sql`insert into attribute values (${device.id}, 'SHARED_SCOPE', 'surplus', '1', 1),
      (${device.id}, 'CLIENT_SCOPE', 'more', '1', 5)`;
    await edge.sql`update attribute set value = '99', updated_ms = updated_ms + 10 where entity_id = ${device.id} and scope = 'SERVER_SCOPE'`;
    await cloud.sql`insert into attribute values (${device.id}, 'CLIENT_SCOPE', 'gone', '1', 1)`;
    await compare();
    answers = [];
    await deliver();
    const shared = await edge.sql`select key from attribute where entity_id = ${device.id} and scope = 'SHARED_SCOPE'`;
    expect(shared.map((row) => row["key"] as string)).toEqual(["key"]);
    expect(answers).toEqual([
      {
        kind: "attributes-saved",
        entity: ref,
        scope: "CLIENT_SCOPE",
        attributes: [expect.objectContaining({ key: "more" }) as never],
      },
      {
        kind: "attributes-saved",
        entity: ref,
        scope: "SERVER_SCOPE",
        attributes: [expect.objectContaining({ value: "99" }) as never],
      },
      { kind: "attributes-deleted", entity: ref, scope: "CLIENT_SCOPE", keys: ["gone"] },
    ]);
    await cloud.sql`delete from edge_assignment where entity_id = ${device.id}`;
    await compare();
    await expectRepaired();
  });
});

test("requests of people are counted, and answered by the round that began after them", async () => {
  await unitOfWork.requestSync(edgeId, { full: false });
  const { request } = await readCloudDigest(cloud.db, edgeId);
  await unitOfWork.requestSync(edgeId, { full: false });
  const counts = { missing: 1, stale: 2, surplus: 3, unknown: 4, lasting: 5 };
  await completeRound(cloud.db, edgeId, { ...counts, request, isComplete: true, tookMs: 6, nowMs: 7 });
  const requests = await readSyncRequests(cloud.db, edgeId);
  expect([requests.requested - requests.completed, requests.result]).toEqual([
    1,
    {
      ...counts,
      isComplete: true,
      tookMs: 6,
      atMs: 7,
      checkedTypes: ["USER", ...KIND_TYPES, "ALARM", "EDGE"],
    },
  ]);
});

test("renewStore() begins a new store where the cloud's last acknowledgement was", async () => {
  await ensureInstance(edge.db, deps);
  await edge.sql`insert into uplink_cursor values ('telemetry', 500) on conflict do nothing`;
  const storeId = createUuid(clock, random);
  await renewStore(edge.db, storeId);
  const [row] =
    await edge.sql`select i.id, s.first_config_seq as config, s.first_telemetry_seq as telemetry from instance i, site s`;
  expect(row).toEqual({ id: storeId, config: 3, telemetry: 501 });
});
