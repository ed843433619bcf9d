import { type MqttVersion, type PacketReader, readSubscribe, readUnsubscribe, suback } from "./mqtt-packets.ts";
import { REASON, SUBACK_FAILURE } from "./mqtt-reasons.ts";
import type { Subscriptions } from "./topics.ts";

/**
 * Takes up what the SUBSCRIBE asks for that the reader has found, as far as it is granted.
 *
 * @returns the SUBACK; undefined when it uses a subscription identifier
 * @throws MalformedPacket
 */
export function answerSubscribe(
  reader: PacketReader,
  version: MqttVersion,
  { isGranted, held }: { readonly isGranted: (filter: string) => boolean; readonly held: Subscriptions },
): Uint8Array | undefined {
  const packet = readSubscribe(reader, version);
  if (packet.properties?.subscriptionIdentifier !== undefined) return undefined;
  const codes = packet.subscriptions.map(({ topic, qos: asked }) => {
    if (!isGranted(topic)) return REASON.filterNotServed;
    const qos = Math.min(asked, 1);
    return held.add(topic, qos) ? qos : REASON.quotaExceeded;
  });
  const shown = codes.map((code) => (code >= SUBACK_FAILURE && version !== 5 ? SUBACK_FAILURE : code));
  return suback("suback", version, packet.messageId ?? 0, shown);
}

/** @returns the UNSUBACK @throws MalformedPacket */
export function answerUnsubscribe(reader: PacketReader, version: MqttVersion, held: Subscriptions): Uint8Array {
  const packet = readUnsubscribe(reader, version);
  const codes = packet.unsubscriptions.map((filter) =>
    held.remove(filter) ? REASON.success : REASON.noSubscriptionExisted,
  );
  return suback("unsuback", version, packet.messageId ?? 0, codes);
}
