import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { type MqttBed, openMqttBed } from "../support/mqtt-bed.ts";
import type { RawMqttClient } from "../support/raw-mqtt-client.ts";

const FILE = Uint8Array.from({ length: 2500 }, (_, at) => at % 251);

let bed: MqttBed;
let client: RawMqttClient;
beforeEach(async () => {
  bed = await openMqttBed();
  bed.edge.files.set("FIRMWARE", FILE);
  client = await bed.login();
});
afterEach(() => bed.finish());

async function ask(topic: string, payload = ""): Promise<{ topic: string; payload: Uint8Array }> {
  client.send({ cmd: "publish", topic, payload, qos: 0, dup: false, retain: false });
  const { topic: answered, payload: bytes, qos, messageId } = await client.take("publish");
  if (qos === 1 && messageId !== undefined) client.send({ cmd: "puback", messageId });
  return { topic: answered, payload: new Uint8Array(Buffer.from(bytes)) };
}
const text = ({ topic, payload }: { topic: string; payload: Uint8Array }) =>
  `${topic} ${new TextDecoder().decode(payload)}`;

describe("chunks of firmware", () => {
  test("come with the size that is asked for, without a subscription, and none behind the end", async () => {
    for (const [chunk, from, to] of [
      [0, 0, 1000],
      [2, 2000, 2500],
      [3, 2500, 2500],
    ] as const) {
      const { topic, payload } = await ask(`v2/fw/request/7/chunk/${chunk}`, "1000");
      expect(topic).toBe(`v2/fw/response/7/chunk/${chunk}`);
      expect(payload).toEqual(FILE.slice(from, to));
    }
  });
  test("without a size have that of the chunk before, at first all of it", async () => {
    expect((await ask("v2/fw/request/1/chunk/0")).payload).toEqual(FILE);
    await ask("v2/fw/request/2/chunk/0", "900");
    expect((await ask("v2/fw/request/2/chunk/1")).payload).toEqual(FILE.slice(900, 1800));
  });
  test("that can't be sent are refused, and the connection stays", async () => {
    expect(text(await ask("v2/sw/request/1/chunk/0", "10"))).toBe("v2/sw/error NOT_FOUND");
    expect(text(await ask("v2/fw/request/1/chunk/0", "70000"))).toBe("v2/fw/error PAYLOAD_TOO_LARGE");
    expect(text(await ask("v2/fw/request/1/chunk/0", "many"))).toBe("v2/fw/error FAILURE");
    expect(text(await ask("v2/fw/request/1/chunk/x", "10"))).toBe("v2/fw/error FAILURE");
    expect((await ask("v2/fw/request/1/chunk/0", "10")).payload.length).toBe(10);
  });
  test("of a file above the limit of a message are refused without a size", async () => {
    bed.edge.files.set("FIRMWARE", new Uint8Array(70_000));
    expect(text(await ask("v2/fw/request/1/chunk/0"))).toBe("v2/fw/error PAYLOAD_TOO_LARGE");
  });
});

test("claims are stored before they are acknowledged, of a device and of those behind a gateway", async () => {
  const publish = { cmd: "publish", qos: 1, dup: false, retain: false } as const;
  client.send({ ...publish, topic: "v1/devices/me/claim", payload: '{"secretKey":"s","durationMs":5}', messageId: 1 });
  expect((await client.take("puback")).messageId).toBe(1);
  const gateway = await bed.login(5, "gateway");
  gateway.send({
    ...publish,
    topic: "v1/gateway/claim",
    payload: '{"A":{"secretKey":"g"},"B":{},"C":5}',
    messageId: 2,
  });
  expect((await gateway.take("puback")).messageId).toBe(2);
  expect(bed.edge.claims.map(({ secretKey }) => secretKey)).toEqual(["s", "g", ""]);
  expect([...bed.edge.behind.keys()]).toEqual(["A", "B"]);
});
