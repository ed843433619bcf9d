import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { loadEntityChanges } from "../../cloud/store/downlink-source.ts";
import { readDownlinks } from "../../cloud/store/downlink-store.ts";
import { openSession } from "../../cloud/store/edge-session-store.ts";
import { hashEdgeSecret } from "../../cloud/store/edge-store.ts";
import { applyUplink } from "../../cloud/store/uplink-apply.ts";
import { createUuid, NULL_UUID, type Uuid } from "../../shared/core/ids.ts";
import { assetForm } from "../../shared/entities/asset.ts";
import type { Change } from "../../shared/entities/change.ts";
import { dashboardForm } from "../../shared/entities/dashboard.ts";
import type { EntityForm, EntityInput } from "../../shared/entities/entity-kind.ts";
import type { EntityRecord } from "../../shared/entities/entity-record.ts";
import type { KindType } from "../../shared/entities/entity-types.ts";
import { ruleChainForm } from "../../shared/entities/rule-chain.ts";
import { systemRandom as random } from "../../shared/runtime/system-random.ts";
import { applyChange } from "../../shared/store/apply-change.ts";
import { saveDevice } from "../../shared/store/device-store.ts";
import { saveForm } from "../../shared/store/entity-save.ts";
import { deleteEntity, findEntity } from "../../shared/store/entity-store.ts";
import { saveEntityView } from "../../shared/store/entity-view-store.ts";
import { saveMetadata } from "../../shared/store/rule-chain-store.ts";
import type { Outcome, Queryable } from "../../shared/store/unit-of-work.ts";
import type { Rejection } from "../../shared/sync/frames.ts";
import { encodeItems } from "../../shared/wire/changes-codec.ts";
import { compress } from "../../shared/wire/compression.ts";
import { createTestBlobs, startTestPostgres, type TestDatabase, type TestPostgres } from "../support/postgres.ts";
import { startTestCloud, type TestCloud } from "../support/test-cloud.ts";
import { HELLO } from "../unit/sync-values.ts";

// The cloud as people use it over REST, and edges over their stores; what goes between them is read, encoded and applied as in a session.

let cloud: TestCloud;
let postgres: TestPostgres;
let edge: TestSite;
let names = 0;
beforeAll(async () => {
  cloud = await startTestCloud();
  postgres = await startTestPostgres();
});
afterAll(async () => {
  await cloud[Symbol.asyncDispose]();
  await postgres[Symbol.asyncDispose]();
});
beforeEach(async () => {
  edge = await TestSite.start();
});

const nextName = (what: string): string => `${what} ${(names += 1)}`;

interface Entity {
  readonly id: { readonly id: Uuid };
  readonly name: string;
  readonly version: number;
  readonly [key: string]: unknown;
}

class TestSite {
  readonly database: TestDatabase;
  readonly edgeId: Uuid;
  readonly name: string;
  readonly storeId = createUuid(cloud.clock, random);
  readonly outbox: Change[] = [];
  #session = 0;
  #sent = 0;
  #received = 0;

  private constructor(database: TestDatabase, edgeId: Uuid, name: string) {
    this.database = database;
    this.edgeId = edgeId;
    this.name = name;
  }

  static async start(): Promise<TestSite> {
    const name = nextName("Edge");
    const record = await cloud.call<Entity & { routingKey: string; secret: string }>("POST", "/api/edge", { name });
    const site = new TestSite(await postgres.createDatabase("edge"), record.id.id, name);
    const { tenantId } = cloud.first;
    const secretHash = hashEdgeSecret(record.routingKey, record.secret);
    const account = { edgeId: site.edgeId, tenantId, name, type: "default", secretHash };
    const lanes = (["config", "telemetry"] as const).map((lane) => ({
      lane,
      nextSeq: 1,
      oldestSeq: 1,
      ackedSeq: 0,
      firstSeq: 1,
    }));
    const opened = await openSession(
      cloud.database.db,
      account,
      {
        ...HELLO,
        storeId: site.storeId,
        lanes,
        cloudId: NULL_UUID,
        machineId: null,
        wallClockMs: cloud.clock.nowMs(),
      },
      { cloudId: NULL_UUID, replicaId: NULL_UUID, clock: cloud.clock },
    );
    site.#session = opened.session;
    return site;
  }

  get db(): Queryable {
    return this.database.db;
  }

  /** What people do on the edge. */
  async run<T>(
    work: (tx: Queryable, deps: { clock: typeof cloud.clock; random: typeof random }) => Promise<Outcome<T>>,
  ): Promise<T> {
    const outcome = await this.db.transaction((tx) => work(tx, { clock: cloud.clock, random }));
    this.outbox.push(...outcome.changes);
    return outcome.result;
  }

  save<Input extends EntityInput>(form: EntityForm<Input>, input: Input): Promise<EntityRecord> {
    return this.run((tx, deps) => saveForm(tx, deps, { form, tenantId: cloud.first.tenantId, input }));
  }

  saveDevice(input: {
    readonly name: string;
    readonly id?: Uuid;
    readonly label?: string;
    readonly additionalInfo?: { readonly [key: string]: number };
  }): Promise<EntityRecord> {
    return this.run((tx, deps) => saveDevice(tx, deps, { tenantId: cloud.first.tenantId, input }));
  }

  remove(type: KindType, id: Uuid): Promise<EntityRecord> {
    return this.run((tx) => deleteEntity(tx, { type, id }));
  }

  find(type: KindType, id: Uuid): Promise<EntityRecord | null> {
    return findEntity(this.db, { type, id });
  }

  async up(): Promise<readonly Rejection[]> {
    const changes = this.outbox.splice(0);
    const rejections: Rejection[] = [];
    for (const change of changes) {
      this.#sent += 1;
      const payload = encodeItems([{ changedMs: cloud.clock.nowMs(), changes: [change] }]);
      const batch = { type: "batch", lane: "config", firstSeq: this.#sent, count: 1, ...compress(payload) } as const;
      const { edgeId, storeId, name: edgeName } = this;
      const { tenantId } = cloud.first;
      const session = this.#session;
      const origin = { edgeId, storeId, lane: "config", session, tenantId, edgeName, cloudVersion: "2.0.0" } as const;
      const deps = { clock: cloud.clock, random, blobs: createTestBlobs(cloud.database) };
      rejections.push(...(await applyUplink(cloud.database.db, deps, { origin, batches: [batch] })).rejections);
    }
    return rejections;
  }

  /** @returns what the edge refused */
  async down(): Promise<string[]> {
    const refused: string[] = [];
    const rows = await readDownlinks(cloud.database.db, this.edgeId, { afterSeq: this.#received, limit: 1000 });
    for (const row of rows) {
      this.#received = row.seq;
      for (const change of await loadEntityChanges(cloud.database.db, row, cloud.clock.nowMs())) {
        const context = {
          from: "cloud",
          tenantId: cloud.first.tenantId,
          edgeName: this.name,
          changedMs: row.createdMs,
        } as const;
        const deps = { clock: cloud.clock, random };
        const result = await this.db.transaction((tx) => applyChange(tx, deps, { change, context }));
        if (result.kind === "rejected") refused.push(result.text);
        else this.outbox.push(...result.followUps);
      }
    }
    return refused;
  }

  /** Until nothing is on its way. @returns what was refused */
  async settle(): Promise<string[]> {
    const refused: string[] = [];
    for (let round = 0; round < 10; round += 1) {
      const before = this.#received;
      refused.push(...(await this.up()).map(({ text }) => text), ...(await this.down()));
      if (this.outbox.length === 0 && this.#received === before) return refused;
    }
    throw new Error("The two sides never come to rest");
  }
}

const contentOf = ({ tenantId: _tenant, createdMs: _created, ...rest }: EntityRecord) => rest;
const inCloud = (type: KindType, id: Uuid) => findEntity(cloud.database.db, { type, id });
async function expectSame(type: KindType, id: Uuid, site: TestSite = edge): Promise<void> {
  const [here, there] = [await inCloud(type, id), await site.find(type, id)];
  if (here === null || there === null) throw new Error(`${type} is not on both sides`);
  expect(contentOf(there)).toEqual(contentOf(here));
}
const create = (path: string, input: object = {}): Promise<Entity> =>
  cloud.call("POST", `/api/${path}`, { name: nextName(path), title: nextName(path), ...input });
const conflicts = async (site: TestSite = edge): Promise<readonly Record<string, unknown>[]> =>
  (
    await cloud.call<{ data: Record<string, unknown>[] }>(
      "GET",
      `/api/edge/${site.edgeId}/conflicts?pageSize=100&page=0`,
    )
  ).data;

const KINDS: readonly (readonly [string, KindType, () => Promise<Entity>])[] = [
  ["device", "DEVICE", () => create("device")],
  ["asset", "ASSET", () => create("asset")],
  ["dashboard", "DASHBOARD", () => create("dashboard", { configuration: { b: 1, "2": 2 } })],
  ["ruleChain", "RULE_CHAIN", () => create("ruleChain", { type: "EDGE" })],
  [
    "entityView",
    "ENTITY_VIEW",
    async () => {
      const device = await create("device");
      await cloud.call("POST", `/api/edge/${edge.edgeId}/device/${device.id.id}`);
      return create("entityView", { entityId: device.id });
    },
  ],
];

describe.each(KINDS)("a %s of the cloud", (word, type, make) => {
  test("is assigned, updated, unassigned and deleted", async () => {
    const entity = await make();
    const { id } = entity.id;
    const path = `/api/edge/${edge.edgeId}/${word}/${id}`;
    await cloud.call("POST", path);
    expect(await edge.settle()).toEqual([]);
    await expectSame(type, id);
    const name = nextName("Renamed");
    await cloud.call("POST", `/api/${word}`, { ...entity, name, title: name });
    await edge.settle();
    expect((await edge.find(type, id))?.name).toBe(name);
    await expectSame(type, id);
    await cloud.call("DELETE", path);
    await edge.settle();
    expect(await edge.find(type, id)).toBeNull();
    await cloud.call("POST", path);
    await edge.settle();
    await cloud.call("DELETE", `/api/${word}/${id}`);
    expect(await edge.settle()).toEqual([]);
    expect(await edge.find(type, id)).toBeNull();
    expect(await inCloud(type, id)).toBeNull();
  });
});

describe("an entity made on the edge", () => {
  const makeOnEdge: Readonly<Record<string, () => Promise<EntityRecord>>> = {
    DEVICE: () => edge.saveDevice({ name: nextName("Device") }),
    ASSET: () => edge.save(assetForm, { name: nextName("Asset") }),
    DASHBOARD: () => edge.save(dashboardForm, { title: nextName("Dashboard"), configuration: '{ "a":1.0 }' }),
    RULE_CHAIN: async () => {
      const chain = await edge.save(ruleChainForm, { name: nextName("Chain"), type: "EDGE" });
      const metadata = { ruleChainId: chain.id, firstNodeIndex: 0, nodes: [{ type: "t.Node", name: "N" }] };
      const { tenantId } = cloud.first;
      return edge.run((tx, deps) => saveMetadata(tx, deps, { tenantId, input: metadata }));
    },
    ENTITY_VIEW: async () => {
      const { id } = await edge.saveDevice({ name: nextName("Device") });
      const input = { name: nextName("View"), entityId: { entityType: "DEVICE" as const, id } };
      return edge.run((tx, deps) => saveEntityView(tx, deps, { tenantId: cloud.first.tenantId, input }));
    },
  };

  test.each(KINDS.map(([word, type]) => [word, type] as const))(
    "arrives in the cloud as the same %s, assigned to the edge, and is deleted there with it",
    async (word, type) => {
      const { id } = (await makeOnEdge[type]?.()) ?? { id: NULL_UUID };
      expect(await edge.settle()).toEqual([]);
      await expectSame(type, id);
      const list = await cloud.call<{ data: Entity[] }>("GET", `/api/edge/${edge.edgeId}/${word}s?pageSize=10&page=0`);
      expect(list.data.map((entity) => entity.id.id)).toContain(id);
      await edge.remove(type, id);
      expect(await edge.settle()).toEqual([]);
      expect(await inCloud(type, id)).toBeNull();
    },
  );

  test("of a name that is taken is renamed after the edge, on both sides, and listed", async () => {
    const theirs = await create("device");
    const { id } = await edge.saveDevice({ name: theirs.name });
    await edge.settle();
    await expectSame("DEVICE", id);
    const name = `${theirs.name} (${edge.name})`;
    expect((await edge.find("DEVICE", id))?.name).toBe(name);
    expect(await conflicts()).toMatchObject([
      { kind: "name", entityName: name, fields: [{ field: "name", dropped: JSON.stringify(theirs.name) }] },
    ]);
  });
});

describe("edits of both sides", () => {
  const shared = async () => {
    const device = await create("device", { label: "old", additionalInfo: { a: 1 } });
    await cloud.call("POST", `/api/edge/${edge.edgeId}/device/${device.id.id}`);
    await edge.settle();
    return device;
  };
  const editInCloud = (device: Entity, more: object): Promise<Entity> =>
    cloud.call("POST", "/api/device", { ...device, version: null, ...more });

  test.each(["up", "down"] as const)("of different fields are joined, %s first", async (first) => {
    const device = await shared();
    await edge.saveDevice({ id: device.id.id, name: device.name, label: "from the edge", additionalInfo: { a: 1 } });
    const name = nextName("From the cloud");
    await editInCloud(device, { name });
    await edge[first]();
    await edge.settle();
    await expectSame("DEVICE", device.id.id);
    expect(await edge.find("DEVICE", device.id.id)).toMatchObject({ name, label: "from the edge" });
    expect(await conflicts()).toEqual([]);
  });

  test.each(["up", "down"] as const)(
    "of one field: the cloud's stays, and the conflict is listed, %s first",
    async (first) => {
      const device = await shared();
      const { id } = device.id;
      for (const label of ["one", "edge"])
        await edge.saveDevice({ id, name: device.name, label, additionalInfo: { a: 2 } });
      await editInCloud(device, { label: "cloud" });
      await edge[first]();
      await edge.settle();
      await expectSame("DEVICE", id);
      expect(await edge.find("DEVICE", id)).toMatchObject({ label: "cloud", body: { additionalInfo: { a: 2 } } });
      const [conflict, ...more] = await conflicts();
      if (conflict === undefined) throw new Error("No conflict is listed");
      expect(conflict).toMatchObject({
        kind: "fields",
        entityId: device.id,
        fields: [{ field: "label", kept: '"cloud"', dropped: '"edge"' }],
      });
      const path = `/api/edge/${edge.edgeId}/conflicts/${(conflict["id"] as { id: string }).id}`;
      await cloud.call("DELETE", path);
      expect(await conflicts()).toEqual(more);
      expect((await cloud.request("DELETE", path)).status).toBe(404);
    },
  );

  test("that are the same are no conflict, and nothing goes back and forth", async () => {
    const device = await shared();
    await edge.saveDevice({ id: device.id.id, name: device.name, label: "same", additionalInfo: { a: 1 } });
    await editInCloud(device, { label: "same" });
    await edge.settle();
    await expectSame("DEVICE", device.id.id);
    expect(await conflicts()).toEqual([]);
    expect((await inCloud("DEVICE", device.id.id))?.version).toBe(2);
  });

  test("one of them a deletion in the cloud: it is gone on both sides, and listed", async () => {
    const device = await shared();
    await edge.saveDevice({ id: device.id.id, name: device.name, label: "late" });
    await cloud.call("DELETE", `/api/device/${device.id.id}`);
    expect(await edge.settle()).toEqual([]);
    expect([await edge.find("DEVICE", device.id.id), await inCloud("DEVICE", device.id.id)]).toEqual([null, null]);
    expect(await conflicts()).toMatchObject([{ kind: "deleted", entityName: device.name }]);
  });

  test("of two edges meet in the cloud and come to one state everywhere", async () => {
    const other = await TestSite.start();
    const device = await shared();
    const { id } = device.id;
    await cloud.call("POST", `/api/edge/${other.edgeId}/device/${id}`);
    await other.settle();
    await edge.saveDevice({ id, name: device.name, label: "one", additionalInfo: { a: 1 } });
    await other.saveDevice({ id, name: device.name, label: "old", additionalInfo: { a: 9 } });
    for (let round = 0; round < 3; round += 1) {
      await edge.settle();
      await other.settle();
    }
    await expectSame("DEVICE", id);
    await expectSame("DEVICE", id, other);
    expect(await inCloud("DEVICE", id)).toMatchObject({ label: "one", body: { additionalInfo: { a: 9 } } });
  });
});

describe("rights of an edge", () => {
  const setRights = (rights: object) => cloud.call("POST", `/api/edge/${edge.edgeId}/rights`, rights);

  test("are all at first, and refuse what there is not", async () => {
    expect(await cloud.call("GET", `/api/edge/${edge.edgeId}/rights`)).toMatchObject({
      deletes: "DELETE",
      changes: expect.arrayContaining(["DEVICE", "RULE_CHAIN"]) as unknown,
    });
    const wrong = { changes: ["CUSTOMER"], deletes: "DELETE" };
    expect((await cloud.request("POST", `/api/edge/${edge.edgeId}/rights`, { body: wrong })).status).toBe(400);
    const foreign = { body: { changes: [], deletes: "DELETE" }, token: cloud.second.token };
    expect((await cloud.request("POST", `/api/edge/${edge.edgeId}/rights`, foreign)).status).toBe(404);
  });

  test("deletes that unassign: what is deleted on the edge stays in the cloud", async () => {
    await setRights({ changes: ["DEVICE", "DEVICE_PROFILE"], deletes: "UNASSIGN" });
    const { id } = await edge.saveDevice({ name: nextName("Device") });
    await edge.settle();
    await edge.remove("DEVICE", id);
    expect(await edge.settle()).toEqual([]);
    expect(await inCloud("DEVICE", id)).not.toBeNull();
    expect(await edge.find("DEVICE", id)).toBeNull();
  });

  test("what it may not change is put back, and what it may not make is refused", async () => {
    const dashboard = await create("dashboard");
    const { id } = dashboard.id;
    await cloud.call("POST", `/api/edge/${edge.edgeId}/dashboard/${id}`);
    await edge.settle();
    await setRights({ changes: ["DEVICE"], deletes: "DELETE" });
    await edge.save(dashboardForm, { id, title: "Altered" });
    await edge.settle();
    await expectSame("DASHBOARD", id);
    expect((await edge.find("DASHBOARD", id))?.name).toBe(dashboard.name);
    await edge.remove("DASHBOARD", id);
    await edge.settle();
    await expectSame("DASHBOARD", id);
    expect((await conflicts()).map(({ kind }) => kind)).toEqual(["not-allowed", "not-allowed"]);
    await edge.save(dashboardForm, { title: "New" });
    expect(await edge.settle()).toEqual(["This edge may not make entities of type DASHBOARD"]);
  });
});

test("a device on two edges, unassigned from one, goes on through the other", async () => {
  const other = await TestSite.start();
  const device = await create("device");
  const { id } = device.id;
  for (const site of [edge, other]) {
    await cloud.call("POST", `/api/edge/${site.edgeId}/device/${id}`);
    await site.settle();
  }
  await cloud.call("DELETE", `/api/edge/${edge.edgeId}/device/${id}`);
  await edge.settle();
  expect(await edge.find("DEVICE", id)).toBeNull();
  await other.saveDevice({ id, name: device.name, label: "still here" });
  expect(await other.settle()).toEqual([]);
  expect(await inCloud("DEVICE", id)).toMatchObject({ label: "still here" });
});

test("what a device needs follows it to the edge, and a profile deleted during an outage is deleted afterwards", async () => {
  const dashboard = await create("dashboard", { configuration: { w: 1 } });
  const customer = await create("customer", { city: "Ulm" });
  const profile = await create("deviceProfile", { defaultDashboardId: dashboard.id });
  const device = await create("device", { deviceProfileId: profile.id, customerId: customer.id });
  await cloud.call("POST", `/api/edge/${edge.edgeId}/device/${device.id.id}`);
  expect(await edge.settle()).toEqual([]);
  const all = [
    ["DASHBOARD", dashboard],
    ["CUSTOMER", customer],
    ["DEVICE_PROFILE", profile],
    ["DEVICE", device],
  ] as const;
  for (const [type, entity] of all) await expectSame(type, entity.id.id);
  await cloud.call("DELETE", `/api/device/${device.id.id}`);
  await cloud.call("DELETE", `/api/deviceProfile/${profile.id.id}`);
  expect(await edge.settle()).toEqual([]);
  for (const [type, entity] of all) expect(await edge.find(type, entity.id.id)).toBeNull();
});
