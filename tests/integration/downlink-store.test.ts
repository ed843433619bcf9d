import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { assignEntity, unassignEntity } from "../../cloud/store/assignment-store.ts";
import { loadEntityChanges } from "../../cloud/store/downlink-source.ts";
import {
  createCloudUnitOfWork,
  readDownlinks,
  recordChanges,
  type CloudUnitOfWork,
  type DownlinkRow,
} from "../../cloud/store/downlink-store.ts";
import { saveEdge } from "../../cloud/store/edge-store.ts";
import { createTenant } from "../../cloud/store/tenant-store.ts";
import { guardUplinkChange, hasCredentialsUnderWay } from "../../cloud/store/uplink-guard.ts";
import { createUuid, type Uuid } from "../../shared/core/ids.ts";
import type { Change } from "../../shared/entities/change.ts";
import type { EntityRecord } from "../../shared/entities/entity-record.ts";
import type { CanonicalJson } from "../../shared/entities/telemetry.ts";
import { systemClock as clock } from "../../shared/runtime/system-clock.ts";
import { systemRandom as random } from "../../shared/runtime/system-random.ts";
import { saveAttributes } from "../../shared/store/attribute-store.ts";
import { saveDevice } from "../../shared/store/device-store.ts";
import { deleteEntity } from "../../shared/store/entity-store.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { startTestPostgres, type TestDatabase, type TestPostgres } from "../support/postgres.ts";

const deps = { clock, random };
let postgres: TestPostgres;
let db: Queryable;
let sql: TestDatabase["sql"];
let unitOfWork: CloudUnitOfWork;
let tenantId: Uuid;
let woken: Uuid[] = [];
let names = 0;

beforeAll(async () => {
  postgres = await startTestPostgres();
  ({ db, sql } = await postgres.createDatabase("cloud"));
  unitOfWork = createCloudUnitOfWork(db, { clock, onCommitted: (edgeIds) => void woken.push(...edgeIds) });
  ({ tenantId } = await createTenant(db, deps, { adminEmail: "a@b.c", adminPasswordHash: "" }));
});
afterAll(() => postgres[Symbol.asyncDispose]());

const nextName = (): string => `Thing ${(names += 1)}`;
const newEdge = async (): Promise<Uuid> => {
  const save = {
    id: null,
    tenantId,
    name: nextName(),
    type: "default",
    label: null,
    routingKey: null,
    secret: null,
    expectedVersion: null,
    additionalInfo: null,
  };
  return (await saveEdge(db, deps, save)).edge.id;
};
const newDevice = (): Promise<EntityRecord> =>
  unitOfWork.run((tx) => saveDevice(tx, deps, { tenantId, input: { name: nextName() } }));
const assign = (edgeId: Uuid, entityId: Uuid) =>
  unitOfWork.runEvents((tx) =>
    assignEntity(tx, { edgeId, tenantId, type: "DEVICE", entityId }, { nowMs: clock.nowMs() }),
  );
const unassign = (edgeId: Uuid, entityId: Uuid) =>
  unitOfWork.runEvents((tx) => unassignEntity(tx, { edgeId, tenantId, type: "DEVICE", entityId }));
const setShared = (device: EntityRecord, key: string, value: string) =>
  unitOfWork.run((tx) =>
    saveAttributes(tx, {
      entity: { type: "DEVICE", id: device.id },
      scope: "SHARED_SCOPE",
      readings: [{ key, value: value as CanonicalJson }],
      nowMs: clock.nowMs(),
    }),
  );
const rowsOf = (edgeId: Uuid): Promise<DownlinkRow[]> => readDownlinks(db, edgeId, { afterSeq: 0, limit: 100_000 });
const kinds = (changes: readonly Change[]) => changes.map((change) => `${change.kind} ${change.entity.type}`);

describe("sequences", () => {
  test("have no gaps and follow the order of commits under concurrent writers", async () => {
    const edges = await Promise.all([newEdge(), newEdge(), newEdge()]);
    const devices = await Promise.all(Array.from({ length: 6 }, newDevice));
    for (const [index, device] of devices.entries()) {
      for (const edgeId of edges.slice(index % 2)) await assign(edgeId, device.id);
    }
    const before = new Map(
      await Promise.all(edges.map(async (edgeId) => [edgeId, (await rowsOf(edgeId)).length] as const)),
    );
    // A reader that never looks below what it has seen: it must not miss a row that commits late.
    const seen = new Map(edges.map((edgeId) => [edgeId, before.get(edgeId) ?? 0]));
    const late: string[] = [];
    let writing = true;
    const reader = (async () => {
      for (;;) {
        const last = !writing;
        for (const edgeId of edges) {
          for (const row of await readDownlinks(db, edgeId, { afterSeq: seen.get(edgeId) ?? 0, limit: 1000 })) {
            if (row.seq !== (seen.get(edgeId) ?? 0) + 1) late.push(`${row.seq} after ${seen.get(edgeId)}`);
            seen.set(edgeId, row.seq);
          }
        }
        if (last) return;
      }
    })();
    const writes = Array.from({ length: 120 }, (_, index) => {
      const device = devices[index % devices.length];
      if (device === undefined) throw new Error("No device");
      return setShared(device, `k${index}`, String(index));
    });
    await Promise.all(writes);
    writing = false;
    await reader;
    expect(late).toEqual([]);
    for (const edgeId of edges) {
      const rows = await rowsOf(edgeId);
      expect(rows.map((row) => row.seq)).toEqual(rows.map((_, index) => index + 1));
    }
    const [first, second] = edges;
    expect((await rowsOf(first)).length - (before.get(first) ?? 0)).toBe(60);
    expect((await rowsOf(second)).length - (before.get(second) ?? 0)).toBe(120);
  });

  test("are not used up by a transaction that rolls back", async () => {
    const [edgeId, device] = [await newEdge(), await newDevice()];
    await assign(edgeId, device.id);
    const failing = db.transaction(async (tx) => {
      await recordChanges(
        tx,
        [
          {
            kind: "credentials-saved",
            entity: { type: "DEVICE", id: device.id },
            credentialsType: "ACCESS_TOKEN",
            credentialsId: "x",
            credentialsValue: null,
          },
        ],
        { nowMs: 1 },
      );
      throw new Error("Given up");
    });
    await expect(failing).rejects.toThrow("Given up");
    await setShared(device, "a", "1");
    expect((await rowsOf(edgeId)).map((row) => row.seq)).toEqual([1, 2, 3]);
  });

  test("no change passes an assignment unseen", async () => {
    for (let round = 0; round < 20; round += 1) {
      const [edgeId, device] = [await newEdge(), await newDevice()];
      await Promise.all([setShared(device, "race", String(round)), assign(edgeId, device.id)]);
      const rows = await rowsOf(edgeId);
      const sent = (await Promise.all(rows.map((row) => loadEntityChanges(db, row, clock.nowMs())))).flat();
      expect(sent.some((change) => change.kind === "attributes-saved")).toBeTrue();
    }
  });

  test("a device that is deleted while it is assigned leaves no assignment behind", async () => {
    for (let round = 0; round < 20; round += 1) {
      const [edgeId, device] = [await newEdge(), await newDevice()];
      const [, assigned] = await Promise.allSettled([
        unitOfWork.run((tx) => deleteEntity(tx, { type: "DEVICE", id: device.id })),
        assign(edgeId, device.id),
      ]);
      const actions = (await rowsOf(edgeId)).map((row) => row.action);
      expect(actions).toEqual(
        assigned.status === "fulfilled" ? ["ADDED", "ASSIGNED_TO_EDGE", "DELETED", "UNASSIGNED_FROM_EDGE"] : [],
      );
    }
  });
});

describe("recordChanges()", () => {
  test("tells other edges of a change that came from one, not that one", async () => {
    const [origin, other, device] = [await newEdge(), await newEdge(), await newDevice()];
    for (const edgeId of [origin, other]) await assign(edgeId, device.id);
    const change: Change = {
      kind: "attributes-deleted",
      entity: { type: "DEVICE", id: device.id },
      scope: "SHARED_SCOPE",
      keys: ["a"],
    };
    const told = await db.transaction((tx) =>
      recordChanges(tx, [change], {
        nowMs: 5,
        excludeEdgeId: origin,
        events: [{ edgeId: origin, type: "DEVICE", entityId: device.id, action: "UPDATED", body: null }],
      }),
    );
    expect(told.toSorted()).toEqual([origin, other].toSorted());
    expect((await rowsOf(origin)).map((row) => row.action)).toEqual(["ADDED", "ASSIGNED_TO_EDGE", "UPDATED"]);
    expect((await rowsOf(other)).map((row) => row.action)).toEqual(["ADDED", "ASSIGNED_TO_EDGE", "ATTRIBUTES_DELETED"]);
  });

  test("tells of a profile once per edge, however many of its devices are there", async () => {
    const [edgeId, one, two] = [await newEdge(), await newDevice(), await newDevice()];
    for (const device of [one, two]) await assign(edgeId, device.id);
    const profileId = one.profileId;
    if (profileId === null) throw new Error("No profile");
    const before = (await rowsOf(edgeId)).length;
    await db.transaction((tx) =>
      recordChanges(tx, [{ kind: "entity-saved", entity: { type: "DEVICE_PROFILE", id: profileId }, body: "{}" }], {
        nowMs: 5,
      }),
    );
    expect((await rowsOf(edgeId)).slice(before)).toMatchObject([
      { type: "DEVICE_PROFILE", action: "UPDATED", entityId: profileId },
    ]);
  });

  test("wakes the edges after the commit", async () => {
    const [edgeId, device] = [await newEdge(), await newDevice()];
    await assign(edgeId, device.id);
    woken = [];
    await setShared(device, "a", "1");
    expect(woken).toEqual([edgeId]);
  });
});

describe("loadEntityChanges()", () => {
  test("gives the profile, then entity, credentials and attributes of all scopes, with the values of now", async () => {
    const [edgeId, device] = [await newEdge(), await newDevice()];
    await assign(edgeId, device.id);
    await setShared(device, "limit", "21.0");
    const rows = await rowsOf(edgeId);
    const changes = await Promise.all(rows.map((row) => loadEntityChanges(db, row, clock.nowMs())));
    expect(changes.map(kinds)).toEqual([
      ["entity-saved DEVICE_PROFILE"],
      ["entity-saved DEVICE", "credentials-saved DEVICE", "attributes-saved DEVICE"],
      ["attributes-saved DEVICE"],
    ]);
    expect(changes[2]?.[0]).toMatchObject({ scope: "SHARED_SCOPE", attributes: [{ key: "limit", value: "21.0" }] });
  });

  test("gives nothing for what is gone or no longer assigned; the row that removes it follows", async () => {
    const [edgeId, left, deleted] = [await newEdge(), await newDevice(), await newDevice()];
    for (const device of [left, deleted]) await assign(edgeId, device.id);
    await unassign(edgeId, left.id);
    await unitOfWork.run((tx) => deleteEntity(tx, { type: "DEVICE", id: deleted.id }));
    const rows = (await rowsOf(edgeId)).filter((row) => row.type === "DEVICE");
    const changes = await Promise.all(rows.map((row) => loadEntityChanges(db, row, clock.nowMs())));
    expect(changes).toEqual([
      [],
      [],
      [{ kind: "entity-removed", entity: { type: "DEVICE", id: left.id }, deleted: false }],
      [{ kind: "entity-removed", entity: { type: "DEVICE", id: deleted.id }, deleted: true }],
    ]);
  });
});

describe("guardUplinkChange()", () => {
  const saved = (device: EntityRecord, type = "DEVICE"): Change => ({
    kind: "entity-saved",
    entity: { type, id: device.id },
    body: JSON.stringify(device),
  });

  test("lets an edge touch what is on it and make what is new, nothing else of its tenant", async () => {
    const [edgeId, own, other] = [await newEdge(), await newDevice(), await newDevice()];
    await assign(edgeId, own.id);
    const guard = (change: Change) => guardUplinkChange(db, { edgeId, tenantId }, change);
    expect(await guard(saved(own))).toBeNull();
    expect(await guard(saved({ ...own, id: createUuid(clock, random) }))).toBeNull();
    for (const change of [
      saved(other),
      { kind: "entity-removed", entity: { type: "DEVICE", id: other.id }, deleted: true } as const,
    ]) {
      expect(await guard(change)).toMatchObject({ kind: "rejected", code: "NOT_FOUND" });
    }
    const foreign = { edgeId, tenantId: createUuid(clock, random) };
    expect(await guardUplinkChange(db, foreign, saved(own))).toMatchObject({ kind: "rejected", code: "NOT_FOUND" });
  });

  test("lets an edge change a profile that it uses, and leaves others as they are", async () => {
    const [edgeId, device] = [await newEdge(), await newDevice()];
    const profile = { type: "DEVICE_PROFILE", id: device.profileId ?? device.id };
    const change: Change = { kind: "entity-saved", entity: profile, body: "{}" };
    const guard = () => guardUplinkChange(db, { edgeId, tenantId }, change);
    expect(await guard()).toEqual({ kind: "applied", effects: [], followUps: [] });
    await assign(edgeId, device.id);
    expect(await guard()).toBeNull();
  });

  test("hasCredentialsUnderWay() looks at rows that are not acknowledged", async () => {
    const [edgeId, device] = [await newEdge(), await newDevice()];
    const ask = () => hasCredentialsUnderWay(db, { edgeId, deviceId: device.id });
    expect(await ask()).toBeFalse();
    await assign(edgeId, device.id);
    expect(await ask()).toBeTrue();
    await sql`update edge_sync set downlink_acked = downlink_last where edge_id = ${edgeId}`;
    expect(await ask()).toBeFalse();
  });
});
