import { describe, expect, test } from "bun:test";
import { createUuid } from "../../shared/core/ids.ts";
import { createSeededRandom } from "../../shared/core/random.ts";
import { defaultMetadata } from "../../shared/entities/default-rule-chains.ts";
import { readMetadata, toMetadata } from "../../shared/entities/rule-chain-metadata.ts";
import type { CanonicalJson } from "../../shared/entities/telemetry.ts";
import { STEPS_MAX } from "../../shared/rules/chain/run.ts";
import { bedOf, chainOf, DEVICE, messageOf } from "../support/chain-bed.ts";

const random = createSeededRandom(11);
const newId = () => createUuid({ nowMs: () => 0 }, random);

const PASS = "flow.TbAckNode";
const SWITCH = "filter.TbMsgTypeSwitchNode";
const FILTER = "filter.TbMsgTypeFilterNode";
const SAVE = "telemetry.TbMsgTimeseriesNode";
const INPUT = "flow.TbRuleChainInputNode";
const OUTPUT = "flow.TbRuleChainOutputNode";
const LOG = "action.TbLogNode";

describe("default chains", () => {
  test.each(["EDGE", "CORE"] as const)("of type %s run as they are", async (type) => {
    const id = newId();
    const metadata = toMetadata(defaultMetadata(id, type), readMetadata({}), { nowMs: 0, createId: newId });
    const bed = await bedOf([{ id, name: "Root", metadata }]);
    expect(bed.problems).toEqual([]);
    const push = type === "EDGE" ? ["push-to-cloud"] : [];
    const kinds = async (...message: Parameters<typeof bed.send>): Promise<string[]> =>
      (await bed.send(...message)).map(({ kind }) => kind);
    expect(await kinds({ t: 1 })).toEqual(["save-telemetry", ...push]);
    expect(await kinds({ fw: "1" }, { type: "POST_ATTRIBUTES_REQUEST" })).toEqual(["save-attributes", ...push]);
    expect(await kinds({ fw: "1" }, { type: "ATTRIBUTES_UPDATED" })).toEqual(push);
    expect(await kinds({ method: "m", params: {} }, { type: "RPC_CALL_FROM_SERVER_TO_DEVICE" })).toEqual(["send-rpc"]);
    expect(await kinds({ method: "m" }, { type: "TO_SERVER_RPC_REQUEST" })).toEqual(["log"]);
    expect(await kinds({}, { type: "RENTED" })).toEqual(["log"]);
    expect(bed.steps.filter(({ failure }) => failure !== null)).toEqual([]);
  });
});

describe("runChains()", () => {
  test("goes breadth first and compares labels without case", async () => {
    const nodes = ["a", "b", "c", "d"].map((name) => ({ name, type: PASS }));
    const bed = await bedOf([
      chainOf(nodes, [
        ["a", "success", "b"],
        ["a", "Success", "c"],
        ["b", "SUCCESS", "d"],
      ]),
    ]);
    await bed.send({});
    expect(bed.steps.map(({ name }) => name)).toEqual(["a", "b", "c", "d"]);
  });

  test("keeps the digits of a payload that no node changes", async () => {
    const bed = await bedOf([chainOf([{ name: "save", type: SAVE }])]);
    const data = '{"n":9007199254740993,"d":21.0}' as CanonicalJson;
    expect(await bed.send(data)).toEqual([
      {
        kind: "save-telemetry",
        entity: DEVICE,
        points: [{ tsMs: 1_000, values: data, keySet: "d\nn" }],
        ttlSeconds: 0,
      },
    ]);
  });

  test("sends what fails to Failure, with its reason", async () => {
    const bed = await bedOf([
      chainOf(
        [
          { name: "save", type: SAVE },
          { name: "log", type: LOG },
        ],
        [["save", "Failure", "log"]],
      ),
    ]);
    expect(await bed.send({}, { type: "ALARM" })).toMatchObject([{ kind: "log" }]);
    expect(bed.steps[0]?.failure).toBe("Expected a message of type POST_TELEMETRY_REQUEST, got ALARM");
  });

  test("runs the rest of a chain with nodes that can't be mapped, and lists them", async () => {
    const bed = await bedOf([
      chainOf(
        [
          { name: "switch", type: SWITCH },
          { name: "kafka", type: "kafka.TbKafkaNode" },
          { name: "filter", type: FILTER, configuration: { messageTypes: 5 } },
          { name: "script", type: "filter.TbJsFilterNode", configuration: { jsScript: "return ;;)" } },
          { name: "elsewhere", type: INPUT, configuration: { ruleChainId: newId() } },
          { name: "save", type: SAVE },
          { name: "log", type: LOG },
        ],
        [
          ["switch", "Post telemetry", "kafka"],
          ["switch", "Post telemetry", "save"],
          ["kafka", "Failure", "log"],
        ],
      ),
    ]);
    expect(bed.problems).toMatchObject([
      { nodeName: "kafka", effect: "unmapped", reason: "there is no node of this type" },
      { nodeName: "filter", effect: "unmapped", reason: expect.stringContaining("messageTypes: ") },
      { nodeName: "script", effect: "unmapped", reason: expect.stringContaining("The script can't be read") },
      { nodeName: "elsewhere", effect: "unmapped", reason: expect.stringContaining("which is not here") },
    ]);
    expect((await bed.send({ a: 1 })).map(({ kind }) => kind)).toEqual(["save-telemetry", "log"]);
  });

  test("hands messages to another chain and takes them back under the label of its output", async () => {
    const inner = chainOf(
      [
        { name: "filter", type: FILTER, configuration: { messageTypes: ["ALARM"] } },
        { name: "Alarms", type: OUTPUT },
        { name: "Others", type: OUTPUT },
      ],
      [
        ["filter", "True", "Alarms"],
        ["filter", "False", "Others"],
      ],
    );
    const outer = chainOf(
      [
        { name: "inner", type: INPUT, configuration: { ruleChainId: inner.id } },
        { name: "alarm", type: LOG },
        { name: "other", type: SAVE },
      ],
      [
        ["inner", "Alarms", "alarm"],
        ["inner", "Others", "other"],
      ],
    );
    const bed = await bedOf([outer, inner]);
    expect((await bed.send({}, { type: "ALARM" })).map(({ kind }) => kind)).toEqual(["log"]);
    expect((await bed.send({ a: 1 })).map(({ kind }) => kind)).toEqual(["save-telemetry"]);
    expect(bed.steps.at(-1)?.input?.callers).toEqual([]);
  });

  test("stops a loop, and says where", async () => {
    const loop = chainOf([{ name: "again", type: PASS }], [["again", "Success", "again"]]);
    const ran = await (await bedOf([loop])).handle({ kind: "message", message: messageOf({}) });
    expect(ran).toMatchObject({ steps: STEPS_MAX, stopped: expect.stringContaining("the last one again: a loop") });
    const id = newId();
    const self = chainOf([{ name: "self", type: INPUT, configuration: { ruleChainId: id } }], [], id);
    const handed = await (await bedOf([self])).handle({ kind: "message", message: messageOf({}) });
    expect(handed.stopped).toBe("More than 16 chains handed a message to each other, the last one by self");
  });

  test("goes on from a call with its answer, in the chain that it was made in", async () => {
    const call = { restEndpointUrlPattern: "http://pump.local/${n}", requestMethod: "POST" };
    const inner = chainOf(
      [
        { name: "call", type: "rest.TbRestApiCallNode", configuration: call },
        { name: "Done", type: OUTPUT },
        { name: "Bad", type: OUTPUT },
      ],
      [
        ["call", "Success", "Done"],
        ["call", "Failure", "Bad"],
      ],
    );
    const outer = chainOf(
      [
        { name: "inner", type: INPUT, configuration: { ruleChainId: inner.id } },
        { name: "log", type: LOG },
        { name: "save", type: SAVE },
      ],
      [
        ["inner", "Done", "save"],
        ["inner", "Bad", "log"],
      ],
    );
    const bed = await bedOf([outer, inner]);
    const [effect] = await bed.send({ a: 1 }, { metadata: { n: "7" } });
    if (effect?.kind !== "call-http") throw new Error("expected a call");
    expect(effect).toMatchObject({ url: "http://pump.local/7", method: "POST", body: '{"a":1}', timeoutMs: 10_000 });
    const answered = await bed.handle({
      kind: "answered",
      call: effect.call,
      answer: { ok: true, body: '{"level":3}', metadata: { statusCode: "200" } },
    });
    expect(answered.effects).toMatchObject([{ kind: "save-telemetry", points: [{ values: '{"level":3}' }] }]);
    const answer = { ok: false, reason: "503 Service Unavailable", metadata: {} } as const;
    const failed = await bed.handle({ kind: "answered", call: effect.call, answer });
    expect(failed.effects).toMatchObject([{ kind: "log" }]);
    expect(bed.steps.some(({ failure }) => failure === "503 Service Unavailable")).toBe(true);
  });
});
