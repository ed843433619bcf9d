import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { startTestCloud, type TestCloud } from "../support/test-cloud.ts";

let cloud: TestCloud;
beforeAll(async () => {
  cloud = await startTestCloud();
});
afterAll(() => cloud[Symbol.asyncDispose]());

interface Entity {
  readonly id: { readonly id: string };
}

const ENGINE = "org.thingsboard.rule.engine";
const NODES = [
  { name: "High?", type: `${ENGINE}.filter.TbJsFilterNode`, configuration: { jsScript: "return msg.t > 30;" } },
  { name: "Raise", type: `${ENGINE}.action.TbCreateAlarmNode`, configuration: { alarmType: "Hot", severity: "MAJOR" } },
  { name: "Queue", type: `${ENGINE}.kafka.TbKafkaNode`, configuration: {} },
];

async function makeChain(): Promise<Entity> {
  const chain = await cloud.call<Entity>("POST", "/api/ruleChain", { name: "Hot", type: "EDGE" });
  const connections = [{ fromIndex: 0, toIndex: 1, type: "True" }];
  await cloud.call("POST", "/api/ruleChain/metadata", {
    ruleChainId: chain.id,
    firstNodeIndex: 0,
    nodes: NODES,
    connections,
  });
  return chain;
}

describe("POST /api/ruleChain/testScript", () => {
  const script = (body: object) =>
    cloud.call("POST", "/api/ruleChain/testScript", {
      argNames: ["msg", "metadata", "msgType"],
      msg: '{"t":1}',
      metadata: { a: "x" },
      msgType: "POST_TELEMETRY_REQUEST",
      ...body,
    });

  test.each([
    [
      "update",
      "msg.t += 1; return {msg, metadata, msgType};",
      '{"msg":{"t":2},"metadata":{"a":"x"},"msgType":"POST_TELEMETRY_REQUEST"}',
    ],
    ["filter", "return msg.t > 0;", "true"],
    ["switch", "return ['a'];", '["a"]'],
    ["json", "return {n: msg.t};", '{"n":1}'],
    ["string", "return 'T ' + msg.t;", "T 1"],
  ])("runs a script of type %s", async (scriptType, text, output) => {
    expect(await script({ script: text, scriptType })).toEqual({ output, error: "" });
  });

  test.each([
    ["filter", "return 1;", "expected true or false"],
    ["update", "return msg.;", "The script can't be read"],
    ["json", "while (true) {}", "took more than 100 ms"],
  ])("tells what is wrong with a script of type %s", async (scriptType, text, error) => {
    expect(await script({ script: text, scriptType })).toMatchObject({
      output: "",
      error: expect.stringContaining(error),
    });
  });

  test("is there beside the answer that TBEL is not", async () => {
    expect((await cloud.request("GET", "/api/ruleChain/tbelEnabled")).text).toBe("false");
  });
});

test("GET /api/ruleChain/{id}/problems lists nodes that can't be mapped", async () => {
  const chain = await makeChain();
  expect(await cloud.call("GET", `/api/ruleChain/${chain.id.id}/problems`)).toMatchObject([
    { ruleChainId: chain.id, ruleNodeName: "Queue", effect: "unmapped", reason: "there is no node of this type" },
  ]);
});

test("POST /api/ruleChain/{id}/test tells what the chain would have done with recorded telemetry", async () => {
  const chain = await makeChain();
  const device = await cloud.call<Entity>("POST", "/api/device", { name: "Oven" });
  const path = `/api/plugins/telemetry/DEVICE/${device.id.id}/timeseries/ANY`;
  for (const [ts, t] of [
    [1_000, 20],
    [2_000, 31],
    [3_000, 40],
  ] as const) {
    await cloud.call("POST", path, { ts, values: { t, u: 1 } });
  }
  const range = { deviceId: device.id, startTs: 1_000, endTs: 3_000 };
  const tested = await cloud.call("POST", `/api/ruleChain/${chain.id.id}/test`, range);
  expect(tested).toMatchObject({
    cut: null,
    lines: [
      { ts: 2_000, kind: "raise-alarm", alarmType: "Hot", originator: { id: device.id.id } },
      { kind: "summary", messages: 2, problems: [{ nodeName: "Queue" }] },
    ],
  });
});
