import type { Socket } from "node:net";
import { findDatabaseProcesses, findDescendants, readProcessorMs, readPssBytes } from "../support/server-processes.ts";
import { withBenchSite } from "./bench-site.ts";
import { countTelemetryRows } from "./database.ts";
import { quantile, type Measure } from "./measure.ts";
import { connectPacket, connectSocket, defaultPayload, publishPacket } from "./mqtt-load.ts";

const DEVICES = 2000;
const DEVICES_QUICK = 50;
/** Connections are opened so many at once. */
const CONNECTING_MAX = 50;
/** Not measured: sessions, caches and compiled code come to rest. */
const WARM_UP_S = 30;
const MEASURED_S = 60;
const QUICK_S = 3;
const FIRST_TS_MS = 1_700_000_000_000;
const PUBACK_BYTES = 4;
/** How often the senders look whose turn it is. */
const STEP_MS = 5;

/**
 * 2,000 devices on one edge, each with a connection of its own and a message a second at QoS 1, spread evenly over the second. Processor
 * time (of one core) and memory are those of the edge with all processes of its PostgreSQL, which sends to the cloud meanwhile.
 */
export const mqtt2000: Measure = {
  figures: { mqtt_2000_cpu: "%", mqtt_2000_pss: "MB", mqtt_2000_ack_p99: "ms" },
  runOnce: ({ quick }) =>
    withBenchSite(quick ? DEVICES_QUICK : DEVICES, async ({ devices, edge }) => {
      const port = Number(new URL(edge.addresses.mqtt).port);
      const senders: Sender[] = [];
      for (let at = 0; at < devices.length; at += CONNECTING_MAX) {
        const part = devices.slice(at, at + CONNECTING_MAX);
        senders.push(...(await Promise.all(part.map(({ token }, index) => openSender(port, token, at + index)))));
      }
      const load = startLoad(senders);
      await Bun.sleep((quick ? QUICK_S : WARM_UP_S) * 1000);
      for (const sender of senders) sender.latenciesMs.length = 0;
      const findPids = (): number[] => [
        ...new Set([...findDescendants(edge.pid), ...findDatabaseProcesses(edge.dataDir)]),
      ];
      const processorMs = (): number => findPids().reduce((sum, pid) => sum + readProcessorMs(pid), 0);
      const startedMs = performance.now();
      const startedProcessorMs = processorMs();
      await Bun.sleep((quick ? QUICK_S : MEASURED_S) * 1000);
      const share = (processorMs() - startedProcessorMs) / (performance.now() - startedMs);
      const pssBytes = findPids().reduce((sum, pid) => sum + readPssBytes(pid), 0);
      const latenciesMs = senders.flatMap((sender) => sender.latenciesMs);
      const sent = await load.stop();
      const stored = await countTelemetryRows(edge.dataDir);
      if (stored !== sent) throw new Error(`Acknowledged ${sent} messages, stored ${stored}`);
      return {
        mqtt_2000_cpu: share * 100,
        mqtt_2000_pss: pssBytes / 1e6,
        mqtt_2000_ack_p99: quantile(latenciesMs, 0.99),
      };
    }),
};

interface Sender {
  readonly socket: Socket;
  readonly latenciesMs: number[];
  /** When the messages that wait for their PUBACK were sent; they are acknowledged in this order. */
  readonly waiting: number[];
  sent: number;
  send(): void;
}

async function openSender(port: number, token: string, index: number): Promise<Sender> {
  const socket = await connectSocket("127.0.0.1", port, connectPacket(token, `device-${index}`));
  const sender: Sender = {
    socket,
    latenciesMs: [],
    waiting: [],
    sent: 0,
    send: () => {
      const payload = defaultPayload(index, FIRST_TS_MS + sender.sent);
      socket.write(publishPacket(payload, (sender.sent % 65_535) + 1));
      sender.waiting.push(performance.now());
      sender.sent += 1;
    },
  };
  let unreadBytes = 0;
  socket.on("data", (chunk: Buffer) => {
    for (unreadBytes += chunk.length; unreadBytes >= PUBACK_BYTES; unreadBytes -= PUBACK_BYTES) {
      sender.latenciesMs.push(performance.now() - (sender.waiting.shift() ?? Number.NaN));
    }
  });
  return sender;
}

/** Each sender has its place in every second. */
function startLoad(senders: readonly Sender[]): { stop(): Promise<number> } {
  const startedMs = performance.now();
  let turns = 0;
  const timer = setInterval(() => {
    const due = ((performance.now() - startedMs) / 1000) * senders.length;
    for (; turns < due; turns += 1) senders[turns % senders.length]?.send();
  }, STEP_MS);
  return {
    stop: async () => {
      clearInterval(timer);
      while (senders.some(({ waiting }) => waiting.length > 0)) {
        const lost = senders.find(({ socket }) => socket.destroyed);
        if (lost !== undefined) throw new Error("The edge ended a connection");
        await Bun.sleep(STEP_MS);
      }
      for (const { socket } of senders) socket.destroy();
      return senders.reduce((sum, { sent }) => sum + sent, 0);
    },
  };
}
