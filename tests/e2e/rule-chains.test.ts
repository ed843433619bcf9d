import { expect, test } from "bun:test";
import { isConnected } from "../support/edge-status.ts";
import { withTestBed, type TestBed } from "../support/test-bed.ts";
import { waitFor } from "../support/wait-for.ts";

const ENGINE = "org.thingsboard.rule.engine";
const REQUESTS = "v1/devices/me/rpc/request";
const MOSQUITTO_PUB = Bun.which("mosquitto_pub");

const predicate = { type: "NUMERIC", operation: "GREATER", value: { defaultValue: 1_000 } };
const key = { type: "TIME_SERIES", key: "co2" };
const RULE = {
  id: "co2",
  alarmType: "Bad air",
  createRules: {
    MAJOR: { condition: { condition: [{ key, valueType: "NUMERIC", predicate }], spec: { type: "SIMPLE" } } },
  },
};

/** A new alarm has the window asked to open, and what it answers is its telemetry. */
const NODES = [
  node("filter.TbMsgTypeFilterNode", "Alarms", { messageTypes: ["ALARM"] }),
  node("filter.TbJsFilterNode", "New", { scriptLang: "JS", jsScript: 'return metadata.isNewAlarm === "true";' }),
  node("transform.TbChangeOriginatorNode", "Window", {
    originatorSource: "ENTITY",
    entityType: "DEVICE",
    entityNamePattern: "Window",
  }),
  node("transform.TbTransformMsgNode", "Open", {
    scriptLang: "JS",
    jsScript: `return { msg: { method: "open", params: { because: msg.type } }, metadata: metadata, msgType: msgType };`,
  }),
  node("rpc.TbSendRPCRequestNode", "Ask", { timeoutInSeconds: 10 }),
  node("transform.TbTransformMsgNode", "Position", {
    scriptLang: "JS",
    jsScript: 'return { msg: { position: msg.position }, metadata: metadata, msgType: "POST_TELEMETRY_REQUEST" };',
  }),
  node("telemetry.TbMsgTimeseriesNode", "Save", {}),
];

function node(type: string, name: string, configuration: object) {
  return { type: `${ENGINE}.${type}`, name, configuration };
}

async function publish(url: string, token: string, values: object): Promise<void> {
  const { hostname, port } = new URL(url);
  const where = ["-h", hostname, "-p", port, "-u", token, "-q", "1", "-t", "v1/devices/me/telemetry"];
  const child = Bun.spawn([MOSQUITTO_PUB ?? "mosquitto_pub", ...where, "-m", JSON.stringify(values)]);
  expect(await child.exited).toBe(0);
}

async function startSite(bed: TestBed) {
  const cloud = await bed.startCloud();
  const site = await bed.startSite(cloud);
  const { cloudApi, edgeApi, edgeId } = site;
  const chain = await cloudApi.request<{ id: { id: string } }>("POST", "/api/ruleChain", {
    name: "React",
    type: "EDGE",
  });
  await cloudApi.request("POST", "/api/ruleChain/metadata", {
    ruleChainId: chain.id,
    firstNodeIndex: 0,
    nodes: NODES,
    connections: NODES.slice(1).map((_, index) => ({
      fromIndex: index,
      toIndex: index + 1,
      type: index < 2 ? "True" : "Success",
    })),
  });
  await cloudApi.request("POST", `/api/edge/${edgeId}/${chain.id.id}/root`);
  const profile = await cloudApi.request<{ id: object }>("POST", "/api/deviceProfile", {
    name: "Room",
    profileData: { alarms: [RULE] },
  });
  const [room, window] = [await cloudApi.createDevice("Room"), await cloudApi.createDevice("Window")];
  const record = await cloudApi.request<object>("GET", `/api/device/${room.id}`);
  await cloudApi.request("POST", "/api/device", { ...record, deviceProfileId: profile.id });
  for (const { id } of [room, window]) await cloudApi.assignDevice(edgeId, id);
  await waitFor("both devices and the root to be on the edge", async () => {
    const { rules } = await edgeApi.request<{ rules: { nodes: unknown[] } | null }>("GET", "/status");
    const isThere =
      (await edgeApi.getDevice(room.id)) !== undefined && (await edgeApi.getDevice(window.id)) !== undefined;
    return isThere && (rules?.nodes.length ?? 0) > 0;
  });
  return { ...site, room, window };
}

test("a value over the limit raises an alarm and has the actuator act, and its answer is stored, without a link", () =>
  withTestBed(async (bed) => {
    const { cloud, edge, edgeApi, room, window } = await startSite(bed);
    const actuator = await bed.connectDevice(edge, window.token);
    await actuator.subscribe(`${REQUESTS}/+`);
    await cloud.kill();
    await waitFor("the edge to notice", async () => !(await isConnected(edge)));
    if (MOSQUITTO_PUB === null) await (await bed.connectDevice(edge, room.token)).sendTelemetry({ co2: 1_200 });
    else await publish(edge.addresses.mqtt, room.token, { co2: 1_200 });
    expect(await actuator.waitForMessage(`${REQUESTS}/0`)).toEqual({ method: "open", params: { because: "Bad air" } });
    await actuator.publish("v1/devices/me/rpc/response/0", { position: 90 });
    await waitFor("the answer to be stored", async () => {
      const path = `/api/plugins/telemetry/DEVICE/${window.id}/values/timeseries`;
      const latest = await edgeApi.request<{ position?: { value: string }[] }>("GET", path);
      return latest.position?.[0]?.value === "90";
    });
    const alarms = await edgeApi.request<{ data: object[] }>("GET", `/api/alarm/DEVICE/${room.id}?pageSize=9&page=0`);
    expect(alarms.data).toMatchObject([{ type: "Bad air", status: "ACTIVE_UNACK" }]);
    const { rules } = await edgeApi.request<{ rules: object }>("GET", "/status");
    expect(rules).toMatchObject({ failures: 0, pausedNodes: 0 });
  }));
