import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createUuid, type Uuid } from "../../shared/core/ids.ts";
import { newRpc } from "../../shared/entities/rpc-form.ts";
import type { CallOutcome } from "../../shared/entities/rpc.ts";
import type { CanonicalJson } from "../../shared/entities/telemetry.ts";
import { systemRandom } from "../../shared/runtime/system-random.ts";
import { DEVICE_A, type FakeEdge } from "../support/fake-edge.ts";
import { type MqttBed, openMqttBed } from "../support/mqtt-bed.ts";
import type { RawMqttClient } from "../support/raw-mqtt-client.ts";
import { waitFor } from "../support/wait-for.ts";

let bed: MqttBed;
let edge: FakeEdge;

beforeEach(async () => {
  bed = await openMqttBed();
  ({ edge } = bed);
});
afterEach(() => bed.finish());

function call(deviceId: Uuid = DEVICE_A, isOneway = false): Promise<CallOutcome> {
  const nowMs = edge.clock.nowMs();
  const params = '{"pin":7}' as CanonicalJson;
  const input = { method: "m", params, isPersistent: false, retries: 0, additionalInfo: null };
  const id = createUuid(edge.clock, systemRandom);
  return edge.rpcs.call(newRpc({ ...input, id, expirationMs: nowMs + 30_000 }, { deviceId, isOneway, nowMs }));
}

async function subscribe(client: RawMqttClient, topic: string, qos: 0 | 1 = 1): Promise<void> {
  client.send({ cmd: "subscribe", messageId: 2, subscriptions: [{ topic, qos }] });
  expect((await client.take("suback")).granted).toEqual([qos]);
}

async function publish(client: RawMqttClient, topic: string, payload: string): Promise<number> {
  client.send({ cmd: "publish", topic, payload, qos: 1, dup: false, retain: false, messageId: 1 });
  return (await client.take("puback")).reasonCode ?? 0;
}

interface Received {
  readonly topic: string;
  readonly text: string;
  readonly messageId: number | undefined;
}

async function nextMessage(client: RawMqttClient): Promise<Received> {
  const { topic, payload, messageId } = await client.take("publish");
  return { topic, text: String(payload), messageId };
}

const acknowledge = (client: RawMqttClient, { messageId }: Received): void =>
  client.send({ cmd: "puback", messageId: messageId ?? 0 });

describe("a request to a device", () => {
  test.each([
    ["v1/devices/me/rpc/request/", "v1/devices/me/rpc/response/"],
    ["v2/r/req/", "v2/r/res/"],
    ["v2/r/req/j/", "v2/r/res/j/"],
  ])("is pushed to %s and answered on %s", async (requests, responses) => {
    const client = await bed.login();
    await subscribe(client, `${requests}+`);
    const calling = call();
    const message = await nextMessage(client);
    expect(message).toMatchObject({ topic: `${requests}0`, text: '{"method":"m","params":{"pin":7}}' });
    acknowledge(client, message);
    expect(await publish(client, `${responses}0`, '{"level": 1.0}')).toBe(0);
    expect(await calling).toEqual({ kind: "answered", response: '{"level":1.0}' as CanonicalJson });
  });

  test("that was made before the device subscribed is pushed then, and not to one that has unsubscribed", async () => {
    const client = await bed.login();
    const calling = call();
    await subscribe(client, "v1/devices/me/#");
    const first = await nextMessage(client);
    expect(first.topic).toBe("v1/devices/me/rpc/request/0");
    await publish(client, "v1/devices/me/rpc/response/0", "1");
    await calling;
    client.send({ cmd: "unsubscribe", messageId: 3, unsubscriptions: ["v1/devices/me/#"] });
    await client.take("unsuback");
    const late = call();
    edge.clock.advance(30_000);
    expect(await late).toEqual({ kind: "no-connection" });
  });

  test("waits for a device whose session is kept, and is not in what is kept for it", async () => {
    const kept = { clean: false, clientId: "valve" };
    const client = await bed.login(4, "token-a", kept);
    await subscribe(client, "v1/devices/me/rpc/request/+");
    const first = call(DEVICE_A, true);
    expect((await nextMessage(client)).topic).toBe("v1/devices/me/rpc/request/0");
    client.destroy();
    await waitFor("the device to be gone", () => !bed.server.isConnected(DEVICE_A));
    const second = call(DEVICE_A, true);
    const again = await bed.login(4, "token-a", kept);
    const message = await nextMessage(again);
    expect(message.topic).toBe("v1/devices/me/rpc/request/1");
    acknowledge(again, message);
    expect(await second).toEqual({ kind: "delivered" });
    edge.clock.advance(30_000);
    expect(await first).toEqual({ kind: "no-answer" });
  });

  test("without an answer is done when the device acknowledges it", async () => {
    const client = await bed.login();
    await subscribe(client, "v1/devices/me/rpc/request/+");
    const calling = call(DEVICE_A, true);
    const message = await nextMessage(client);
    let outcome: CallOutcome | undefined;
    void calling.then((result) => (outcome = result));
    await edge.clock.yield();
    expect(outcome).toBeUndefined();
    acknowledge(client, message);
    expect(await calling).toEqual({ kind: "delivered" });
  });

  test("of QoS 0 is done when it is written", async () => {
    const client = await bed.login();
    await subscribe(client, "v1/devices/me/rpc/request/+", 0);
    expect(await call(DEVICE_A, true)).toEqual({ kind: "delivered" });
    expect((await nextMessage(client)).topic).toBe("v1/devices/me/rpc/request/0");
  });

  test("gets no answer from a device that goes", async () => {
    const client = await bed.login();
    await subscribe(client, "v1/devices/me/rpc/request/+");
    const calling = call(DEVICE_A, true);
    await nextMessage(client);
    client.destroy();
    await waitFor("the device to be gone", () => !bed.server.isConnected(DEVICE_A));
    edge.clock.advance(30_000);
    expect(await calling).toEqual({ kind: "no-answer" });
  });

  test("answered by no JSON is answered all the same, and the connection stays", async () => {
    const client = await bed.login();
    await subscribe(client, "v1/devices/me/rpc/request/+");
    const calling = call();
    await nextMessage(client);
    expect(await publish(client, "v1/devices/me/rpc/response/0", "ok!")).toBe(0);
    expect(await calling).toEqual({ kind: "unreadable" });
  });
});

describe("a request of a device", () => {
  test.each([
    ["v1/devices/me/rpc/request/1", "v1/devices/me/rpc/response/1"],
    ["v2/r/req/17", "v2/r/res/17"],
    ["v2/r/req/j/-3", "v2/r/res/j/-3"],
  ])("on %s is answered on %s, without a subscription", async (request, response) => {
    const client = await bed.login();
    expect(await publish(client, request, '{"method":"echo","params":{"a":1.0}}')).toBe(0);
    expect(await nextMessage(client)).toMatchObject({ topic: response, text: '{"a":1.0}' });
  });

  test("that nobody takes is answered after 60 s", async () => {
    const client = await bed.login();
    await publish(client, "v1/devices/me/rpc/request/1", '{"method":"getTime"}');
    edge.clock.advance(60_000);
    expect((await nextMessage(client)).text).toBe('{"error":"timeout"}');
  });

  test("of another shape is refused as bad input is", async () => {
    const client = await bed.login(5);
    expect(await publish(client, "v1/devices/me/rpc/request/1", "{}")).toBe(0x99);
    expect(await publish(client, "v1/devices/me/rpc/request/x", '{"method":"echo"}')).toBe(0x90);
  });
});

describe("a request to a device behind a gateway", () => {
  const idOf = (name: string): Uuid => {
    const device = edge.behind.get(name);
    if (device === undefined) throw new Error(`No device ${name}`);
    return device.deviceId;
  };

  test("goes to the gateway that speaks for it, which answers for it", async () => {
    const gateway = await bed.login(4, "gateway");
    await publish(gateway, "v1/gateway/connect", '{"device":"A"}');
    await subscribe(gateway, "v1/gateway/rpc");
    const calling = call(idOf("A"));
    const message = await nextMessage(gateway);
    expect(message).toMatchObject({
      topic: "v1/gateway/rpc",
      text: '{"device":"A","data":{"id":0,"method":"m","params":{"pin":7}}}',
    });
    await publish(gateway, "v1/gateway/rpc", '{"device":"A","id":0,"data":{"ok":true}}');
    expect(await calling).toEqual({ kind: "answered", response: '{"ok":true}' as CanonicalJson });
  });

  test("does not go to a gateway that has let it go, or is not subscribed", async () => {
    const gateway = await bed.login(4, "gateway");
    await publish(gateway, "v1/gateway/connect", '{"device":"A"}');
    const first = call(idOf("A"));
    edge.clock.advance(30_000);
    expect(await first).toEqual({ kind: "no-connection" });
    await subscribe(gateway, "v1/gateway/rpc");
    await publish(gateway, "v1/gateway/disconnect", '{"device":"A"}');
    const second = call(idOf("A"));
    edge.clock.advance(30_000);
    expect(await second).toEqual({ kind: "no-connection" });
  });

  test("goes to the gateway that spoke for the device last", async () => {
    edge.devices.set("other", { deviceId: createUuid(edge.clock, systemRandom), name: "Other", isGateway: true });
    const [one, other] = [await bed.login(4, "gateway"), await bed.login(4, "other")];
    for (const gateway of [one, other]) {
      await subscribe(gateway, "v1/gateway/rpc");
      await publish(gateway, "v1/gateway/telemetry", '{"A":[{"t":1}]}');
    }
    const first = call(idOf("A"), true);
    acknowledge(other, await nextMessage(other));
    expect(await first).toEqual({ kind: "delivered" });
    await publish(one, "v1/gateway/telemetry", '{"A":[{"t":2}]}');
    const second = call(idOf("A"), true);
    acknowledge(one, await nextMessage(one));
    expect(await second).toEqual({ kind: "delivered" });
    expect([one, other].flatMap(({ packets }) => packets).filter(({ cmd }) => cmd === "publish")).toEqual([]);
  });

  test("is refused as an answer when it is unreadable, or the device is no gateway", async () => {
    const gateway = await bed.login(5, "gateway");
    expect(await publish(gateway, "v1/gateway/rpc", '{"device":"A"}')).toBe(0x99);
    const device = await bed.login(5, "token-a");
    expect(await publish(device, "v1/gateway/rpc", '{"device":"A","id":0,"data":1}')).toBe(0x87);
  });
});
