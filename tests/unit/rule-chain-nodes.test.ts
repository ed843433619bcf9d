import { describe, expect, test } from "bun:test";
import type { EntityFacts } from "../../shared/rules/chain/reads.ts";
import { bedOfNode, DEVICE, TENANT } from "../support/chain-bed.ts";

const CUSTOMER = { type: "CUSTOMER", id: DEVICE.id };
const FACTS: EntityFacts = {
  name: "Pump 4",
  type: "pump",
  label: "North",
  createdMs: 7,
  customer: CUSTOMER,
  tenant: TENANT,
};
const START = {
  entities: new Map([[`DEVICE/${DEVICE.id}`, FACTS]]),
  attributes: [
    { entity: DEVICE, scope: "SERVER_SCOPE", values: { limit: 30 } },
    { entity: DEVICE, scope: "SHARED_SCOPE", values: { mode: "eco" } },
    { entity: CUSTOMER, scope: "SERVER_SCOPE", values: { phone: "112" } },
    { entity: TENANT, scope: "SERVER_SCOPE", values: { site: "A" } },
  ],
} as const;

const TYPES = { messageTypes: ["POST_TELEMETRY_REQUEST"] };
const SQUARE = { perimeterType: "POLYGON", polygonsDefinition: "[[0,0],[0,2],[2,2],[2,0]]" };
const KEYS = { latitudeKeyName: "lat", longitudeKeyName: "lon" };
const CIRCLE = { perimeterType: "CIRCLE", centerLatitude: 50, centerLongitude: 14, range: 2, rangeUnit: "KILOMETER" };

describe("nodes", () => {
  test.each([
    ["filter.TbMsgTypeFilterNode", TYPES, {}, "True"],
    ["filter.TbMsgTypeFilterNode", { messageTypes: ["ALARM"] }, {}, "False"],
    ["filter.TbOriginatorTypeFilterNode", { originatorTypes: ["DEVICE"] }, {}, "True"],
    ["filter.TbOriginatorTypeSwitchNode", {}, {}, "Device"],
    ["filter.TbDeviceTypeSwitchNode", {}, {}, "pump"],
    ["filter.TbAssetTypeSwitchNode", {}, {}, "Other"],
    [
      "filter.TbJsFilterNode",
      { scriptLang: "JS", jsScript: "return msg.t > 20 && metadata.a === 'x';" },
      { t: 21 },
      "True",
    ],
    ["filter.TbJsFilterNode", { jsScript: "return msg.t > 20;" }, { t: 19 }, "False"],
    ["filter.TbJsFilterNode", { scriptLang: "TBEL", tbelScript: "return msg.t > 20;" }, { t: 21 }, "True"],
    ["filter.TbJsFilterNode", { scriptLang: "CEL", celScript: "msg.t > 20.0 && metadata.a == 'x'" }, { t: 21 }, "True"],
    ["filter.TbJsFilterNode", { jsScript: "return 1;" }, {}, "Failure"],
    ["filter.TbJsSwitchNode", { jsScript: "return ['a', 'b', 'a'];" }, {}, "a,b"],
    ["filter.TbJsSwitchNode", { jsScript: "return {};" }, {}, "Failure"],
    ["filter.TbCheckMessageNode", { messageNames: ["t"], metadataNames: ["a"] }, { t: 1 }, "True"],
    ["filter.TbCheckMessageNode", { messageNames: ["t", "u"], checkAllKeys: true }, { t: 1 }, "False"],
    ["filter.TbCheckMessageNode", { messageNames: ["t", "u"], checkAllKeys: false }, { t: 1 }, "True"],
    ["filter.TbCheckRelationNode", { direction: "FROM", relationType: "Contains" }, {}, "False"],
    ["geo.TbGpsGeofencingFilterNode", { ...KEYS, ...SQUARE }, { lat: 1, lon: 1 }, "True"],
    ["geo.TbGpsGeofencingFilterNode", { ...KEYS, ...SQUARE }, { lat: 3, lon: 1 }, "False"],
    ["geo.TbGpsGeofencingFilterNode", { ...KEYS, ...CIRCLE }, { lat: 50.01, lon: 14 }, "True"],
    ["geo.TbGpsGeofencingFilterNode", { ...KEYS, ...CIRCLE }, { lat: 50.02, lon: 14 }, "False"],
    ["geo.TbGpsGeofencingFilterNode", { ...KEYS, ...SQUARE }, { lat: 1 }, "Failure"],
  ])("%s with %j tells %j to %s", async (type, configuration, data, labels) => {
    const bed = await bedOfNode(type, configuration, START);
    await bed.send(data, { metadata: { a: "x" } });
    expect(bed.steps[0]?.outputs.map(({ label }) => label).join()).toBe(labels);
  });

  test.each([
    [
      "transform.TbTransformMsgNode",
      { jsScript: "msg.f = 2; metadata.b = 3; return {msg, metadata, msgType: 'X'};" },
      [["X", { t: 1, f: 2 }, { a: "x", b: "3" }]],
    ],
    [
      "transform.TbTransformMsgNode",
      { jsScript: "return [{msg: {n: 1}}, {msg: {n: 2}}];" },
      [
        ["POST_TELEMETRY_REQUEST", { n: 1 }, { a: "x" }],
        ["POST_TELEMETRY_REQUEST", { n: 2 }, { a: "x" }],
      ],
    ],
    [
      "transform.TbTransformMsgNode",
      { scriptLang: "CEL", celScript: "{'msg': {'n': msg.t + 1.0}}" },
      [["POST_TELEMETRY_REQUEST", { n: 2 }, { a: "x" }]],
    ],
    [
      "transform.TbRenameKeysNode",
      { renameIn: "DATA", renameKeysMapping: { t: "temperature" } },
      [["POST_TELEMETRY_REQUEST", { temperature: 1 }, { a: "x" }]],
    ],
    [
      "transform.TbCopyKeysNode",
      { copyFrom: "METADATA", keys: ["a.*"] },
      [["POST_TELEMETRY_REQUEST", { t: 1, a: "x" }, { a: "x" }]],
    ],
    ["transform.TbDeleteKeysNode", { deleteFrom: "METADATA", keys: ["a"] }, [["POST_TELEMETRY_REQUEST", { t: 1 }, {}]]],
    [
      "metadata.TbGetAttributesNode",
      { serverAttributeNames: ["limit"], sharedAttributeNames: ["mode"], fetchTo: "DATA" },
      [["POST_TELEMETRY_REQUEST", { t: 1, ss_limit: 30, shared_mode: "eco" }, { a: "x" }]],
    ],
    [
      "metadata.TbGetCustomerAttributeNode",
      { dataMapping: { phone: "call" }, dataToFetch: "ATTRIBUTES", fetchTo: "METADATA" },
      [["POST_TELEMETRY_REQUEST", { t: 1 }, { a: "x", call: "112" }]],
    ],
    [
      "metadata.TbGetTenantAttributeNode",
      { attrMapping: { site: "${a}Site" }, telemetry: false },
      [["POST_TELEMETRY_REQUEST", { t: 1 }, { a: "x", xSite: "A" }]],
    ],
    [
      "metadata.TbGetOriginatorFieldsNode",
      { dataMapping: { name: "device", label: "label" }, fetchTo: "DATA" },
      [["POST_TELEMETRY_REQUEST", { t: 1, device: "Pump 4", label: "North" }, { a: "x" }]],
    ],
  ])("%s with %j changes the message", async (type, configuration, expected) => {
    const bed = await bedOfNode(type, configuration, START);
    await bed.send({ t: 1 }, { metadata: { a: "x" } });
    const outputs = bed.steps[0]?.outputs.map(({ label, message }) => [
      label,
      message.type,
      JSON.parse(message.data) as unknown,
      message.metadata,
    ]);
    expect(outputs as unknown).toEqual(expected.map((output) => ["Success", ...output]));
  });

  test("TbGetAttributesNode tells Failure of what is not there, with what is", async () => {
    const bed = await bedOfNode("metadata.TbGetAttributesNode", { serverAttributeNames: ["limit", "none"] }, START);
    await bed.send({});
    expect(bed.steps[0]).toMatchObject({
      failure: "There is no value of SERVER_SCOPE none",
      outputs: [{ label: "Failure", message: { metadata: { ss_limit: "30" } } }],
    });
  });

  test("TbGetAttributesNode reads the newest telemetry", async () => {
    const bed = await bedOfNode("metadata.TbGetAttributesNode", {
      latestTsKeyNames: ["t"],
      getLatestValueWithTs: true,
    });
    const points = [{ tsMs: 5, values: '{"t":4}' as never, keySet: "t" }];
    bed.world.perform({ kind: "save-telemetry", entity: DEVICE, points, ttlSeconds: 0 });
    await bed.send({});
    expect(bed.steps[0]?.outputs[0]?.message.metadata).toEqual({ t: '{"ts":5,"value":4}' });
  });

  test("TbChangeOriginatorNode gives the message to the customer", async () => {
    const bed = await bedOfNode("transform.TbChangeOriginatorNode", { originatorSource: "CUSTOMER" }, START);
    await bed.send({});
    expect(bed.steps[0]?.outputs[0]?.message.originator).toEqual(CUSTOMER);
  });

  test("TbCreateAlarmNode makes one alarm and then changes it, TbClearAlarmNode ends it", async () => {
    const details =
      "const before = metadata.prevAlarmDetails ? JSON.parse(metadata.prevAlarmDetails).n : 0; return {n: before + 1};";
    const create = await bedOfNode("action.TbCreateAlarmNode", {
      alarmType: "High ${a}",
      severity: "$[level]",
      dynamicSeverity: true,
      scriptLang: "JS",
      alarmDetailsBuildJs: details,
    });
    const metadata = { a: "x", ts: "900" };
    const alarm = { kind: "raise-alarm", originator: DEVICE, alarmType: "High x", startMs: 900 };
    expect(await create.send({ level: "MAJOR" }, { metadata })).toMatchObject([
      { ...alarm, severity: "MAJOR", details: { n: 1 }, endMs: 900 },
    ]);
    expect(create.outputs("node")[0]).toStartWith("Created: ");
    create.nowMs = 2_000;
    expect(await create.send({ level: "CRITICAL" }, { metadata })).toMatchObject([
      { ...alarm, severity: "CRITICAL", details: { n: 2 }, endMs: 2_000 },
    ]);
    expect(create.outputs("node")[0]).toStartWith("Updated: ");
    await create.send({ level: "LOUD" }, { metadata });
    expect(create.steps.at(-1)?.failure).toContain('got "LOUD"');

    const clear = await bedOfNode("action.TbClearAlarmNode", { alarmType: "A" });
    expect(await clear.send({})).toEqual([]);
    expect(clear.outputs("node")).toEqual(["False: {}"]);
    const content = { severity: "MAJOR", details: {}, startMs: 1, endMs: 1 } as const;
    const spread = { propagate: false, propagateToOwner: false, propagateToTenant: false, propagateRelationTypes: [] };
    clear.world.perform({ kind: "raise-alarm", originator: DEVICE, alarmType: "A", ...content, ...spread });
    expect(await clear.send({})).toMatchObject([{ kind: "clear-alarm", alarmType: "A", tsMs: 1_000 }]);
  });

  test("TbSendRPCRequestNode asks the device and goes on with its answer", async () => {
    const bed = await bedOfNode("rpc.TbSendRPCRequestNode", { timeoutInSeconds: 5 });
    const [effect] = await bed.send({ method: "open", params: { valve: 2 } }, { metadata: { oneway: "true" } });
    if (effect?.kind !== "send-rpc") throw new Error("expected a request");
    expect(effect).toMatchObject({
      device: DEVICE,
      method: "open",
      params: '{"valve":2}',
      oneway: true,
      timeoutMs: 5_000,
    });
    await bed.handle({ kind: "answered", call: effect.call, answer: { ok: true, body: '{"ok":1}', metadata: {} } });
    expect(bed.outputs("node")).toEqual(['Success: {"ok":1}']);
    await bed.send({ params: {} });
    expect(bed.steps.at(-1)?.failure).toBe("The message has no method");
  });

  test("TbMqttNode publishes to the topic of its pattern", async () => {
    const configuration = { topicPattern: "site/${a}/$[t]", host: "broker.local", port: 1883, parseToPlainText: true };
    const bed = await bedOfNode("mqtt.TbMqttNode", configuration);
    expect(await bed.send({ t: 1 }, { metadata: { a: "x" } })).toMatchObject([
      { kind: "publish-mqtt", host: "broker.local", topic: "site/x/1", payload: '{"t":1}' },
    ]);
    await bed.send({ t: "#" }, { metadata: { a: "x" } });
    expect(bed.steps.at(-1)?.failure).toContain("no # and no +");
  });
});

describe("nodes that wait", () => {
  const wake = async (bed: Awaited<ReturnType<typeof bedOfNode>>, nowMs: number): Promise<void> => {
    bed.nowMs = nowMs;
    const node = bed.steps[0]?.node;
    if (node === undefined) throw new Error("the node has not run");
    await bed.handle({ kind: "woken", node });
  };

  test("TbMsgDelayNode lets messages go on at their times, and asks for each time once", async () => {
    const bed = await bedOfNode("delay.TbMsgDelayNode", { periodInSeconds: 10, maxPendingMsgs: 2 });
    expect(await bed.send({ n: 1 })).toMatchObject([{ kind: "wake", atMs: 11_000 }]);
    bed.nowMs = 4_000;
    expect(await bed.send({ n: 2 })).toEqual([]);
    await bed.send({ n: 3 });
    expect(bed.steps.at(-1)?.failure).toBe("More than 2 messages wait here");
    await wake(bed, 11_000);
    expect(bed.outputs("node")).toEqual(['Success: {"n":1}']);
    await wake(bed, 14_000);
    expect(bed.outputs("node")).toEqual(['Success: {"n":2}']);
    const again = await bed.handle({ kind: "started" });
    expect(again.effects).toEqual([]);
  });

  test.each([
    ["delay.TbMsgDelayNode", { periodInSeconds: 10 }],
    ["deduplication.TbMsgDeduplicationNode", { interval: 10, strategy: "ALL" }],
  ])("%s keeps messages of a bounded length, and has room again when they are gone", async (type, configuration) => {
    const bed = await bedOfNode(type, configuration);
    const failures = async (): Promise<readonly boolean[]> => {
      const before = bed.steps.length;
      for (let n = 0; n < 4; n += 1) await bed.send({ text: "x".repeat(300_000) });
      return bed.steps.slice(before).map(({ failure }) => failure !== null);
    };
    expect(await failures()).toEqual([false, false, false, true]);
    await wake(bed, 11_000);
    expect(await failures()).toEqual([false, false, false, true]);
  });

  test.each([
    ["FIRST", ['Success: {"n":1}']],
    ["LAST", ['Success: {"n":2}']],
    ["ALL", ['Success: [{"msg":{"n":1},"metadata":{"ts":"1"}},{"msg":{"n":2},"metadata":{"ts":"2"}}]']],
  ])("TbMsgDeduplicationNode keeps %s of an interval", async (strategy, expected) => {
    const bed = await bedOfNode("deduplication.TbMsgDeduplicationNode", { interval: 5, strategy, outMsgType: "MANY" });
    expect(await bed.send({ n: 1 }, { metadata: { ts: "1" } })).toMatchObject([{ kind: "wake", atMs: 6_000 }]);
    expect(await bed.send({ n: 2 }, { metadata: { ts: "2" } })).toEqual([]);
    await wake(bed, 5_999);
    expect(bed.outputs("node")).toEqual([]);
    await wake(bed, 6_000);
    expect(bed.outputs("node")).toEqual(expected);
  });

  test.each([
    ["MIN", 1],
    ["MAX", 3],
    ["SUM", 6],
    ["AVG", 2],
    ["COUNT", 3],
  ])("TbSimpleAggMsgNode gives %s of a window", async (mathFunction, expected) => {
    const bed = await bedOfNode("analytics.incoming.TbSimpleAggMsgNode", {
      mathFunction,
      aggIntervalTimeUnit: "MINUTES",
      aggIntervalValue: 1,
      inputValueKey: "t",
      outputValueKey: "out",
    });
    for (const [t, ts] of [
      [1, "60000"],
      [3, "80000"],
      [2, "119999"],
    ] as const) {
      await bed.send({ t }, { metadata: { ts } });
    }
    await bed.send({ t: 9 }, { metadata: { ts: "120000" } });
    expect(bed.outputs("node")).toEqual([`Success: {"out":${expected}}`]);
    expect(bed.steps.at(-1)?.outputs[0]?.message.metadata["ts"]).toBe("60000");
    await bed.send({ t: 9 }, { metadata: { ts: "60001" } });
    expect(bed.steps.at(-1)?.failure).toBe("The message is about a window that has ended");
    await wake(bed, 61_000);
    expect(bed.outputs("node")).toEqual([`Success: {"out":${mathFunction === "COUNT" ? 1 : 9}}`]);
  });

  test("TbMsgCountNode tells how many messages came", async () => {
    const bed = await bedOfNode("action.TbMsgCountNode", { interval: 10, telemetryPrefix: "seen" });
    const started = await bed.handle({ kind: "started" });
    expect(started.effects).toMatchObject([{ kind: "wake", atMs: 11_000 }]);
    await bed.send({});
    await bed.send({});
    await wake(bed, 11_000);
    expect(bed.outputs("node")).toEqual(['Success: {"seen":2}']);
    expect(bed.steps.at(-1)?.outputs[0]?.message.originator).toEqual(TENANT);
    await wake(bed, 21_000);
    expect(bed.outputs("node")).toEqual(['Success: {"seen":0}']);
  });

  test("TbMsgGeneratorNode makes as many messages as it should, each from the one before", async () => {
    const bed = await bedOfNode("debug.TbMsgGeneratorNode", {
      msgCount: 2,
      periodInSeconds: 1,
      originatorType: "DEVICE",
      originatorId: DEVICE.id,
      scriptLang: "JS",
      jsScript: "return {msg: {n: (prevMsg.n || 0) + 1}, metadata: {}, msgType: 'POST_TELEMETRY_REQUEST'};",
    });
    await bed.handle({ kind: "started" });
    await wake(bed, 2_000);
    expect(bed.outputs("node")).toEqual(['Success: {"n":1}']);
    await wake(bed, 3_000);
    expect(bed.outputs("node")).toEqual(['Success: {"n":2}']);
    await wake(bed, 4_000);
    expect(bed.outputs("node")).toEqual([]);
    expect(bed.steps.at(-1)?.failure).toBeNull();
  });

  test("keep what they hold over a change of nothing but the program", async () => {
    const bed = await bedOfNode("delay.TbMsgDelayNode", { periodInSeconds: 10 });
    await bed.send({ n: 1 });
    const again = await bed.handle({ kind: "started" });
    expect(again.effects).toMatchObject([{ kind: "wake", atMs: 11_000 }]);
    bed.nowMs = 20_000;
    await bed.handle({ kind: "started" });
    expect(bed.outputs("node")).toEqual(['Success: {"n":1}']);
  });
});
