import {
  MalformedPacket,
  type MqttVersion,
  type PacketReader,
  PacketTooLarge,
  readPublishProperties,
} from "./mqtt-packets.ts";

/** A PUBLISH of a device; its payload lies in the reader's buffer. */
export interface ReceivedPublish {
  readonly topic: string;
  readonly qos: number;
  /** 0 with QoS 0. */
  readonly messageId: number;
  readonly payloadStart: number;
  readonly payloadEnd: number;
}

/**
 * Reads the PUBLISH that the reader has found.
 *
 * @returns undefined when it uses a topic alias
 * @throws MalformedPacket, PacketTooLarge
 */
export function readPublish(
  reader: PacketReader,
  version: MqttVersion,
  payloadBytesMax: number,
): ReceivedPublish | undefined {
  const { buffer, start, end } = reader;
  const qos = (reader.first >> 1) & 3;
  const topicEnd = start + 2 + (end - start < 2 ? 0 : buffer.readUInt16BE(start));
  let at = qos === 0 ? topicEnd : topicEnd + 2;
  if (qos === 3 || end - start < 2 || at > end) throw new MalformedPacket("A PUBLISH that ends too early");
  const messageId = qos === 0 ? 0 : buffer.readUInt16BE(topicEnd);
  if (qos > 0 && messageId === 0) throw new MalformedPacket("A PUBLISH without packet identifier");
  if (version === 5) {
    if (at < end && buffer[at] === 0) {
      at += 1;
    } else {
      const { payloadBytes, hasTopicAlias } = readPublishProperties(reader);
      if (hasTopicAlias) return undefined;
      at = end - payloadBytes;
    }
  }
  if (end - at > payloadBytesMax) {
    throw new PacketTooLarge(`The payload has ${end - at} bytes, the limit is ${payloadBytesMax}`);
  }
  return { topic: buffer.toString("utf8", start + 2, topicEnd), qos, messageId, payloadStart: at, payloadEnd: end };
}

/** @throws MalformedPacket when no message can have the topic */
export function checkTopic(topic: string): void {
  if (topic === "" || ["+", "#", "\u0000", "\ufffd"].some((character) => topic.includes(character))) {
    throw new MalformedPacket("A topic that no message can have");
  }
}
