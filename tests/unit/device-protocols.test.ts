import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { generate, type Packet } from "mqtt-packet";
import { createDeviceErrors } from "../../edge/devices/device-errors.ts";
import { createMqttTopics } from "../../edge/devices/mqtt-handlers.ts";
import {
  MalformedPacket,
  PacketReader,
  PacketTooLarge,
  publish,
  suback,
  writeAcknowledgement,
} from "../../edge/devices/mqtt-packets.ts";
import { endReasonOf } from "../../edge/devices/mqtt-reasons.ts";
import { ServerTimes } from "../../edge/devices/server-times.ts";
import { Subscriptions } from "../../edge/devices/topics.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { createSteppedClock, DEVICE_A, DEVICE_B } from "../support/fake-edge.ts";

describe("PacketReader", () => {
  const packet = fc.record({
    payload: fc.uint8Array({ maxLength: 400 }),
    messageId: fc.integer({ min: 1, max: 65_535 }),
  });
  test("finds the same packets however the bytes are cut", () => {
    fc.assert(
      fc.property(
        fc.array(packet, { maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1 }),
        (packets, cuts) => {
          const frames = packets.map(({ payload, messageId }) => {
            const whole: Packet = {
              cmd: "publish",
              topic: "v2/t",
              payload: Buffer.from(payload),
              messageId,
              qos: 1,
              dup: false,
              retain: false,
            };
            return generate(whole);
          });
          const bytes = Buffer.concat(frames);
          const reader = new PacketReader(1000);
          const found: Buffer[] = [];
          for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
            const end = Math.min(bytes.length, at + (cuts[turn % cuts.length] ?? 1));
            reader.push(bytes.subarray(at, end));
            at = end;
            while (reader.next()) found.push(reader.frame());
          }
          expect(found).toEqual(frames);
          expect(reader.unreadBytes).toBe(0);
        },
      ),
      { numRuns: 500 },
    );
  });
  test("keeps what arrives before it is read", () => {
    const reader = new PacketReader(100);
    reader.push(Buffer.from([0xc0, 0, 0x32]));
    reader.push(Buffer.from([3, 1, 2]));
    reader.push(Buffer.from([3, 0xc0]));
    const found: number[] = [];
    while (reader.next()) found.push(reader.first, reader.end - reader.start);
    expect(found).toEqual([0xc0, 0, 0x32, 3]);
    expect(reader.unreadBytes).toBe(1);
  });
  test("refuses a length above the limit before the content arrives", () => {
    const reader = new PacketReader(100);
    reader.push(Buffer.from([0x32, 101]));
    expect(() => reader.next()).toThrow(PacketTooLarge);
  });
  test("refuses a length of five bytes", () => {
    const reader = new PacketReader(100);
    reader.push(Buffer.from([0x32, 0x80, 0x80, 0x80, 0x80]));
    expect(() => reader.next()).toThrow(MalformedPacket);
  });
  test("never reads beyond a packet of random bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), (bytes) => {
        const reader = new PacketReader(200);
        reader.push(bytes);
        try {
          while (reader.next()) expect(reader.end).toBeLessThanOrEqual(reader.buffer.length);
        } catch (thrown) {
          expect(thrown instanceof MalformedPacket || thrown instanceof PacketTooLarge).toBe(true);
        }
      }),
      { numRuns: 5000 },
    );
  });
});

describe("packets written by hand are those of the library", () => {
  test("PUBACK", () => {
    const bytes: Buffer = Buffer.alloc(5);
    expect(bytes.subarray(0, writeAcknowledgement(bytes, 0, 4, 0x1234, 0))).toEqual(
      generate({ cmd: "puback", messageId: 0x1234 }),
    );
    expect(bytes.subarray(0, writeAcknowledgement(bytes, 0, 4, 0x1234, 0x99))).toEqual(
      Buffer.from([0x40, 3, 0x12, 0x34, 0x99]),
    );
  });
  test("SUBACK of MQTT 5", () => {
    expect(suback("suback", 5, 7, [0, 1, 0x8f])).toEqual(
      generate({ cmd: "suback", messageId: 7, granted: [0, 1, 0x8f] }, { protocolVersion: 5 }),
    );
  });
  test("PUBLISH", () => {
    for (const version of [4, 5] as const) {
      for (const qos of [0, 1] as const) {
        for (const payload of ["", "é", "x".repeat(20_000)]) {
          const whole: Packet = {
            cmd: "publish",
            topic: "v2/a",
            payload,
            qos,
            dup: false,
            retain: false,
            messageId: 300,
          };
          expect(publish(version, { topic: "v2/a", payload, qos, messageId: 300 })).toEqual(
            generate(whole, { protocolVersion: version }),
          );
        }
      }
    }
  });
});

describe("createMqttTopics()", () => {
  const topics = createMqttTopics([
    {
      routes: ["v2/t", "v2/a/req/+", "v2/fw/request/+/chunk/+", "v2/a/req/j"].map((topic) => ({
        topic,
        take: () => "taken",
      })),
      downlinks: ["v1/devices/me/attributes", "v2/a/res/+", "v2/fw/response/+/chunk/+"],
    },
  ]);
  for (const [topic, levels] of [
    ["v2/t", []],
    ["v2/a/req/0", ["0"]],
    ["v2/a/req/j", []],
    ["v2/a/req/", [""]],
    ["v2/fw/request/7/chunk/12", ["7", "12"]],
    ["v2/a/req/1/2", undefined],
    ["v2/a/req", undefined],
    ["v2/t/", undefined],
    ["V2/t", undefined],
    ["toString", undefined],
  ] as const) {
    test(`finds for ${topic} ${levels === undefined ? "nothing" : `the levels [${levels.join()}]`}`, () =>
      expect(topics.find(topic)?.levels).toEqual(levels));
  }
  for (const [filter, granted] of [
    ["v1/devices/me/attributes", true],
    ["v1/devices/me/#", true],
    ["v1/devices/me/attributes/#", true],
    ["v1/devices/me/+", true],
    ["v2/a/res/+", true],
    ["v2/a/res/5", true],
    ["v2/#", true],
    ["v2/fw/response/+/chunk/+", true],
    ["v2/fw/response/#", true],
    ["v2/fw/response/3/chunk/+", true],
    ["v2/fw/response/+", false],
    ["v2/t", false],
    ["#", false],
    ["+/devices/me/attributes", false],
    ["v1/devices/+/attributes", false],
    ["v1/devices/me/#/x", false],
    ["v1/devices/me/attr#", false],
    ["v2/a/res+", false],
    ["$share/g/v2/a/res/+", false],
  ] as const) {
    test(`${granted ? "grants" : "refuses"} the filter ${filter}`, () =>
      expect(topics.isGranted(filter)).toBe(granted));
  }
});

describe("Subscriptions", () => {
  const forms = ["v1/devices/me/attributes", "v2/a", "v2/a/j"];
  test("lastOf() is the form subscribed last, until that is given up", () => {
    const subscriptions = new Subscriptions(10);
    expect(subscriptions.lastOf(forms)).toBeUndefined();
    subscriptions.add("v2/a/j", 0);
    subscriptions.add("v1/devices/me/attributes", 1);
    subscriptions.add("v1/devices/me/attributes/response/+", 0);
    expect(subscriptions.lastOf(forms)).toEqual({ topic: "v1/devices/me/attributes", qos: 1 });
    subscriptions.remove("v1/devices/me/attributes");
    expect(subscriptions.lastOf(forms)).toEqual({ topic: "v2/a/j", qos: 0 });
    expect(subscriptions.qosOf("v1/devices/me/attributes/response/3")).toBe(0);
    expect(subscriptions.qosOf("v2/a/res/3")).toBeUndefined();
  });
  test("of overlapping filters the highest QoS counts", () => {
    const subscriptions = new Subscriptions(10);
    subscriptions.add("v2/#", 1);
    subscriptions.add("v2/a", 0);
    expect(subscriptions.qosOf("v2/a")).toBe(1);
    expect(subscriptions.lastOf(forms)).toEqual({ topic: "v2/a", qos: 1 });
  });
  test("are limited, and one that is there already may be asked for again", () => {
    const subscriptions = new Subscriptions(1);
    expect(subscriptions.add("v2/a", 0)).toBe(true);
    expect(subscriptions.add("v2/a", 1)).toBe(true);
    expect(subscriptions.add("v2/a/j", 1)).toBe(false);
    expect(subscriptions.qosOf("v2/a")).toBe(1);
  });
});

describe("ServerTimes", () => {
  test("gives each message of a burst its own ms, per device, at most 1 s ahead", () => {
    const times = new ServerTimes();
    const take = (device: Uuid, nowMs: number): number => {
      const tsMs = times.next(device, nowMs);
      times.use(device, tsMs);
      return tsMs;
    };
    expect([take(DEVICE_A, 10), take(DEVICE_A, 10), take(DEVICE_B, 10), take(DEVICE_A, 10)]).toEqual([10, 11, 10, 12]);
    expect(take(DEVICE_A, 50)).toBe(50);
    for (let count = 0; count < 5000; count += 1) expect(take(DEVICE_A, 50)).toBeLessThanOrEqual(1050);
  });
});

describe("createDeviceErrors()", () => {
  test("forgets the device that is quiet the longest", () => {
    const errors = createDeviceErrors(createSteppedClock(5), 2);
    const other = "0190a000-0000-7000-8000-00000000000c" as Uuid;
    errors.note(DEVICE_A, "first");
    errors.note(DEVICE_B, "second");
    errors.note(DEVICE_A, "third");
    errors.note(other, "fourth");
    expect([errors.last(DEVICE_A), errors.last(DEVICE_B)]).toEqual([{ atMs: 5, reason: "third" }, undefined]);
  });
});

describe("endReasonOf()", () => {
  test("tells bad data from a store that fails", () => {
    expect([endReasonOf("INVALID_PAYLOAD"), endReasonOf("DISK_FULL"), endReasonOf("CANCELLED")]).toEqual([
      "invalid-payload",
      "not-stored",
      "shutting-down",
    ]);
  });
});
