import type { Socket } from "node:net";
import { generate, parser } from "mqtt-packet";
import { connectPacket, connectSocket, publishPacket } from "./mqtt-load.ts";

// Devices that publish at a steady rate, whether or not they were answered; the acknowledgements are timed.

export interface PacedDevice {
  readonly token: string;
  /** Differs for each. */
  readonly clientId: string;
  /** Of the message with this number, from 1. */
  readonly payload: (number: number) => string;
  /** What the device subscribes to, at QoS 0. @default nothing */
  readonly subscription?: { readonly topic: string; readonly onMessage: (payload: string) => void };
}

export interface PacedLoadOptions {
  readonly port: number;
  /** Of all devices together. */
  readonly perSecond: number;
  /** How often it is looked whose turn it is. */
  readonly stepMs: number;
}

export interface Acknowledged {
  readonly number: number;
  readonly latencyMs: number;
}

/** The devices take turns, so that each has its place in every round. */
export class PacedLoad {
  readonly #options: PacedLoadOptions;
  readonly #senders: Sender[] = [];
  #timer: NodeJS.Timeout | null = null;

  constructor(options: PacedLoadOptions) {
    this.#options = options;
  }

  async connect(devices: readonly PacedDevice[]): Promise<void> {
    this.#senders.push(...(await Promise.all(devices.map((device) => openSender(this.#options.port, device)))));
  }

  start(): void {
    const { perSecond, stepMs } = this.#options;
    const startedMs = performance.now();
    let turns = 0;
    this.#timer = setInterval(() => {
      const due = ((performance.now() - startedMs) / 1000) * perSecond;
      for (; turns < due; turns += 1) this.#senders[turns % this.#senders.length]?.send();
    }, stepMs);
  }

  /** What was acknowledged since the last call. */
  takeAcknowledged(): readonly Acknowledged[] {
    return this.#senders.flatMap(({ acknowledged }) => acknowledged.splice(0));
  }

  /** Nothing more is sent. @returns how many messages each device sent */
  pause(): readonly number[] {
    if (this.#timer !== null) clearInterval(this.#timer);
    return this.#senders.map(({ sent }) => sent);
  }

  /** Resolves when all is acknowledged. @returns how many messages each device sent */
  async stop(): Promise<readonly number[]> {
    const sent = this.pause();
    while (this.#senders.some(({ waiting }) => waiting.length > 0)) {
      if (this.#senders.some(({ socket }) => socket.destroyed)) throw new Error("The edge ended a connection");
      await Bun.sleep(this.#options.stepMs);
    }
    for (const { socket } of this.#senders) socket.destroy();
    return sent;
  }
}

interface Sender {
  readonly socket: Socket;
  readonly acknowledged: Acknowledged[];
  /** Not acknowledged yet, in the order in which they are going to be. */
  readonly waiting: { readonly number: number; readonly sentMs: number }[];
  sent: number;
  send(): void;
}

async function openSender(port: number, { clientId, payload, subscription, token }: PacedDevice): Promise<Sender> {
  const socket = await connectSocket("127.0.0.1", port, connectPacket(token, clientId));
  const sender: Sender = {
    socket,
    acknowledged: [],
    waiting: [],
    sent: 0,
    send: () => {
      sender.sent += 1;
      socket.write(publishPacket(payload(sender.sent), (sender.sent % 65_535) + 1));
      sender.waiting.push({ number: sender.sent, sentMs: performance.now() });
    },
  };
  const reader = parser();
  reader.on("packet", (packet) => {
    if (packet.cmd === "publish") subscription?.onMessage(packet.payload.toString());
    if (packet.cmd !== "puback") return;
    const message = sender.waiting.shift();
    if (message === undefined) throw new Error(`${clientId}: more was acknowledged than sent`);
    sender.acknowledged.push({ number: message.number, latencyMs: performance.now() - message.sentMs });
  });
  socket.on("data", (chunk: Buffer) => void reader.parse(chunk));
  if (subscription !== undefined) {
    const subscriptions = [{ topic: subscription.topic, qos: 0 as const }];
    socket.write(generate({ cmd: "subscribe", messageId: 65_535, subscriptions }));
  }
  return sender;
}
