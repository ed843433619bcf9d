import { Buffer } from "node:buffer";
import {
  generate,
  type IConnectPacket,
  type ISubscribePacket,
  type IUnsubscribePacket,
  type Packet,
  parser,
} from "mqtt-packet";

// All that depends on the MQTT library, and the bytes of the packets that are too frequent for it.

/** 3: MQTT 3.1, 4: MQTT 3.1.1. */
export type MqttVersion = 3 | 4 | 5;

export const PACKET = {
  connect: 1,
  publish: 3,
  puback: 4,
  pubrec: 5,
  pubrel: 6,
  pubcomp: 7,
  subscribe: 8,
  unsubscribe: 10,
  pingreq: 12,
  disconnect: 14,
} as const;

export type Acknowledgement = typeof PACKET.puback | typeof PACKET.pubrec | typeof PACKET.pubcomp;

export class MalformedPacket extends Error {}
export class PacketTooLarge extends Error {}

const EMPTY = Buffer.alloc(0);

/**
 * Cuts a stream of bytes into packets. A packet that arrives in pieces is collected in a buffer of its size, so that a slow
 * sender costs each byte once. `sizeMax` bounds what one packet may take, and is checked before any of it is kept.
 */
export class PacketReader {
  sizeMax: number;
  // The packet that next() found: its first byte, and where its content lies in `buffer`.
  first = 0;
  buffer: Buffer = EMPTY;
  start = 0;
  end = 0;

  #unread: Buffer = EMPTY;
  #at = 0;
  #partial: Buffer | undefined;
  #partialFilled = 0;
  #partialStart = 0;

  constructor(sizeMax: number) {
    this.sizeMax = sizeMax;
  }

  get unreadBytes(): number {
    return this.#unread.length - this.#at;
  }

  push(chunk: Uint8Array): void {
    let bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    if (this.#partial !== undefined && this.#partialFilled < this.#partial.length) {
      const taken = bytes.copy(this.#partial, this.#partialFilled);
      this.#partialFilled += taken;
      bytes = bytes.subarray(taken);
    }
    this.#unread = this.unreadBytes === 0 ? bytes : Buffer.concat([this.#unread.subarray(this.#at), bytes]);
    this.#at = 0;
  }

  /** Whether the next packet, as far as its first byte tells, is of another kind. */
  isOther(kind: number): boolean {
    const first = this.#partial?.[0] ?? this.#unread[this.#at];
    return first !== undefined && first >> 4 !== kind;
  }

  /** @throws MalformedPacket, PacketTooLarge */
  next(): boolean {
    if (this.#partial !== undefined) {
      if (this.#partialFilled < this.#partial.length) return false;
      this.#found(this.#partial, this.#partialStart, this.#partial.length);
      this.first = this.#partial[0] ?? 0;
      this.#partial = undefined;
      return true;
    }
    const bytes = this.#unread;
    let at = this.#at + 1;
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      if (at >= bytes.length) return false;
      const byte = bytes[at] ?? 0;
      at += 1;
      length += (byte & 0x7f) << shift;
      if (byte < 0x80) break;
      if (shift === 21) throw new MalformedPacket("The length of the packet has more than 4 bytes");
    }
    if (length > this.sizeMax) throw new PacketTooLarge(`The packet has ${length} bytes, the limit is ${this.sizeMax}`);
    const end = at + length;
    if (end > bytes.length) {
      this.#partial = Buffer.allocUnsafe(end - this.#at);
      this.#partialFilled = bytes.copy(this.#partial, 0, this.#at);
      this.#partialStart = at - this.#at;
      this.#unread = EMPTY;
      this.#at = 0;
      return false;
    }
    this.first = bytes[this.#at] ?? 0;
    this.#found(bytes, at, end);
    this.#at = end;
    return true;
  }

  /** The whole packet that next() found, in a form that the library reads. */
  frame(): Buffer {
    const content = this.buffer.subarray(this.start, this.end);
    return Buffer.concat([Buffer.from([this.first, ...lengthBytes(content.length)]), content]);
  }

  #found(buffer: Buffer, start: number, end: number): void {
    this.buffer = buffer;
    this.start = start;
    this.end = end;
  }
}

/** The version that a CONNECT asks for, as far as it can be told. */
export function connectVersion(reader: PacketReader): number | undefined {
  const nameLength = reader.end - reader.start >= 2 ? reader.buffer.readUInt16BE(reader.start) : 0;
  const name = reader.buffer.toString("latin1", reader.start + 2, Math.min(reader.end, reader.start + 2 + nameLength));
  const at = reader.start + 2 + nameLength;
  return (name === "MQTT" || name === "MQIsdp") && at < reader.end ? reader.buffer[at] : undefined;
}

/** @throws MalformedPacket */
export function readConnect(reader: PacketReader): IConnectPacket {
  const packet = readByLibrary(reader, 4);
  if (packet.cmd !== "connect") throw new MalformedPacket("Not a CONNECT");
  return packet;
}

/** @throws MalformedPacket */
export function readSubscribe(reader: PacketReader, version: MqttVersion): ISubscribePacket {
  const packet = readByLibrary(reader, version);
  if (packet.cmd !== "subscribe" || packet.subscriptions.length === 0)
    throw new MalformedPacket("A SUBSCRIBE without filters");
  return packet;
}

/** @throws MalformedPacket */
export function readUnsubscribe(reader: PacketReader, version: MqttVersion): IUnsubscribePacket {
  const packet = readByLibrary(reader, version);
  if (packet.cmd !== "unsubscribe" || packet.unsubscriptions.length === 0) {
    throw new MalformedPacket("An UNSUBSCRIBE without filters");
  }
  return packet;
}

export interface ReadDisconnect {
  /** MQTT 5, any reason but 0: the device leaves without taking its will back. */
  readonly isWithWill: boolean;
  readonly sessionExpiryS: number | undefined;
}

/** @throws MalformedPacket */
export function readDisconnect(reader: PacketReader, version: MqttVersion): ReadDisconnect {
  if (version !== 5 || reader.end === reader.start) return { isWithWill: false, sessionExpiryS: undefined };
  const packet = readByLibrary(reader, version);
  if (packet.cmd !== "disconnect") throw new MalformedPacket("Not a DISCONNECT");
  const { reasonCode = 0, properties } = packet;
  return { isWithWill: reasonCode !== 0, sessionExpiryS: properties?.sessionExpiryInterval };
}

/** Where the payload of a PUBLISH of MQTT 5 begins, and whether it uses a topic alias. @throws MalformedPacket */
export function readPublishProperties(reader: PacketReader): { payloadBytes: number; hasTopicAlias: boolean } {
  const packet = readByLibrary(reader, 5);
  if (packet.cmd !== "publish") throw new MalformedPacket("Not a PUBLISH");
  return { payloadBytes: packet.payload.length, hasTopicAlias: packet.properties?.topicAlias !== undefined };
}

function readByLibrary(reader: PacketReader, version: MqttVersion): Packet {
  let packet: Packet | undefined;
  let failure: unknown;
  const library = parser({ protocolVersion: version });
  library.on("packet", (read) => {
    packet ??= read;
  });
  library.on("error", (error) => {
    failure ??= error;
  });
  try {
    library.parse(reader.frame());
  } catch (thrown) {
    failure ??= thrown;
  }
  if (packet === undefined || failure !== undefined) {
    throw new MalformedPacket(failure instanceof Error ? failure.message : "The packet can't be read");
  }
  return packet;
}

export interface ConnackOptions {
  /** Return code of 3.1 and 3.1.1, or reason code of 5. */
  readonly code: number;
  readonly reasonString?: string;
  /** @default false */
  readonly sessionPresent?: boolean;
  /** For an accepted connection of MQTT 5. */
  readonly limits?: {
    /** When it is another than the device asked for. */
    readonly sessionExpiryInterval?: number;
    readonly maximumPacketSize: number;
    readonly receiveMaximum: number;
    readonly assignedClientIdentifier?: string;
  };
}

export function connack(version: MqttVersion, options: ConnackOptions): Buffer {
  const { sessionPresent = false } = options;
  // MQTT 3.1 has no such flag: its byte is reserved.
  if (version !== 5) return Buffer.from([0x20, 2, sessionPresent && version === 4 ? 1 : 0, options.code]);
  const properties = {
    ...(options.reasonString === undefined ? {} : { reasonString: options.reasonString }),
    ...(options.limits === undefined
      ? {}
      : { ...options.limits, subscriptionIdentifiersAvailable: false, sharedSubscriptionAvailable: false }),
  };
  return generate({ cmd: "connack", sessionPresent, reasonCode: options.code, properties }, { protocolVersion: 5 });
}

/** SUBACK or, of MQTT 5, UNSUBACK with a code for each filter. */
export function suback(
  kind: "suback" | "unsuback",
  version: MqttVersion,
  messageId: number,
  codes: readonly number[],
): Buffer {
  const first = kind === "suback" ? 0x90 : 0xb0;
  const listed = kind === "unsuback" && version !== 5 ? [] : codes;
  const properties = version === 5 ? [0] : [];
  const length = 2 + properties.length + listed.length;
  return Buffer.from([first, ...lengthBytes(length), messageId >> 8, messageId & 0xff, ...properties, ...listed]);
}

/** DISCONNECT of MQTT 5; earlier versions have none from the server. */
export function disconnect(reasonCode: number, reasonString: string): Buffer {
  return generate({ cmd: "disconnect", reasonCode, properties: { reasonString } }, { protocolVersion: 5 });
}

export function pingresp(): Buffer {
  return Buffer.from([0xd0, 0]);
}

export interface OutgoingPublish {
  /** It was sent before, over another connection. */
  readonly isRepeated?: boolean;
  readonly topic: string;
  readonly payload: string | Uint8Array;
  readonly qos: number;
  /** For QoS 1. */
  readonly messageId: number;
}

export function publish(version: MqttVersion, message: OutgoingPublish): Buffer {
  const topic = Buffer.from(message.topic);
  const payload = typeof message.payload === "string" ? Buffer.from(message.payload) : message.payload;
  const id = message.qos === 0 ? [] : [message.messageId >> 8, message.messageId & 0xff];
  const properties = version === 5 ? [0] : [];
  const length = 2 + topic.length + id.length + properties.length + payload.length;
  const head = Buffer.from([
    0x30 | (message.isRepeated === true ? 0x08 : 0) | (message.qos << 1),
    ...lengthBytes(length),
    topic.length >> 8,
    topic.length & 0xff,
  ]);
  return Buffer.concat([head, topic, Buffer.from([...id, ...properties]), payload]);
}

/** Writes one acknowledgement at `at`; returns the position behind it. It takes at most ACKNOWLEDGEMENT_BYTES. */
export function writeAcknowledgement(
  target: Buffer,
  at: number,
  kind: Acknowledgement,
  messageId: number,
  reason: number,
): number {
  target[at] = kind << 4;
  target[at + 2] = messageId >> 8;
  target[at + 3] = messageId & 0xff;
  if (reason === 0) {
    target[at + 1] = 2;
    return at + 4;
  }
  target[at + 1] = 3;
  target[at + 4] = reason;
  return at + 5;
}

export const ACKNOWLEDGEMENT_BYTES = 5;

function lengthBytes(length: number): number[] {
  const bytes: number[] = [];
  let left = length;
  do {
    const byte = left & 0x7f;
    left >>= 7;
    bytes.push(left > 0 ? byte | 0x80 : byte);
  } while (left > 0);
  return bytes;
}
