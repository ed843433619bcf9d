import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { drizzle } from "drizzle-orm/postgres-js";
import { assignEntity, unassignEntity } from "../../cloud/store/assignment-store.ts";
import { createCloudUnitOfWork, readDownlinks, type CloudUnitOfWork } from "../../cloud/store/downlink-store.ts";
import { saveEdge } from "../../cloud/store/edge-store.ts";
import { createTenant } from "../../cloud/store/tenant-store.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { assetForm } from "../../shared/entities/asset.ts";
import { customerForm } from "../../shared/entities/customer.ts";
import { dashboardForm } from "../../shared/entities/dashboard.ts";
import { deviceProfileForm } from "../../shared/entities/device-profile.ts";
import type { EntityRecord } from "../../shared/entities/entity-record.ts";
import { ruleChainForm } from "../../shared/entities/rule-chain.ts";
import { systemClock as clock } from "../../shared/runtime/system-clock.ts";
import { systemRandom as random } from "../../shared/runtime/system-random.ts";
import { assignCustomer, unassignCustomer } from "../../shared/store/customer-store.ts";
import { saveDevice } from "../../shared/store/device-store.ts";
import { saveForm } from "../../shared/store/entity-save.ts";
import { deleteEntity } from "../../shared/store/entity-store.ts";
import { saveResource } from "../../shared/store/resource-store.ts";
import { saveMetadata } from "../../shared/store/rule-chain-store.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { startTestPostgres, type TestDatabase, type TestPostgres } from "../support/postgres.ts";

const deps = { clock, random };
let postgres: TestPostgres;
let db: Queryable;
let sql: TestDatabase["sql"];
let unitOfWork: CloudUnitOfWork;
let tenantId: Uuid;
let names = 0;

beforeAll(async () => {
  postgres = await startTestPostgres();
  ({ db, sql } = await postgres.createDatabase("cloud"));
  unitOfWork = createCloudUnitOfWork(db, { clock, onCommitted: () => undefined });
  ({ tenantId } = await createTenant(db, deps, { adminEmail: "a@b.c", adminPasswordHash: "" }));
});
afterAll(() => postgres[Symbol.asyncDispose]());

const nextName = (what: string): string => `${what} ${(names += 1)}`;
const newEdge = async (): Promise<Uuid> => {
  const draft = { id: null, tenantId, name: nextName("Edge"), type: "default", label: null, routingKey: null };
  const rest = { secret: null, expectedVersion: null, additionalInfo: null };
  return (await saveEdge(db, deps, { ...draft, ...rest })).edge.id;
};
const newChain = (): Promise<EntityRecord> =>
  unitOfWork.run((tx) =>
    saveForm(tx, deps, { form: ruleChainForm, tenantId, input: { name: nextName("Chain"), type: "EDGE" } }),
  );
const newDashboard = (): Promise<EntityRecord> =>
  unitOfWork.run((tx) =>
    saveForm(tx, deps, { form: dashboardForm, tenantId, input: { title: nextName("Dashboard"), configuration: "{}" } }),
  );
const newCustomer = (): Promise<EntityRecord> =>
  unitOfWork.run((tx) => saveForm(tx, deps, { form: customerForm, tenantId, input: { title: nextName("Customer") } }));
const saveProfile = (input: object = {}): Promise<EntityRecord> =>
  unitOfWork.run((tx) =>
    saveForm(tx, deps, { form: deviceProfileForm, tenantId, input: { name: nextName("Profile"), ...input } }),
  );
const newDevice = (profile: EntityRecord): Promise<EntityRecord> =>
  unitOfWork.run((tx) =>
    saveDevice(tx, deps, { tenantId, input: { name: nextName("Device"), deviceProfileId: profile.id } }),
  );
/** `from` hands messages to `to`. */
const link = (from: EntityRecord, to: EntityRecord): Promise<EntityRecord> => {
  const configuration = { ruleChainId: to.id };
  const node = { type: "org.thingsboard.rule.engine.flow.TbRuleChainInputNode", name: "to", configuration };
  return unitOfWork.run((tx) =>
    saveMetadata(tx, deps, { tenantId, input: { ruleChainId: from.id, firstNodeIndex: 0, nodes: [node] } }),
  );
};
const assign = (edgeId: Uuid, { entityType, id }: EntityRecord) =>
  unitOfWork.runEvents((tx) =>
    assignEntity(tx, { edgeId, tenantId, type: entityType, entityId: id }, { nowMs: clock.nowMs() }),
  );
const unassign = (edgeId: Uuid, { entityType, id }: EntityRecord) =>
  unitOfWork.runEvents((tx) => unassignEntity(tx, { edgeId, tenantId, type: entityType, entityId: id }));
const remove = ({ entityType, id }: EntityRecord) => unitOfWork.run((tx) => deleteEntity(tx, { type: entityType, id }));

/** Downlinks of an edge since the last look: `<action> <name>`. */
function watch(edgeId: Uuid) {
  let seen = 0;
  return async (): Promise<string[]> => {
    const rows = await readDownlinks(db, edgeId, { afterSeq: seen, limit: 1000 });
    seen = rows.at(-1)?.seq ?? seen;
    return rows.map(({ action, entityId }) => `${action} ${entityId}`);
  };
}

const added = ({ id }: EntityRecord): string => `ADDED ${id}`;
const assigned = ({ id }: EntityRecord): string => `ASSIGNED_TO_EDGE ${id}`;
const updated = ({ id }: EntityRecord): string => `UPDATED ${id}`;
const left = ({ id }: EntityRecord): string => `UNASSIGNED_FROM_EDGE ${id}`;

describe("what an entity needs", () => {
  test("goes to the edge before it, all the way down, and leaves after it", async () => {
    const edgeId = await newEdge();
    const news = watch(edgeId);
    const [dashboard, chain, next] = [await newDashboard(), await newChain(), await newChain()];
    await link(chain, next);
    const profile = await saveProfile({ defaultDashboardId: dashboard.id, defaultEdgeRuleChainId: chain.id });
    const [device, other] = [await newDevice(profile), await newDevice(profile)];
    await assign(edgeId, device);
    const chains = [added(chain), added(next)].toSorted();
    const first = await news();
    expect(first.slice(0, 2).toSorted()).toEqual(chains);
    expect(first.slice(2)).toEqual([added(dashboard), added(profile), assigned(device)]);
    await assign(edgeId, other);
    expect(await news()).toEqual([assigned(other)]);
    await unassign(edgeId, device);
    expect(await news()).toEqual([left(device)]);
    await unassign(edgeId, other);
    const last = await news();
    expect(last.slice(0, 2)).toEqual([left(other), left(profile)]);
    expect(last.slice(2).toSorted()).toEqual([left(dashboard), left(chain), left(next)].toSorted());
  });

  test("stays where something else needs it, and what people assigned stays with it", async () => {
    const [edgeId, second] = [await newEdge(), await newEdge()];
    const [news, secondNews] = [watch(edgeId), watch(second)];
    const dashboard = await newDashboard();
    const [one, two] = [
      await saveProfile({ defaultDashboardId: dashboard.id }),
      await saveProfile({ defaultDashboardId: dashboard.id }),
    ];
    const [a, b] = [await newDevice(one), await newDevice(two)];
    for (const device of [a, b]) await assign(edgeId, device);
    await assign(second, a);
    await news();
    await secondNews();
    await unassign(edgeId, a);
    expect(await news()).toEqual([left(a), left(one)]);
    expect(await secondNews()).toEqual([]);
    await assign(edgeId, dashboard);
    expect(await news()).toEqual([assigned(dashboard)]);
    await unassign(edgeId, b);
    expect(await news()).toEqual([left(b), left(two)]);
    await unassign(edgeId, dashboard);
    expect(await news()).toEqual([left(dashboard)]);
  });

  test("unassigned by hand stays while something needs it", async () => {
    const edgeId = await newEdge();
    const news = watch(edgeId);
    const dashboard = await newDashboard();
    const device = await newDevice(await saveProfile({ defaultDashboardId: dashboard.id }));
    await assign(edgeId, dashboard);
    await assign(edgeId, device);
    await news();
    await unassign(edgeId, dashboard);
    expect(await news()).toEqual([]);
    await unassign(edgeId, device);
    expect((await news()).at(-1)).toBe(left(dashboard));
  });

  test("follows when it changes: the new one before the change, the old one after it, on every edge", async () => {
    const edges = [await newEdge(), await newEdge()];
    const [before, after] = [await newDashboard(), await newDashboard()];
    const profile = await saveProfile({ defaultDashboardId: before.id });
    const device = await newDevice(profile);
    const news = edges.map(watch);
    for (const edgeId of edges) await assign(edgeId, device);
    for (const look of news) await look();
    await saveProfile({ id: profile.id, name: profile.name, defaultDashboardId: after.id });
    for (const look of news) expect(await look()).toEqual([added(after), updated(profile), left(before)]);
    const other = await saveProfile();
    await unitOfWork.run((tx) =>
      saveDevice(tx, deps, { tenantId, input: { id: device.id, name: device.name, deviceProfileId: other.id } }),
    );
    for (const look of news) {
      expect(await look()).toEqual([added(other), updated(device), left(profile), left(after)]);
    }
  });

  test("follows a change of a follower, and leaves with an entity that is deleted", async () => {
    const edgeId = await newEdge();
    const news = watch(edgeId);
    const [chain, next] = [await newChain(), await newChain()];
    const profile = await saveProfile({ defaultRuleChainId: chain.id });
    const device = await newDevice(profile);
    await assign(edgeId, device);
    await news();
    await link(chain, next);
    expect(await news()).toEqual([added(next), updated(chain)]);
    await remove(device);
    expect(await news()).toEqual([`DELETED ${device.id}`, left(profile), left(chain), left(next)]);
    const [row] = await sql<
      { rows: number }[]
    >`select count(*)::int as rows from edge_assignment where edge_id = ${edgeId}`;
    expect(row?.rows).toBe(0);
  });

  test("is the customer too, as long as something of it is there", async () => {
    const edgeId = await newEdge();
    const news = watch(edgeId);
    const customer = await newCustomer();
    const asset = await unitOfWork.run((tx) =>
      saveForm(tx, deps, { form: assetForm, tenantId, input: { name: nextName("Asset") } }),
    );
    await assign(edgeId, asset);
    await news();
    const key = { type: "ASSET" as const, id: asset.id, tenantId };
    await unitOfWork.run((tx) => assignCustomer(tx, key, customer.id));
    expect(await news()).toEqual([added(customer), updated(asset)]);
    await unitOfWork.run((tx) => unassignCustomer(tx, key));
    expect(await news()).toEqual([updated(asset), left(customer)]);
  });

  test("is not lost between those who assign and those who unassign at the same time", async () => {
    for (let round = 0; round < 20; round += 1) {
      const edgeId = await newEdge();
      const dashboard = await newDashboard();
      const profile = await saveProfile();
      const [a, b] = [await newDevice(profile), await newDevice(profile)];
      await assign(edgeId, a);
      await Promise.all([
        unassign(edgeId, a),
        assign(edgeId, b),
        saveProfile({ id: profile.id, name: profile.name, defaultDashboardId: dashboard.id }),
      ]);
      const rows = await sql<{ id: string }[]>`select entity_id as id from edge_assignment where edge_id = ${edgeId}`;
      expect(rows.map(({ id }) => id).toSorted()).toEqual([b.id, profile.id, dashboard.id].toSorted());
    }
  });
});

describe("a file of the tenant", () => {
  const content = { sha256: "0".repeat(64), bytes: 1 };
  const newFile = (fileName: string): Promise<EntityRecord> =>
    unitOfWork.run((tx) =>
      saveResource(tx, deps, {
        tenantId,
        input: { title: nextName("File"), resourceType: "IMAGE", fileName },
        file: { content, contentType: null },
      }),
    );
  const naming = (fileName: string, dashboard?: EntityRecord): Promise<EntityRecord> => {
    const configuration = JSON.stringify({ background: `tb-image;/api/images/tenant/${fileName}` });
    const input = { id: dashboard?.id, title: nextName("Dashboard"), configuration };
    return unitOfWork.run((tx) => saveForm(tx, deps, { form: dashboardForm, tenantId, input }));
  };

  test("goes where something names it by link, whichever was there first, and leaves with the last that does", async () => {
    const edgeId = await newEdge();
    const news = watch(edgeId);
    const early = await newFile("early plan.png");
    const dashboard = await naming("early plan.png");
    await assign(edgeId, dashboard);
    expect(await news()).toEqual([added(early), assigned(dashboard)]);
    const [second] = [await naming("late.png")];
    await assign(edgeId, second);
    expect(await news()).toEqual([assigned(second)]);
    const late = await newFile("late.png");
    expect((await news())[0]).toBe(added(late));
    await naming("late.png", dashboard);
    expect(await news()).toEqual([updated(dashboard), left(early)]);
    await unassign(edgeId, second);
    expect(await news()).toEqual([left(second)]);
    await remove(dashboard);
    expect(await news()).toEqual([`DELETED ${dashboard.id}`, left(late)]);
  });

  test("that is deleted although something names it leaves every edge", async () => {
    const edgeId = await newEdge();
    const news = watch(edgeId);
    const file = await newFile("gone.png");
    await assign(edgeId, await naming("gone.png"));
    await news();
    await remove(file);
    expect(await news()).toEqual([`DELETED ${file.id}`]);
  });

  test("is not missed between those who make it and those who name it at the same time", async () => {
    const edgeId = await newEdge();
    const dashboards = await Promise.all(Array.from({ length: 8 }, () => naming("none.png")));
    for (const dashboard of dashboards) await assign(edgeId, dashboard);
    const files = await Promise.all(
      dashboards.flatMap((dashboard, index) => [newFile(`race-${index}.png`), naming(`race-${index}.png`, dashboard)]),
    );
    const rows =
      await sql`select entity_id from edge_assignment where edge_id = ${edgeId} and entity_type = 'TB_RESOURCE'`;
    const wanted = files.filter(({ entityType }) => entityType === "TB_RESOURCE").map(({ id }) => id);
    expect(rows.map((row) => row["entity_id"] as Uuid).toSorted()).toEqual(wanted.toSorted());
  });
});

test("a full comparison works out anew what follows what", async () => {
  const edgeId = await newEdge();
  const [dashboard, stray] = [await newDashboard(), await newDashboard()];
  const device = await newDevice(await saveProfile({ defaultDashboardId: dashboard.id }));
  await assign(edgeId, device);
  const news = watch(edgeId);
  await news();
  await sql`delete from edge_assignment where edge_id = ${edgeId} and entity_id = ${dashboard.id}`;
  await sql`insert into edge_assignment values (${edgeId}, ${stray.id}, 'DASHBOARD', 1, true)`;
  await unitOfWork.requestSync(edgeId, { full: false });
  expect(await news()).toEqual([added(dashboard), left(stray)]);
});

test("one write that 1,000 edges follow stays one short transaction", async () => {
  const edges: Uuid[] = [];
  for (let index = 0; index < 1000; index += 1) edges.push(await newEdge());
  const [before, after] = [await newDashboard(), await newDashboard()];
  const profile = await saveProfile({ defaultDashboardId: before.id });
  const device = await newDevice(profile);
  const rows = [profile, before, device].flatMap((record) =>
    edges.map((edgeId) => ({
      edge_id: edgeId,
      entity_id: record.id,
      entity_type: record.entityType,
      assigned_ms: 1,
      follows: record !== device,
    })),
  );
  for (let at = 0; at < rows.length; at += 500) await sql`insert into edge_assignment ${sql(rows.slice(at, at + 500))}`;
  const { id, name } = profile;
  // Lock, replace, record.
  expect(await countStatements({ id, name, description: "new", defaultDashboardId: before.id })).toBe(3);
  // Also: look at the new one, lock the edges, add it, drop the old one with its own needs, record that.
  expect(await countStatements({ id, name, defaultDashboardId: after.id })).toBeLessThanOrEqual(12);
  const [count] = await sql<{ edges: number; rows: number }[]>`
    select count(distinct edge_id)::int as edges, count(*)::int as rows from edge_event where entity_id in (${profile.id}, ${after.id}, ${before.id})`;
  expect(count).toEqual({ edges: 1000, rows: 4000 });
}, 60_000);

/** Statements that saving a profile takes, without begin and commit. */
async function countStatements(input: object): Promise<number> {
  let statements = 0;
  const counting = drizzle({ client: sql, logger: { logQuery: () => (statements += 1) } });
  const counted = createCloudUnitOfWork(counting, { clock, onCommitted: () => undefined });
  await counted.run((tx) => saveForm(tx, deps, { form: deviceProfileForm, tenantId, input: { name: "", ...input } }));
  return statements;
}
