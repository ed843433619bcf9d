import { spawn, type ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findFreePorts } from "../support/free-ports.ts";
import { waitFor, within } from "../support/wait-for.ts";
import type { Measure } from "./measure.ts";
import { runMqttLoad } from "./mqtt-load.ts";

const BROKER = "/usr/sbin/mosquitto";
const SUBSCRIBER = "/usr/bin/mosquitto_sub";
const MESSAGES = 1_000_000;
const MESSAGES_QUICK = 40_000;
const CLIENTS = 8;
const FIRST_TS_MS = 1_700_000_000_000;
const TOPIC = "v1/devices/me/telemetry";
const DRAIN_DEADLINE_MS = 600_000;

/**
 * What a Mosquitto broker bridged to another one does with the same messages: they are published to the first at QoS 1 while
 * the second is not there, then the second is started: from the first message that comes over the bridge until the last.
 * QoS 1 and persistence on both, queues and messages in flight without a limit, which is its fastest setting. Mosquitto
 * writes its store now and then and not before it acknowledges; what is compared is the rate alone.
 */
export const drainMosquittoBridge: Measure = {
  figures: { drain_mosquitto_bridge: "msg/s" },
  unavailable: () =>
    [BROKER, SUBSCRIBER].every((path) => existsSync(path))
      ? null
      : "the Debian packages mosquitto and mosquitto-clients are not installed",
  async runOnce({ quick }) {
    const messages = quick ? MESSAGES_QUICK : MESSAGES;
    const dir = await mkdtemp(join(tmpdir(), "skerry-bridge-"));
    await using stack = new AsyncDisposableStack();
    stack.defer(() => rm(dir, { recursive: true, force: true }));
    const [nearPort = 0, farPort = 0] = await findFreePorts(2);
    const near = await startBroker(join(dir, "near"), nearPort, bridgeTo(farPort));
    stack.defer(() => near.stop());

    const tokens = Array.from({ length: CLIENTS }, (_, index) => `load-${index}`);
    await runMqttLoad({ port: nearPort, tokens, messagesPerClient: messages / CLIENTS, firstTsMs: FIRST_TS_MS });
    const far = await startBroker(join(dir, "far"), farPort, []);
    stack.defer(() => far.stop());
    const elapsedMs = await within("the bridge to deliver everything", DRAIN_DEADLINE_MS, receive(farPort, messages));
    return { drain_mosquitto_bridge: (messages * 1000) / elapsedMs };
  },
};

interface Broker {
  stop(): Promise<void>;
}

function bridgeTo(port: number): string[] {
  return [
    "connection cloud",
    `address 127.0.0.1:${port}`,
    `topic ${TOPIC} out 1`,
    "cleansession false",
    "bridge_protocol_version mqttv311",
    "restart_timeout 1",
    "try_private false",
  ];
}

async function startBroker(dir: string, port: number, bridge: readonly string[]): Promise<Broker> {
  await mkdir(dir, { recursive: true });
  const lines = [
    `listener ${port} 127.0.0.1`,
    "allow_anonymous true",
    "persistence true",
    `persistence_location ${dir}/`,
    "max_queued_messages 0",
    "max_inflight_messages 0",
    "set_tcp_nodelay true",
    "log_type error",
    // As root it would drop to a user who may not write here.
    "user root",
    ...bridge,
  ];
  const file = join(dir, "mosquitto.conf");
  await writeFile(file, `${lines.join("\n")}\n`);
  const child = spawn(BROKER, ["-c", file], { stdio: "ignore" });
  await waitFor("the broker to listen", () => canConnect(port));
  return { stop: () => stopChild(child) };
}

function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1" }, () => resolve(socket.destroy() !== undefined));
    socket.once("error", () => resolve(false));
  });
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  await ended;
}

/** Time between the first message and the last of so many. */
async function receive(port: number, messages: number): Promise<number> {
  const args = ["-p", `${port}`, "-t", TOPIC, "-q", "1", "-C", `${messages}`, "-F", "%m"];
  const child = spawn(SUBSCRIBER, args, { stdio: ["ignore", "pipe", "inherit"] });
  const firstMs = new Promise<number>((resolve) => child.stdout.once("data", () => resolve(performance.now())));
  child.stdout.resume();
  const exitCode = await new Promise((resolve) => child.once("exit", resolve));
  if (exitCode !== 0) throw new Error(`The subscriber ended with code ${String(exitCode)}`);
  return performance.now() - (await firstMs);
}
