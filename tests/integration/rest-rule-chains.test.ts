import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { startTestCloud, type TestCloud } from "../support/test-cloud.ts";

let cloud: TestCloud;
beforeAll(async () => {
  cloud = await startTestCloud();
});
afterAll(() => cloud[Symbol.asyncDispose]());

interface Chain {
  readonly id: { readonly entityType: string; readonly id: string };
  readonly name: string;
  readonly root: boolean;
  readonly version: number;
  readonly [key: string]: unknown;
}
interface Metadata {
  readonly version: number;
  readonly nodes: readonly {
    readonly id: { readonly id: string };
    readonly createdTime: number;
    readonly name: string;
  }[];
  readonly [key: string]: unknown;
}

const INPUT_NODE = "org.thingsboard.rule.engine.flow.TbRuleChainInputNode";
const OUTPUT_NODE = "org.thingsboard.rule.engine.flow.TbRuleChainOutputNode";
let names = 0;
const newChain = (input: object = {}): Promise<Chain> =>
  cloud.call("POST", "/api/ruleChain", { name: `Chain ${(names += 1)}`, ...input });
const node = (name: string, more: object = {}) => ({ type: "t.Node", name, configuration: { a: 1 }, ...more });
const saveNodes = (chain: Chain, metadata: object) =>
  cloud.request("POST", "/api/ruleChain/metadata", { body: { ruleChainId: chain.id, ...metadata } });
const leadTo = (target: Chain, name = "to") =>
  node(name, { type: INPUT_NODE, configuration: { ruleChainId: target.id.id } });
const message = async (answer: ReturnType<typeof saveNodes>) => {
  const { status, json } = await answer;
  return [status, json?.["errorCode"], json?.["message"]];
};

describe("metadata of a rule chain", () => {
  test("is empty at first, then nodes and connections with ids that stay", async () => {
    const chain = await newChain();
    const path = `/api/ruleChain/${chain.id.id}/metadata`;
    expect(await cloud.call<Metadata>("GET", path)).toMatchObject({
      ruleChainId: chain.id,
      version: 1,
      firstNodeIndex: null,
      nodes: [],
      connections: [],
      ruleChainConnections: [],
    });
    const connections = [{ fromIndex: 0, toIndex: 1, type: "Success" }];
    const first = await saveNodes(chain, { version: 1, firstNodeIndex: 0, nodes: [node("A"), node("B")], connections });
    const saved = first.json as unknown as Metadata;
    expect(saved).toMatchObject({ version: 2, firstNodeIndex: 0, connections });
    expect(saved.nodes).toMatchObject([{ name: "A", configuration: { a: 1 }, ruleChainId: chain.id }, { name: "B" }]);
    expect(await cloud.call<Chain>("GET", `/api/ruleChain/${chain.id.id}`)).toMatchObject({
      firstRuleNodeId: { entityType: "RULE_NODE", id: saved.nodes[0]?.id.id },
      version: 2,
    });
    const again = await saveNodes(chain, {
      ...saved,
      nodes: saved.nodes.toReversed(),
      firstNodeIndex: 1,
      connections: [],
    });
    expect((again.json as unknown as Metadata).nodes.map(({ id }) => id)).toEqual(
      saved.nodes.map(({ id }) => id).toReversed(),
    );
    expect(await message(saveNodes(chain, saved))).toEqual([409, 35, "Rule chain was already changed by someone else"]);
  });

  test.each([
    [
      "a loop",
      {
        nodes: [node("A"), node("B")],
        connections: [
          [0, 1],
          [1, 0],
        ],
      },
      "its connections make a loop",
    ],
    ["a node that leads to itself", { nodes: [node("A")], connections: [[0, 0]] }, "its connections make a loop"],
    ["an index of no node", { nodes: [node("A")], connections: [[0, 1]] }, "there is no node with index 1"],
    [
      "nodes without a first one",
      { nodes: [node("A")], first: null, connections: [] },
      "firstNodeIndex should be specified",
    ],
  ])(
    "with %s is refused",
    async (
      _,
      { nodes, connections, first = 0 }: { nodes: object[]; connections: number[][]; first?: number | null },
      why,
    ) => {
      const chain = await newChain();
      const list = connections.map(([fromIndex, toIndex]) => ({ fromIndex, toIndex, type: "Success" }));
      expect(await message(saveNodes(chain, { nodes, connections: list, firstNodeIndex: first }))).toEqual([
        400,
        31,
        `Can't save rule chain: ${why}!`,
      ]);
    },
  );

  test("that leads in a circle of chains, or to no chain, is refused", async () => {
    const [one, two] = [await newChain(), await newChain()];
    expect((await saveNodes(one, { firstNodeIndex: 0, nodes: [leadTo(two)] })).status).toBe(200);
    expect(await message(saveNodes(two, { firstNodeIndex: 0, nodes: [leadTo(one)] }))).toEqual([
      400,
      31,
      "Rule chains can't hand messages to each other in a loop!",
    ]);
    const nowhere = { ...one, id: { entityType: "RULE_CHAIN", id: "784f394c-42b6-435a-983c-b7beff2784f9" } };
    expect(await message(saveNodes(two, { firstNodeIndex: 0, nodes: [leadTo(nowhere)] }))).toEqual([
      400,
      31,
      "Can't assign non-existent rule chain!",
    ]);
    const remove = await cloud.request("DELETE", `/api/ruleChain/${two.id.id}`);
    expect(remove.json).toMatchObject({ status: 400, errorCode: 31 });
  });

  test("tells its output labels and who uses them", async () => {
    const [chain, caller] = [await newChain(), await newChain()];
    await saveNodes(chain, { firstNodeIndex: 0, nodes: [node("hot", { type: OUTPUT_NODE }), node("other")] });
    await saveNodes(caller, {
      firstNodeIndex: 0,
      nodes: [leadTo(chain, "call"), node("next")],
      connections: [{ fromIndex: 0, toIndex: 1, type: "hot" }],
    });
    expect(await cloud.call<string[]>("GET", `/api/ruleChain/${chain.id.id}/output/labels`)).toEqual(["hot"]);
    expect(await cloud.call<object[]>("GET", `/api/ruleChain/${chain.id.id}/output/labels/usage`)).toMatchObject([
      { ruleChainId: caller.id, ruleChainName: caller.name, ruleNodeName: "call", labels: ["hot"] },
    ]);
  });
});

describe("roles of rule chains", () => {
  test("one CORE chain is the root and can't be deleted; one EDGE chain is the template root", async () => {
    const [one, two, edge] = [await newChain(), await newChain(), await newChain({ type: "EDGE" })];
    await cloud.call("POST", `/api/ruleChain/${one.id.id}/root`);
    expect(await cloud.call<Chain>("POST", `/api/ruleChain/${two.id.id}/root`)).toMatchObject({ root: true });
    expect(await cloud.call<Chain>("GET", `/api/ruleChain/${one.id.id}`)).toMatchObject({ root: false });
    expect((await cloud.request("DELETE", `/api/ruleChain/${two.id.id}`)).json).toMatchObject({
      status: 400,
      message: "Deletion of Root Tenant Rule Chain is prohibited!",
    });
    expect((await cloud.request("POST", `/api/ruleChain/${one.id.id}/edgeTemplateRoot`)).status).toBe(400);
    expect(await cloud.call<Chain>("POST", `/api/ruleChain/${edge.id.id}/edgeTemplateRoot`)).toMatchObject({
      root: true,
    });
    // The roots of both types don't touch each other, and a save keeps them.
    expect(await cloud.call<Chain>("POST", "/api/ruleChain", { ...two, version: null })).toMatchObject({ root: true });
    const lists = await cloud.call<{ data: Chain[] }>("GET", "/api/ruleChains?pageSize=100&page=0&type=EDGE");
    expect(lists.data.map(({ name }) => name)).toContain(edge.name);
    expect(lists.data.every(({ type }) => type === "EDGE")).toBeTrue();
  });

  test("chains that go to new edges are listed", async () => {
    const chain = await newChain({ type: "EDGE" });
    const listed = async () =>
      (await cloud.call<Chain[]>("GET", "/api/ruleChain/autoAssignToEdgeRuleChains")).map(({ name }) => name);
    await cloud.call("POST", `/api/ruleChain/${chain.id.id}/autoAssignToEdge`);
    expect(await listed()).toContain(chain.name);
    await cloud.call("DELETE", `/api/ruleChain/${chain.id.id}/autoAssignToEdge`);
    expect(await listed()).not.toContain(chain.name);
  });
});

describe("export and import", () => {
  test("make the same chains elsewhere, referring to each other under their new ids", async () => {
    const [one, two] = [await newChain({ name: "First" }), await newChain({ name: "Second" })];
    await saveNodes(one, { firstNodeIndex: 0, nodes: [leadTo(two)] });
    const exported = await cloud.call<{ ruleChains: Chain[]; metadata: object[] }>(
      "GET",
      "/api/ruleChains/export?limit=100",
    );
    const { token } = cloud.second;
    const imported = await cloud.request("POST", "/api/ruleChains/import", { body: exported, token });
    const results = JSON.parse(imported.text) as {
      ruleChainId: { id: string };
      ruleChainName: string;
      updated: boolean;
    }[];
    expect(results.length).toBe(exported.ruleChains.length);
    const idOf = (name: string) => results.find((result) => result.ruleChainName === name)?.ruleChainId.id;
    const metadata = await cloud.request("GET", `/api/ruleChain/${idOf("First")}/metadata`, { token });
    expect(metadata.json).toMatchObject({ nodes: [{ configuration: { ruleChainId: idOf("Second") } }] });
    const again = await cloud.request("POST", "/api/ruleChains/import?overwrite=true", { body: exported, token });
    expect((JSON.parse(again.text) as typeof results).every(({ updated }) => updated)).toBeTrue();
  });
});

test("nothing came to a node in the cloud, where none runs", async () => {
  const id = "784f394c-42b6-435a-983c-b7beff2784f9";
  expect(await cloud.call("GET", `/api/ruleNode/${id}/debugIn`)).toEqual({});
  const events = await cloud.call("GET", `/api/events/RULE_NODE/${id}/DEBUG_RULE_NODE?pageSize=10&page=0`);
  expect(events).toMatchObject({ data: [], totalElements: 0 });
});
