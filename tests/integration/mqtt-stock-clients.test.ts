import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { createUuid } from "../../shared/core/ids.ts";
import { newRpc } from "../../shared/entities/rpc-form.ts";
import type { CanonicalJson } from "../../shared/entities/telemetry.ts";
import { readValue } from "../../shared/entities/values.ts";
import { systemRandom } from "../../shared/runtime/system-random.ts";
import { DEVICE_A } from "../support/fake-edge.ts";
import { eventually, type MqttBed, openMqttBed } from "../support/mqtt-bed.ts";

// Stock clients that are not on every machine (Debian: python3-paho-mqtt, mosquitto-clients); mqtt.js is tested in mqtt-server.test.ts,
// and what these do is tested without them in mqtt-messages.test.ts, mqtt-rpc.test.ts and mqtt-sessions.test.ts.
const PYTHON = findPythonWithPaho();
const MOSQUITTO_PUB = Bun.which("mosquitto_pub");
const MOSQUITTO_SUB = Bun.which("mosquitto_sub");

const PAHO_DEVICE = join(import.meta.dir, "../support/paho-device.py");
const ATTRIBUTES = "v1/devices/me/attributes";
const RPC = "v1/devices/me/rpc";

let bed: MqttBed;
beforeEach(async () => void (bed = await openMqttBed()));
afterEach(() => bed.finish());

/** Debian's packages are those of Debian's Python, which is not always the first in the path. */
function findPythonWithPaho(): string | undefined {
  const candidates = new Set(["/usr/bin/python3", Bun.which("python3") ?? "/usr/bin/python3"]);
  return [...candidates].find((path) => {
    try {
      return Bun.spawnSync([path, "-c", "import paho.mqtt.client"]).exitCode === 0;
    } catch {
      return false;
    }
  });
}

/** A change of a shared attribute, as the cloud or somebody on the edge makes it. */
function push(limit: number): void {
  const attributes = [{ key: "limit", value: readValue(String(limit)), updatedMs: 1 }];
  bed.edge.emit({ kind: "shared-saved", deviceId: DEVICE_A, attributes });
}

function call(): Promise<unknown> {
  const nowMs = bed.edge.clock.nowMs();
  const form = {
    id: createUuid(bed.edge.clock, systemRandom),
    method: "setGpio",
    params: '{"pin":7}' as CanonicalJson,
    expirationMs: nowMs + 30_000,
    isPersistent: false,
    retries: 0,
    additionalInfo: null,
  };
  return bed.edge.rpcs.call(newRpc(form, { deviceId: DEVICE_A, isOneway: false, nowMs }));
}

describe.skipIf(PYTHON === undefined)("paho", () => {
  for (const version of [4, 5] as const) {
    test(`of version ${version} publishes, asks, answers a request, and finds its session again`, async () => {
      bed.edge.shared.set("limit", readValue("30"));
      const child = spawn(PYTHON ?? "", [PAHO_DEVICE, String(bed.port), String(version)], {
        stdio: ["pipe", "pipe", "inherit"],
        timeout: 30_000,
      });
      const heard: unknown[] = [];
      let outcome: Promise<unknown> | undefined;
      for await (const line of createInterface({ input: child.stdout })) {
        const event = JSON.parse(line) as { readonly waiting?: "request" | "push" };
        heard.push(event);
        if (event.waiting === undefined) continue;
        if (event.waiting === "request") outcome = call();
        else {
          await eventually(() => !bed.server.isConnected(DEVICE_A));
          push(31);
        }
        child.stdin.write("\n");
      }
      expect(heard).toEqual([
        { connected: 0, present: 0 },
        { granted: [1, 1, 1, 1] },
        { published: "v1/devices/me/telemetry", acknowledged: true },
        { published: ATTRIBUTES, acknowledged: true },
        { published: `${ATTRIBUTES}/request/1`, acknowledged: true },
        { topic: `${ATTRIBUTES}/response/1`, payload: { client: { fw: "1.2.x" }, shared: { limit: 30 } }, qos: 1 },
        { published: `${RPC}/request/1`, acknowledged: true },
        { topic: `${RPC}/response/1`, payload: { a: 1 }, qos: 1 },
        { waiting: "request" },
        { topic: `${RPC}/request/0`, payload: { method: "setGpio", params: { pin: 7 } }, qos: 1 },
        { published: `${RPC}/response/0`, acknowledged: true },
        { waiting: "push" },
        { connected: 0, present: 1 },
        { topic: ATTRIBUTES, payload: { limit: 31 }, qos: 1 },
      ]);
      expect(bed.edge.records).toMatchObject([
        { entityId: DEVICE_A, tsMs: 1_700_000_000_000, values: '{"temperature":41.9}' },
      ]);
      expect(await outcome).toEqual({ kind: "answered", response: '{"ok":true}' as CanonicalJson });
    });
  }
});

describe.skipIf(MOSQUITTO_PUB === null || MOSQUITTO_SUB === null)("mosquitto", () => {
  const run = async (client: string | null, ...args: readonly string[]): Promise<string> => {
    const child = Bun.spawn([client ?? "", "-h", "127.0.0.1", "-p", String(bed.port), "-u", "token-a", ...args], {
      timeout: 30_000,
    });
    const output = await new Response(child.stdout).text();
    expect(await child.exited).toBe(0);
    return output.trim();
  };

  for (const [version, kept] of [
    ["mqttv311", ["-c"]],
    ["mqttv5", ["-c", "-x", "600"]],
  ] as const) {
    test(`of ${version} publishes, and is told of a change that was made while it was away`, async () => {
      for (const qos of ["0", "1", "2"]) {
        await run(MOSQUITTO_PUB, "-V", version, "-q", qos, "-t", "v1/devices/me/telemetry", "-m", `{"qos":${qos}}`);
      }
      await eventually(() => bed.edge.records.length === 3);
      expect(bed.edge.records.map(({ values }) => String(values))).toEqual(['{"qos":0}', '{"qos":1}', '{"qos":2}']);
      const session = ["-V", version, ...kept, "-i", "mosquitto", "-q", "1", "-t", ATTRIBUTES];
      await run(MOSQUITTO_SUB, ...session, "-E");
      await eventually(() => !bed.server.isConnected(DEVICE_A));
      push(31);
      expect(await run(MOSQUITTO_SUB, ...session, "-C", "1", "-F", "%t %q %p")).toBe(`${ATTRIBUTES} 1 {"limit":31}`);
    });
  }
});
