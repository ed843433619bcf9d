import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { createUuid, NULL_UUID, type Uuid } from "../../shared/core/ids.ts";
import type { Change } from "../../shared/entities/change.ts";
import type { EntityRecord } from "../../shared/entities/entity-record.ts";
import type { CanonicalJson } from "../../shared/entities/telemetry.ts";
import { systemClock as clock } from "../../shared/runtime/system-clock.ts";
import { systemRandom as random } from "../../shared/runtime/system-random.ts";
import { applyChange } from "../../shared/store/apply-change.ts";
import type { ApplyResult } from "../../shared/store/apply-result.ts";
import { readAttributeRows, saveAttributes } from "../../shared/store/attribute-store.ts";
import { findCredentials, saveDevice } from "../../shared/store/device-store.ts";
import { findEntity, listEntities } from "../../shared/store/entity-store.ts";
import type { Outcome, Queryable } from "../../shared/store/unit-of-work.ts";
import { startTestPostgres, type TestDatabase, type TestPostgres } from "../support/postgres.ts";

const deps = { clock, random };
const tenantId = createUuid(clock, random);
let postgres: TestPostgres;
const databases: TestDatabase[] = [];

/** One side of the link; what it does goes to `outbox`, in order. */
interface Side {
  readonly db: Queryable;
  readonly from: "edge" | "cloud";
  readonly tenantId: Uuid;
  readonly outbox: { readonly change: Change; readonly changedMs: number }[];
}

let cloud: Side;
let edge: Side;

beforeAll(async () => {
  postgres = await startTestPostgres();
  databases.push(await postgres.createDatabase("cloud"), await postgres.createDatabase("edge"));
});
afterAll(() => postgres[Symbol.asyncDispose]());
beforeEach(async () => {
  for (const { sql } of databases)
    await sql.unsafe("truncate entity, attribute, device_credentials, telemetry, telemetry_latest");
  const [cloudDb, edgeDb] = databases;
  if (cloudDb === undefined || edgeDb === undefined) throw new Error("No database");
  cloud = { db: cloudDb.db, from: "cloud", tenantId, outbox: [] };
  // An edge does not know its tenant before it has met its cloud.
  edge = { db: edgeDb.db, from: "edge", tenantId: NULL_UUID, outbox: [] };
});

async function change<T>(side: Side, work: (tx: Queryable) => Promise<Outcome<T>>): Promise<T> {
  const outcome = await side.db.transaction(work);
  push(side, outcome.changes);
  return outcome.result;
}

function push(side: Side, changes: readonly Change[]): void {
  side.outbox.push(...changes.map((made) => ({ change: made, changedMs: clock.nowMs() })));
}

const makeDevice = (side: Side, name: string, more: object = {}): Promise<EntityRecord> =>
  change(side, (tx) => saveDevice(tx, deps, { tenantId: side.tenantId, input: { name, ...more } }));
const rename = (side: Side, id: Uuid, name: string): Promise<EntityRecord> =>
  change(side, (tx) => saveDevice(tx, deps, { tenantId: side.tenantId, input: { id, name } }));

async function apply(to: Side, sent: Change, changedMs = clock.nowMs()): Promise<ApplyResult> {
  const from = to.from === "cloud" ? "edge" : "cloud";
  return to.db.transaction((tx) =>
    applyChange(tx, deps, { change: sent, context: { from, tenantId: to.tenantId, edgeName: "Pump 4", changedMs } }),
  );
}

/** Carries everything that waits across, in the order that `pick` wants, until both outboxes are empty. */
async function settle(
  pick: (round: number) => "up" | "down" = (round) => (round % 2 === 0 ? "up" : "down"),
): Promise<ApplyResult[]> {
  const results: ApplyResult[] = [];
  for (let round = 0; edge.outbox.length + cloud.outbox.length > 0; round += 1) {
    if (round > 200) throw new Error("The two sides never come to rest");
    const wanted = pick(round) === "up" ? edge : cloud;
    const source = wanted.outbox.length > 0 ? wanted : wanted === edge ? cloud : edge;
    const target = source === edge ? cloud : edge;
    const sent = source.outbox.shift();
    if (sent === undefined) continue;
    const result = await apply(target, sent.change, sent.changedMs);
    results.push(result);
    if (result.kind === "applied") push(target, result.followUps);
  }
  return results;
}

async function devices(side: Side): Promise<unknown[]> {
  const page = await listEntities(side.db, { type: "DEVICE", tenantId: side.tenantId }, { pageSize: 100, page: 0 });
  return page.data.map(({ id, name, label, profileId, subtype, version }) => ({
    id,
    name,
    label,
    profileId,
    subtype,
    version,
  }));
}

async function expectSame(): Promise<void> {
  expect(await devices(edge)).toEqual(await devices(cloud));
}

const UNKNOWN = "784f394c-42b6-435a-983c-b7beff2784f9" as Uuid;

describe("applyChange() rejects", () => {
  const ref = { type: "DEVICE", id: UNKNOWN };
  const attributes = [{ key: "a", value: "1" as CanonicalJson, updatedMs: 1 }];
  test.each<[string, Change, string]>([
    [
      "attributes of nothing",
      { kind: "attributes-saved", entity: ref, scope: "CLIENT_SCOPE", attributes },
      "NOT_FOUND",
    ],
    [
      "credentials of nothing",
      {
        kind: "credentials-saved",
        entity: ref,
        credentialsType: "ACCESS_TOKEN",
        credentialsId: "x",
        credentialsValue: null,
      },
      "NOT_FOUND",
    ],
    [
      "credentials of an unknown type",
      { kind: "credentials-saved", entity: ref, credentialsType: "MAGIC", credentialsId: "x", credentialsValue: null },
      "UNSUPPORTED_ITEM",
    ],
    ["a body that is no JSON", { kind: "entity-saved", entity: ref, body: "{" }, "INVALID_ARGUMENT"],
    ["a body that is no record", { kind: "entity-saved", entity: ref, body: "{}" }, "INVALID_ARGUMENT"],
    [
      "a kind of entity that it does not know",
      { kind: "entity-saved", entity: { type: "ROCKET", id: UNKNOWN }, body: "{}" },
      "UNSUPPORTED_ITEM",
    ],
    [
      "users of an edge",
      { kind: "entity-saved", entity: { type: "USER", id: UNKNOWN }, body: "{}" },
      "UNSUPPORTED_ITEM",
    ],
  ])("%s", async (_, sent, code) => {
    expect(await apply(cloud, sent)).toMatchObject({ kind: "rejected", code });
  });

  test("a token that another device has, and keeps the old one", async () => {
    const [one, two] = [await makeDevice(cloud, "A"), await makeDevice(cloud, "B")];
    const [taken, own] = [await findCredentials(cloud.db, one.id), await findCredentials(cloud.db, two.id)];
    const sent: Change = {
      kind: "credentials-saved",
      entity: { type: "DEVICE", id: two.id },
      credentialsType: "ACCESS_TOKEN",
      credentialsId: taken?.credentialsId ?? "",
      credentialsValue: null,
    };
    expect(await apply(cloud, sent)).toMatchObject({ kind: "rejected", code: "ALREADY_EXISTS" });
    expect(await findCredentials(cloud.db, two.id)).toEqual(own);
  });

  test("an entity of another tenant, unchanged", async () => {
    const foreign = await change({ ...cloud, tenantId: UNKNOWN, outbox: [] }, (tx) =>
      saveDevice(tx, deps, { tenantId: UNKNOWN, input: { name: "Theirs" } }),
    );
    const body = JSON.stringify({ ...foreign, name: "Stolen", version: 9 });
    const entity = { type: "DEVICE", id: foreign.id };
    expect(await apply(cloud, { kind: "entity-saved", entity, body })).toMatchObject({
      kind: "rejected",
      code: "ALREADY_EXISTS",
    });
    expect(await apply(cloud, { kind: "entity-removed", entity, deleted: true })).toMatchObject({
      kind: "applied",
      effects: [],
    });
    const scope = "SHARED_SCOPE";
    expect(
      await apply(cloud, {
        kind: "attributes-saved",
        entity,
        scope,
        attributes: [{ key: "a", value: "1" as CanonicalJson, updatedMs: 1 }],
      }),
    ).toMatchObject({ kind: "rejected", code: "NOT_FOUND" });
    expect(await findEntity(cloud.db, { type: "DEVICE", id: foreign.id })).toEqual(foreign);
  });

  test.each(["", '1,"x":2', "{", "nul", "1}"])(
    "an attribute with the value %j, without a failing statement",
    async (value) => {
      const device = await makeDevice(cloud, "A");
      const sent: Change = {
        kind: "attributes-saved",
        entity: { type: "DEVICE", id: device.id },
        scope: "SHARED_SCOPE",
        attributes: [{ key: "a", value: value as CanonicalJson, updatedMs: 1 }],
      };
      expect(await apply(cloud, sent)).toMatchObject({ kind: "rejected", code: "INVALID_ARGUMENT" });
    },
  );
});

describe("both sides come to the same state", () => {
  test("when a device is made on the edge: same id, the cloud's profile, the edge is told", async () => {
    await makeDevice(cloud, "Other");
    cloud.outbox.length = 0;
    const device = await makeDevice(edge, "Born here");
    await settle();
    const [inCloud, onEdge] = [
      await findEntity(cloud.db, { type: "DEVICE", id: device.id }),
      await findEntity(edge.db, { type: "DEVICE", id: device.id }),
    ];
    expect(inCloud?.tenantId).toBe(tenantId);
    expect(onEdge?.profileId).toBe(inCloud?.profileId ?? null);
    expect(onEdge?.profileId).not.toBe(device.profileId);
    expect(await findCredentials(cloud.db, device.id)).toMatchObject({
      credentialsId: (await findCredentials(edge.db, device.id))?.credentialsId,
    });
    const profiles = await listEntities(
      edge.db,
      { type: "DEVICE_PROFILE", tenantId: NULL_UUID },
      { pageSize: 9, page: 0 },
    );
    expect(profiles.data.map((profile) => profile.name)).toEqual(["default"]);
  });

  test("when applied twice: the second time nothing happens", async () => {
    await makeDevice(edge, "A");
    for (const { change: sent } of edge.outbox) await apply(cloud, sent);
    const before = await devices(cloud);
    for (const { change: sent } of edge.outbox)
      expect(await apply(cloud, sent)).toMatchObject({ kind: "applied", effects: [] });
    expect(await devices(cloud)).toEqual(before);
  });

  for (const order of ["up first", "down first", "in turns"] as const) {
    const pick = order === "in turns" ? undefined : () => (order === "up first" ? ("up" as const) : ("down" as const));

    test(`when both made a device of one name, ${order}`, async () => {
      const [theirs, ours] = [await makeDevice(cloud, "Pump"), await makeDevice(edge, "Pump")];
      await settle(pick);
      await expectSame();
      expect(await findEntity(cloud.db, { type: "DEVICE", id: theirs.id })).toMatchObject({ name: "Pump" });
      expect(await findEntity(cloud.db, { type: "DEVICE", id: ours.id })).toMatchObject({ name: "Pump (Pump 4)" });
    });

    test(`when both changed one device, any number of times, ${order}`, async () => {
      for (const [edits, theirEdits] of [
        [1, 1],
        [2, 1],
        [1, 2],
        [3, 3],
      ] as const) {
        const device = await makeDevice(cloud, `Device ${edits} ${theirEdits}`);
        await settle();
        for (let edit = 0; edit < edits; edit += 1) await rename(edge, device.id, `Edge ${edits}${theirEdits} ${edit}`);
        for (let edit = 0; edit < theirEdits; edit += 1)
          await rename(cloud, device.id, `Cloud ${edits}${theirEdits} ${edit}`);
        await settle(pick);
        await expectSame();
        expect((await findEntity(edge.db, { type: "DEVICE", id: device.id }))?.name).toStartWith("Cloud");
      }
    });

    test(`when both wrote one attribute: the later time wins, ${order}`, async () => {
      const device = await makeDevice(cloud, "A");
      await settle();
      const entity = { type: "DEVICE", id: device.id };
      const write = (side: Side, value: string, nowMs: number, key = "a") =>
        change(side, (tx) =>
          saveAttributes(tx, {
            entity,
            scope: "SHARED_SCOPE",
            readings: [{ key, value: value as CanonicalJson }],
            nowMs,
          }),
        );
      await write(edge, "1", 2000);
      await write(cloud, "2", 1000);
      await write(edge, "3", 5000, "tie");
      await write(cloud, "4", 5000, "tie");
      await settle(pick);
      const read = async (side: Side) =>
        (await readAttributeRows(side.db, { entityId: device.id })).map(({ key, value }) => [key, String(value)]);
      expect(await read(edge)).toEqual([
        ["a", "1"],
        ["tie", "4"],
      ]);
      expect(await read(cloud)).toEqual(await read(edge));
    });
  }

  test("when one side deleted an attribute that the other wrote later: the value stays, on both", async () => {
    const device = await makeDevice(cloud, "A");
    await settle();
    const entity = { type: "DEVICE", id: device.id };
    const save = (side: Side, nowMs: number) =>
      change(side, (tx) =>
        saveAttributes(tx, {
          entity,
          scope: "SERVER_SCOPE",
          readings: [{ key: "a", value: "1" as CanonicalJson }],
          nowMs,
        }),
      );
    await save(cloud, 1000);
    await settle();
    const gone: Change = { kind: "attributes-deleted", entity, scope: "SERVER_SCOPE", keys: ["a"] };
    expect(await apply(edge, gone, 999)).toMatchObject({ effects: [], followUps: [{ kind: "attributes-saved" }] });
    expect(await apply(edge, gone, 1000)).toMatchObject({ effects: [{ keys: ["a"] }], followUps: [] });
    expect(await readAttributeRows(edge.db, { entityId: device.id })).toEqual([]);
  });

  test("when a device is removed: with its credentials, attributes and telemetry", async () => {
    const device = await makeDevice(cloud, "A");
    await settle();
    const entity = { type: "DEVICE", id: device.id };
    expect(await apply(edge, { kind: "entity-removed", entity, deleted: false })).toMatchObject({
      kind: "applied",
      effects: [{ kind: "entity-removed" }],
    });
    expect(await findEntity(edge.db, { type: "DEVICE", id: device.id })).toBeNull();
    expect(await findCredentials(edge.db, device.id)).toBeNull();
    expect(await apply(edge, { kind: "entity-removed", entity, deleted: true })).toMatchObject({
      kind: "applied",
      effects: [],
    });
  });
});
