import { connect } from "node:net";
import type { EdgeProcess } from "../support/processes.ts";
import { connectToEdge } from "../support/rest-client.ts";
import { createTestBed } from "../support/test-bed.ts";
import { within } from "../support/wait-for.ts";
import type { Measure } from "./measure.ts";
import { runMqttLoad } from "./mqtt-load.ts";

/** An MQTT 3.1.1 CONNECT with a clean session, client id "a" and user name "x". */
const CONNECT_PACKET = Buffer.from([0x10, 0x10, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 0x82, 0, 60, 0, 1, 0x61, 0, 1, 0x78]);

/** In a CONNACK. Only an edge that has asked its database can say so; 3 would mean that it can't yet. */
const UNKNOWN_TOKEN = 5;

/**
 * From the start of the process until it answers an MQTT CONNECT, an unknown token's refusal included: first in an empty
 * directory, where it unpacks PostgreSQL and makes the database, then in the same directory after a clean stop.
 */
export const start: Measure = {
  figures: { start_first: "ms", start_later: "ms" },
  async runOnce() {
    await using bed = await createTestBed();
    const edge = await bed.startEdge();
    const start_first = await addFirstAnswer(edge);
    await edge.stop();
    await edge.restart();
    return { start_first, start_later: await addFirstAnswer(edge) };
  },
};

const BACKLOG_CLIENTS = 8;
const BACKLOG_MESSAGES = 2_000_000;
const BACKLOG_MESSAGES_QUICK = 40_000;

/**
 * The same with a backlog of two million messages: after a clean stop, and after everything was killed at once at the end of the load,
 * which leaves the database up to 256 MB of log to go through.
 */
export const startBacklog: Measure = {
  figures: { start_backlog: "ms", start_killed: "ms" },
  async runOnce({ quick }) {
    await using bed = await createTestBed();
    const edge = await bed.startEdge();
    const api = connectToEdge(edge);
    const tokens: string[] = [];
    for (let index = 0; index < BACKLOG_CLIENTS; index += 1)
      tokens.push((await api.createDevice(`Device ${index}`)).token);
    await runMqttLoad({
      port: Number(new URL(edge.addresses.mqtt).port),
      tokens,
      messagesPerClient: (quick ? BACKLOG_MESSAGES_QUICK : BACKLOG_MESSAGES) / BACKLOG_CLIENTS,
      firstTsMs: Date.now(),
    });
    await edge.kill();
    await edge.restart();
    const start_killed = await addFirstAnswer(edge);
    await edge.stop();
    await edge.restart();
    return { start_killed, start_backlog: await addFirstAnswer(edge) };
  },
};

/** The ready line names the port; the answer on it comes on top. */
async function addFirstAnswer(edge: EdgeProcess): Promise<number> {
  const askedMs = performance.now();
  await within("the answer to an MQTT CONNECT", 10_000, readConnack(Number(new URL(edge.addresses.mqtt).port)));
  return edge.startMs + performance.now() - askedMs;
}

async function readConnack(port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(CONNECT_PACKET));
    socket.once("data", (connack: Buffer) => {
      socket.destroy();
      if (connack[3] === UNKNOWN_TOKEN) resolve();
      else reject(new Error(`Expected the refusal of an unknown token, got code ${connack[3]}`));
    });
    socket.once("error", reject);
    socket.once("close", () => reject(new Error("The connection was closed without an answer")));
  });
}
