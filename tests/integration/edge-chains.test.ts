import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readEdgeSettings } from "../../cloud/store/edge-settings.ts";
import { ensureRootChainsOfAll } from "../../cloud/store/tenant-store.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { systemRandom } from "../../shared/runtime/system-random.ts";
import { addCustomerUser, startTestCloud, type TestCloud, withoutChains } from "../support/test-cloud.ts";

let cloud: TestCloud;
beforeAll(async () => {
  cloud = await startTestCloud();
});
afterAll(() => cloud[Symbol.asyncDispose]());

interface Entity {
  readonly id: { readonly id: string };
  readonly customerId: { readonly id: string };
  readonly rootRuleChainId: { readonly id: string };
  readonly name: string;
}

const NULL_ID = "13814000-1dd2-11b2-8080-808080808080";
const PAGE = "pageSize=100&page=0";
let names = 0;
const create = (path: string, input: object = {}): Promise<Entity> => {
  names += 1;
  return cloud.call("POST", `/api/${path}`, { name: `${path} ${names}`, title: `${path} ${names}`, ...input });
};
const told = async (edge: Entity): Promise<string[]> => {
  const page = await cloud.call<{ data: { action: string; entityId: string }[] }>(
    "GET",
    `/api/edge/${edge.id.id}/events?${PAGE}`,
  );
  return page.data.map(({ action, entityId }) => `${action} ${entityId}`);
};
const message = async (method: string, path: string) => {
  const { status, json } = await cloud.request(method, path);
  return [status, json?.["errorCode"], json?.["message"]];
};

describe("the customer of an edge", () => {
  test("goes to the edge with it, and leaves with it", async () => {
    const [edge, one, two] = [await create("edge"), await create("customer"), await create("customer")];
    await withoutChains(cloud, edge);
    const path = (customer: Entity) => `/api/customer/${customer.id.id}/edge/${edge.id.id}`;
    expect(await cloud.call<Entity>("POST", path(one))).toMatchObject({ customerId: one.id });
    await cloud.call("POST", path(one));
    await cloud.call("POST", path(two));
    expect(await cloud.call("GET", `/api/edge/info/${edge.id.id}`)).toMatchObject({ customerTitle: two.name });
    expect(await cloud.call<Entity>("DELETE", `/api/customer/edge/${edge.id.id}`)).toMatchObject({
      customerId: { id: NULL_ID },
    });
    expect(await told(edge)).toEqual([
      `ADDED ${one.id.id}`,
      `ADDED ${two.id.id}`,
      `UNASSIGNED_FROM_EDGE ${one.id.id}`,
      `UNASSIGNED_FROM_EDGE ${two.id.id}`,
    ]);
    expect(await message("DELETE", `/api/customer/edge/${edge.id.id}`)).toEqual([
      400,
      31,
      "Edge isn't assigned to any customer!",
    ]);
  });

  test("stays on the edge while a device of it is there", async () => {
    const [edge, customer] = [await create("edge"), await create("customer")];
    const device = await create("device", { customerId: customer.id });
    await cloud.call("POST", `/api/customer/${customer.id.id}/edge/${edge.id.id}`);
    await cloud.call("POST", `/api/edge/${edge.id.id}/device/${device.id.id}`);
    await cloud.call("DELETE", `/api/customer/edge/${edge.id.id}`);
    expect(await told(edge)).not.toContain(`UNASSIGNED_FROM_EDGE ${customer.id.id}`);
    await cloud.call("DELETE", `/api/edge/${edge.id.id}/device/${device.id.id}`);
    expect((await told(edge)).at(-1)).toBe(`UNASSIGNED_FROM_EDGE ${customer.id.id}`);
  });

  test("deleted, is deleted on the edge, which belongs to nobody then", async () => {
    const [edge, customer] = [await create("edge"), await create("customer")];
    await cloud.call("POST", `/api/customer/${customer.id.id}/edge/${edge.id.id}`);
    await cloud.call("DELETE", `/api/customer/${customer.id.id}`);
    expect((await told(edge)).at(-1)).toBe(`DELETED ${customer.id.id}`);
    expect(await cloud.call<Entity>("GET", `/api/edge/${edge.id.id}`)).toMatchObject({ customerId: { id: NULL_ID } });
  });

  test("has its edges in lists, for its users too, and none of another tenant's", async () => {
    const { customerId, token } = await addCustomerUser(cloud);
    const edge = await create("edge");
    await create("edge");
    await cloud.call("POST", `/api/customer/${customerId}/edge/${edge.id.id}`);
    for (const list of ["edges", "edgeInfos"]) {
      const answer = await cloud.request("GET", `/api/customer/${customerId}/${list}?${PAGE}`, { token });
      expect(answer.json).toMatchObject({ totalElements: 1, data: [{ name: edge.name }] });
    }
    const foreign = await cloud.request("POST", "/api/customer", { body: { title: "T" }, token: cloud.second.token });
    const foreignId = (foreign.json as unknown as Entity).id.id;
    expect((await cloud.request("POST", `/api/customer/${foreignId}/edge/${edge.id.id}`)).status).toBe(404);
  });
});

describe("rule chains of an edge", () => {
  test("a new edge gets the template root and the chains for every new edge", async () => {
    const [root, auto] = [await create("ruleChain", { type: "EDGE" }), await create("ruleChain", { type: "EDGE" })];
    await cloud.call("POST", `/api/ruleChain/${root.id.id}/edgeTemplateRoot`);
    await cloud.call("POST", `/api/ruleChain/${auto.id.id}/autoAssignToEdge`);
    const edge = await create("edge");
    expect(edge.rootRuleChainId).toEqual(root.id);
    expect(await told(edge)).toEqual([`ASSIGNED_TO_EDGE ${root.id.id}`, `ASSIGNED_TO_EDGE ${auto.id.id}`]);
    const list = await cloud.call<{ data: Entity[] }>("GET", `/api/edge/${edge.id.id}/ruleChains?${PAGE}`);
    expect(list.data.map(({ id }) => id.id).toSorted()).toEqual([root.id.id, auto.id.id].toSorted());
    await cloud.call("DELETE", `/api/ruleChain/${auto.id.id}/autoAssignToEdge`);
  });

  test("the root can't leave or be deleted before another one is it", async () => {
    const [edge, one, core] = [
      await create("edge"),
      await create("ruleChain", { type: "EDGE" }),
      await create("ruleChain"),
    ];
    const path = `/api/edge/${edge.id.id}/ruleChain`;
    expect(await message("POST", `${path}/${core.id.id}`)).toEqual([
      400,
      31,
      "Can't assign non EDGE ruleChain to edge!",
    ]);
    expect(await cloud.call<Entity>("POST", `/api/edge/${edge.id.id}/${one.id.id}/root`)).toMatchObject({
      rootRuleChainId: one.id,
    });
    expect(await message("DELETE", `${path}/${one.id.id}`)).toEqual([
      400,
      31,
      `Can't unassign root rule chain from edge [${edge.name}]. Please assign another root rule chain first!`,
    ]);
    expect(await message("DELETE", `/api/ruleChain/${one.id.id}`)).toEqual([
      400,
      31,
      "The rule chain referenced by the edges cannot be deleted!",
    ]);
    const two = await create("ruleChain", { type: "EDGE" });
    await cloud.call("POST", `/api/edge/${edge.id.id}/${two.id.id}/root`);
    await cloud.call("DELETE", `${path}/${one.id.id}`);
    expect((await told(edge)).at(-1)).toBe(`UNASSIGNED_FROM_EDGE ${one.id.id}`);
  });

  test("the edge is told which one is its root, and again when that changes", async () => {
    const [edge, one] = [await create("edge"), await create("ruleChain", { type: "EDGE" })];
    const id = edge.id.id as Uuid;
    const told = async () => {
      const { db, sql } = cloud.database;
      const [row] = await sql<
        { changed: number }[]
      >`select settings_changed as changed from edge_sync where edge_id = ${id}`;
      return { root: (await readEdgeSettings(db, id)).rootRuleChainId, changed: row?.changed };
    };
    expect(await told()).toMatchObject({ root: edge.rootRuleChainId.id, changed: 0 });
    await cloud.call("POST", `/api/edge/${id}/${one.id.id}/root`);
    expect(await told()).toMatchObject({ root: one.id.id, changed: 1 });
  });

  test("chains that one hands messages to come along, and what is missing is told", async () => {
    const [edge, one, two] = [
      await create("edge"),
      await create("ruleChain", { type: "EDGE" }),
      await create("ruleChain", { type: "EDGE" }),
    ];
    const node = {
      type: "org.thingsboard.rule.engine.flow.TbRuleChainInputNode",
      name: "to",
      configuration: { ruleChainId: two.id.id },
    };
    await cloud.call("POST", "/api/ruleChain/metadata", { ruleChainId: one.id, firstNodeIndex: 0, nodes: [node] });
    await cloud.call("POST", `/api/edge/${edge.id.id}/ruleChain/${one.id.id}`);
    const missing = () => cloud.call("GET", `/api/edge/missingToRelatedRuleChains/${edge.id.id}`);
    expect(await missing()).toEqual({});
    await cloud.database.sql`delete from edge_assignment where entity_id = ${two.id.id}`;
    expect(await missing()).toEqual({ [one.name]: [two.name] });
  });
});

describe("an entity view", () => {
  test("goes to an edge after what it is of, which leaves after it", async () => {
    const [edge, device] = [await create("edge"), await create("device")];
    const view = await create("entityView", { entityId: device.id });
    const path = `/api/edge/${edge.id.id}`;
    expect(await message("POST", `${path}/entityView/${view.id.id}`)).toEqual([
      400,
      31,
      "Can't assign entity view to edge because related device/asset doesn't assigned to edge!",
    ]);
    await cloud.call("POST", `${path}/device/${device.id.id}`);
    await cloud.call("POST", `${path}/entityView/${view.id.id}`);
    expect(await cloud.call("GET", `${path}/entityViews?${PAGE}`)).toMatchObject({ data: [{ name: view.name }] });
    expect(await message("DELETE", `${path}/device/${device.id.id}`)).toEqual([
      400,
      31,
      "Can't unassign device/asset from edge that is related to entity view and entity view is assigned to edge!",
    ]);
    await cloud.call("DELETE", `${path}/entityView/${view.id.id}`);
    await cloud.call("DELETE", `${path}/device/${device.id.id}`);
  });
});

describe("the chains that a tenant begins with", () => {
  test("are its root and the root of new edges, which can't be deleted, and the edge gets the latter", async () => {
    const roots = async (type: string) => {
      const page = await cloud.call<{ data: (Entity & { root: boolean })[] }>(
        "GET",
        `/api/ruleChains?${PAGE}&type=${type}`,
      );
      return page.data.filter(({ root }) => root);
    };
    const asTenant = (method: string, path: string, body?: object) =>
      cloud.request(method, path, { token: cloud.second.token, ...(body === undefined ? {} : { body }) });
    const listed = await asTenant("GET", `/api/ruleChains?${PAGE}&type=EDGE`);
    const [template] = (listed.json?.["data"] ?? []) as readonly Entity[];
    expect(template).toMatchObject({ name: "Edge Root Rule Chain", type: "EDGE", root: true });
    const edge = await asTenant("POST", "/api/edge", { name: "Begins" });
    expect(edge.json).toMatchObject({ rootRuleChainId: template?.id });
    const metadata = await asTenant("GET", `/api/ruleChain/${template?.id.id}/metadata`);
    const { nodes = [], connections = [] } = metadata.json as {
      nodes?: { name: string }[];
      connections?: { fromIndex: number; toIndex: number; type: string }[];
    };
    const told = connections.map(({ fromIndex, toIndex, type }) => [
      nodes[fromIndex]?.name,
      type,
      nodes[toIndex]?.name,
    ]);
    expect(told).toContainEqual(["Message Type Switch", "Post telemetry", "Save Timeseries"]);
    expect(told).toContainEqual(["Save Timeseries", "Success", "Push to Cloud"]);
    expect(told).toContainEqual(["Message Type Switch", "RPC Request to Device", "RPC Call Request"]);
    const prohibited = "Deletion of Root Tenant Rule Chain is prohibited!";
    for (const root of await roots("CORE"))
      expect(await message("DELETE", `/api/ruleChain/${root.id.id}`)).toEqual([400, 31, prohibited]);
    const unused = await create("ruleChain", { type: "EDGE" });
    await cloud.call("POST", `/api/ruleChain/${unused.id.id}/edgeTemplateRoot`);
    expect(await message("DELETE", `/api/ruleChain/${unused.id.id}`)).toEqual([400, 31, prohibited]);
    expect([(await roots("CORE")).length, (await roots("EDGE")).length]).toEqual([1, 1]);
  });

  test("are made again at the start of a program whose tenants have none; until then no edge can be made", async () => {
    const { sql, db } = cloud.database;
    const { tenantId, token } = cloud.second;
    await sql`delete from entity where tenant_id = ${tenantId} and entity_type = 'RULE_CHAIN'`;
    const create = (name: string) => cloud.request("POST", "/api/edge", { token, body: { name } });
    expect((await create("Too early")).json).toMatchObject({
      status: 400,
      errorCode: 31,
      message: "Root edge rule chain is not available!",
    });
    const deps = { clock: cloud.clock, random: systemRandom };
    await ensureRootChainsOfAll(db, deps);
    await ensureRootChainsOfAll(db, deps);
    expect((await create("In time")).status).toBe(200);
    const rows = await sql`select 1 from entity where tenant_id = ${tenantId} and entity_type = 'RULE_CHAIN'`;
    expect(rows).toHaveLength(2);
  });

  test("can be made under any name", async () => {
    const made = await cloud.call("POST", "/api/ruleChain/device/default", { name: "Of a device profile" });
    expect(made).toMatchObject({ name: "Of a device profile", type: "CORE", root: false, firstRuleNodeId: {} });
    expect((await cloud.request("POST", "/api/ruleChain/device/default", { body: {} })).status).toBe(400);
  });
});
