import { Buffer } from "node:buffer";
import type { IConnectPacket } from "mqtt-packet";
import type { Clock } from "../../shared/core/clock.ts";
import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { MqttLogin } from "../../shared/entities/device-credentials.ts";
import type { Log } from "../../shared/observe/log.ts";
import type { ByteStream, ByteStreamHandler } from "./byte-stream.ts";
import type { DeviceErrors } from "./device-errors.ts";
import { decodePayload, pushText, type TelemetryIntake } from "./device-session.ts";
import { gatewayPushText } from "./gateway-messages.ts";
import { GatewaySession } from "./gateway-session.ts";
import { OutgoingMessages } from "./mqtt-outgoing.ts";
import {
  type Acknowledgement,
  ACKNOWLEDGEMENT_BYTES,
  connack,
  connectVersion,
  disconnect,
  MalformedPacket,
  type MqttVersion,
  PACKET,
  PacketReader,
  PacketTooLarge,
  pingresp,
  publish,
  readConnect,
  readPublishProperties,
  readSubscribe,
  readUnsubscribe,
  suback,
  writeAcknowledgement,
} from "./mqtt-packets.ts";
import {
  CONNECT_REFUSALS,
  type ConnectRefusal,
  END_REASONS,
  endReasonOf,
  type EndReason,
  REASON,
  SUBACK_FAILURE,
} from "./mqtt-reasons.ts";
import { addToUnit, createUnit, saveUnit, type Unit } from "./mqtt-unit.ts";
import type { AuthenticatedDevice, DeviceData, DeviceDirectory, DeviceEvent } from "./ports.ts";
import type { ServerTimes } from "./server-times.ts";
import { GATEWAY_ATTRIBUTES, isGrantedFilter, parseUplinkTopic, Subscriptions } from "./topics.ts";

export interface MqttLimits {
  /** Payload of a publish; more ends the connection. @default 65_536 */
  readonly payloadBytesMax: number;
  /** CONNECT, whose sender is not known yet. @default 16_384 */
  readonly connectBytesMax: number;
  /** From the connection to its CONNECT, and for checking the credentials. @default 10_000 */
  readonly connectTimeoutMs: number;
  /** Without any packet, for devices that ask for no keep-alive. @default 600_000 */
  readonly idleTimeoutMs: number;
  /** Publishes of a connection that wait for their commit; above it the connection is not read. @default 1000 */
  readonly inFlightMax: number;
  /** Bytes of their payloads, likewise. @default 1_048_576 */
  readonly inFlightBytesMax: number;
  /** Messages to a device that wait for their PUBACK. @default 100 */
  readonly outgoingInFlightMax: number;
  /** Messages to a device that wait behind those; one more ends the connection. @default 1000 */
  readonly outgoingQueueMax: number;
  /** Bytes to a device that its link has not taken; more ends the connection. @default 1_048_576 */
  readonly outgoingBytesMax: number;
  /** How long a connection that ends may take to write out its last answers. @default 2000 */
  readonly endTimeoutMs: number;
}

export interface MqttCounters {
  connectionsOpened: number;
  connectionsRefused: number;
  publishesReceived: number;
  publishesRejected: number;
  publishesAcknowledged: number;
  messagesSent: number;
  messagesDropped: number;
}

/** What the server lends to each of its connections. */
export interface MqttConnectionHost {
  readonly clock: Clock;
  readonly log: Log;
  readonly directory: DeviceDirectory;
  readonly data: DeviceData;
  readonly intake: TelemetryIntake;
  readonly times: ServerTimes;
  readonly errors: DeviceErrors;
  readonly limits: MqttLimits;
  readonly counters: MqttCounters;
  /** Makes the connection the one of its device; a reason when it may not be. */
  admit(connection: MqttConnection, device: AuthenticatedDevice): ConnectRefusal | undefined;
  /** The gateway of the connection speaks for this device from now on. */
  attach(connection: MqttConnection, device: AuthenticatedDevice): void;
  detach(connection: MqttConnection, deviceId: Uuid): void;
  /** The connection takes no more messages for its device, nor for those behind it. */
  retire(connection: MqttConnection): void;
  /** The stream is gone. */
  forget(connection: MqttConnection): void;
}

/** Room for topic, packet id and properties beside the payload. */
const PUBLISH_OVERHEAD_BYTES = 1024;
/** Messages of QoS 2 that were stored and wait for their PUBREL. */
const UNRELEASED_MAX = 1000;
/** Pause before credentials are looked up again. */
const LOOK_UP_RETRY_MS = 200;
/** Bytes that may arrive while the credentials are checked, beyond what one read brings. */
const UNREAD_BYTES_MAX = 262_144;

/**
 * One MQTT connection of a device (3.1, 3.1.1 and 5).
 *
 *   waiting         for CONNECT. Leaves to authenticating, or closed: anything else, too late, refused at once.
 *   authenticating  credentials are looked up, nothing is read. Leaves to open, or closed: refused.
 *   open            packets are served. Leaves to ending: a reason to end, DISCONNECT.
 *   ending          nothing is read; what was received is stored and acknowledged. Leaves to closed: all of that done, too late.
 *   closed          the last answer is written; the stream is destroyed when the peer closes or after endTimeoutMs.
 *
 * Invariant: an acknowledgement is written only after the promise of DeviceData for its message was fulfilled.
 * Limits: see MqttLimits; each has its policy there.
 */
export class MqttConnection implements ByteStreamHandler {
  device: AuthenticatedDevice | undefined;
  #gateway: GatewaySession | null = null;

  readonly #host: MqttConnectionHost;
  readonly #stream: ByteStream;
  readonly #reader: PacketReader;
  readonly #subscriptions = new Subscriptions();
  #state: "waiting" | "authenticating" | "open" | "ending" | "closed" = "waiting";
  #version: MqttVersion = 4;
  #silenceMaxMs: number;
  #lastReadMs: number;
  #endedMs = 0;
  /** Devices whose access ended while this connection was authenticating; allocated when there is one. */
  #accessEnded: Set<Uuid> | undefined;
  #endReason: EndReason | undefined;
  #endDetail = "";

  #unit: Unit | undefined;
  readonly #units: Unit[] = [];
  #inFlight = 0;
  #inFlightBytes = 0;
  #paused = false;
  readonly #unreleased = new Set<number>();

  #outgoing: OutgoingMessages;
  #packetBytesMax = Number.POSITIVE_INFINITY;

  constructor(host: MqttConnectionHost, stream: ByteStream) {
    this.#host = host;
    this.#stream = stream;
    this.#reader = new PacketReader(host.limits.connectBytesMax);
    this.#lastReadMs = host.clock.monotonicMs();
    this.#silenceMaxMs = host.limits.connectTimeoutMs;
    this.#outgoing = this.#createOutgoing(host.limits.outgoingInFlightMax);
  }

  get source(): string {
    return this.#stream.source;
  }

  onData(chunk: Uint8Array): void {
    if (this.#state === "ending" || this.#state === "closed") return;
    this.#reader.push(chunk);
    if (this.#state === "authenticating") {
      if (this.#reader.unreadBytes > UNREAD_BYTES_MAX) this.#stream.destroy();
      return;
    }
    this.#readPackets();
  }

  onClose(): void {
    if (this.#state !== "closed") {
      this.#state = "closed";
      this.#host.retire(this);
    }
    this.#host.forget(this);
  }

  /** Ends the connection after what was received is stored and acknowledged. */
  end(reason: EndReason | undefined, detail = ""): void {
    if (this.#state === "ending" || this.#state === "closed") return;
    this.#markEnding(reason, detail);
    this.#finishWhenIdle();
  }

  /** Tells the device of a change, if it asked for that. */
  push(event: DeviceEvent): void {
    const target = this.#subscriptions.attributePush();
    const text = pushText(event);
    if (target === undefined || text === undefined) return;
    this.#send(target.topic, target.qos, text);
  }

  /** Tells the gateway of a change of a device behind it, if it asked for that. */
  pushBehind(name: string, event: DeviceEvent): void {
    if (event.kind === "access-ended") this.#gateway?.forget(name);
    const qos = this.#subscriptions.qosOf(GATEWAY_ATTRIBUTES);
    const text = pushText(event);
    if (qos === undefined || text === undefined) return;
    this.#send(GATEWAY_ATTRIBUTES, qos, gatewayPushText(name, text));
  }

  /** The look-up of credentials that is under way may have seen the device before its access ended. */
  noteAccessEnded(deviceId: Uuid): void {
    if (this.#state !== "authenticating") return;
    this.#accessEnded ??= new Set();
    this.#accessEnded.add(deviceId);
  }

  /** Ends or destroys the connection when it was silent for too long. */
  checkDeadline(nowMs: number): void {
    switch (this.#state) {
      case "waiting":
      case "authenticating":
        if (nowMs - this.#lastReadMs > this.#host.limits.connectTimeoutMs) this.#stream.destroy();
        return;
      case "open":
        if (this.#paused) this.#lastReadMs = nowMs;
        if (nowMs - this.#lastReadMs > this.#silenceMaxMs) this.end("keep-alive-timeout");
        return;
      case "ending":
      case "closed":
        if (nowMs - this.#endedMs > this.#host.limits.endTimeoutMs) this.#stream.destroy();
        return;
      default:
        return this.#state satisfies never;
    }
  }

  #readPackets(): void {
    const nowMs = this.#host.clock.nowMs();
    try {
      if (this.#state === "waiting" && this.#reader.isOther(PACKET.connect)) {
        this.#state = "closed";
        this.#stream.destroy();
        return;
      }
      while ((this.#state === "open" || this.#state === "waiting") && this.#reader.next()) {
        if (this.#state === "waiting") {
          this.#takeConnect();
        } else {
          this.#lastReadMs = this.#host.clock.monotonicMs();
          this.#takePacket(nowMs);
        }
      }
    } catch (thrown) {
      this.#markEnding(...endOf(thrown));
      if (!(thrown instanceof MalformedPacket || thrown instanceof PacketTooLarge)) {
        this.#host.log.error("An MQTT packet could not be processed", { error: thrown });
      }
    }
    this.#submit();
    this.#finishWhenIdle();
  }

  #takeConnect(): void {
    this.#expectFlags(0);
    const version = (connectVersion(this.#reader) ?? 4) & 0x7f;
    if (version !== 3 && version !== 4 && version !== 5) {
      this.#refuse("unsupported-version");
      return;
    }
    this.#version = version;
    const packet = readConnect(this.#reader);
    const refusal = refusalOf(packet, version, this.#stream.peerCertificate !== null);
    if (refusal !== undefined) {
      this.#refuse(refusal);
      return;
    }
    const keepAliveS = packet.keepalive ?? 0;
    this.#silenceMaxMs = keepAliveS === 0 ? this.#host.limits.idleTimeoutMs : keepAliveS * 1500;
    const { receiveMaximum } = packet.properties ?? {};
    const { outgoingInFlightMax } = this.#host.limits;
    this.#outgoing = this.#createOutgoing(Math.min(outgoingInFlightMax, receiveMaximum ?? outgoingInFlightMax));
    this.#packetBytesMax = packet.properties?.maximumPacketSize ?? this.#packetBytesMax;
    this.#state = "authenticating";
    this.#stream.pause();
    void this.#authenticate(packet);
  }

  async #authenticate(packet: IConnectPacket): Promise<void> {
    let device: AuthenticatedDevice | null | undefined;
    try {
      device = await this.#findDevice(loginOf(packet));
    } catch (thrown) {
      this.#host.log.warn("Credentials of an MQTT connection could not be checked", { error: AppError.from(thrown) });
      this.#refuse("server-unavailable");
      return;
    }
    if (device === undefined || this.#state !== "authenticating") return;
    if (device === null || this.#accessEnded?.has(device.deviceId) === true) {
      this.#refuse(loginOf(packet).userName === null ? "unknown-client-id" : "unknown-credentials");
      return;
    }
    const refusal = this.#host.admit(this, device);
    if (refusal !== undefined) {
      this.#refuse(refusal);
      return;
    }
    this.device = device;
    if (device.isGateway) this.#gateway = this.#openGateway(device);
    this.#state = "open";
    this.#reader.sizeMax = this.#host.limits.payloadBytesMax + PUBLISH_OVERHEAD_BYTES;
    this.#lastReadMs = this.#host.clock.monotonicMs();
    this.#write(connack(this.#version, { code: 0, limits: this.#announcedLimits(packet) }));
    this.#stream.resume();
    this.#readPackets();
  }

  #openGateway(gateway: AuthenticatedDevice): GatewaySession {
    const host = this.#host;
    return new GatewaySession({
      ...host,
      gateway,
      // Of a connection that is over nobody is told.
      onConnected: (behind) => {
        if (this.#state === "open") host.attach(this, behind);
      },
      onDisconnected: (deviceId) => host.detach(this, deviceId),
    });
  }

  /**
   * Waits for a database that is down for a moment, until the deadline of the connection: stock clients take a refusal as
   * final and never connect again.
   *
   * @returns undefined when the connection is gone meanwhile
   */
  async #findDevice(login: MqttLogin): Promise<AuthenticatedDevice | null | undefined> {
    const { clock, directory } = this.#host;
    const { peerCertificate } = this.#stream;
    while (this.#state === "authenticating") {
      try {
        const byCertificate = peerCertificate === null ? null : await directory.findByCertificate(peerCertificate);
        return byCertificate ?? (await directory.findByMqttLogin(login));
      } catch (thrown) {
        if (!AppError.from(thrown).retryable) throw thrown;
      }
      await clock.sleep(LOOK_UP_RETRY_MS);
    }
    return undefined;
  }

  #announcedLimits(packet: IConnectPacket) {
    const { payloadBytesMax, inFlightMax } = this.#host.limits;
    return {
      maximumPacketSize: payloadBytesMax + PUBLISH_OVERHEAD_BYTES,
      receiveMaximum: Math.min(inFlightMax, UNRELEASED_MAX),
      ...(packet.clientId === "" && this.device !== undefined
        ? { assignedClientIdentifier: this.device.deviceId }
        : {}),
    };
  }

  #refuse(refusal: ConnectRefusal): void {
    if (this.#state === "closed") return;
    const { v3, v5, text } = CONNECT_REFUSALS[refusal];
    this.#host.counters.connectionsRefused += 1;
    this.#host.log.debug("An MQTT connection was refused", { source: this.#stream.source, reason: refusal });
    this.#state = "closed";
    this.#endedMs = this.#host.clock.monotonicMs();
    this.#write(connack(this.#version, { code: this.#version === 5 ? v5 : v3, reasonString: text }));
    // Read on, or the peer's bytes would turn the close into a reset that overtakes the CONNACK.
    this.#stream.resume();
    this.#stream.end();
  }

  #takePacket(nowMs: number): void {
    const { first } = this.#reader;
    switch (first >> 4) {
      case PACKET.publish:
        return this.#takePublish(nowMs);
      case PACKET.puback:
        return this.#takePuback();
      case PACKET.pubrel:
        return this.#takePubrel();
      case PACKET.subscribe:
        return this.#takeSubscribe();
      case PACKET.unsubscribe:
        return this.#takeUnsubscribe();
      case PACKET.pingreq:
        this.#expectFlags(0);
        return this.#write(pingresp());
      case PACKET.disconnect:
        this.#expectFlags(0);
        return this.#markEnding(undefined, "");
      default:
        return this.#markEnding("protocol-error", "");
    }
  }

  #takePublish(nowMs: number): void {
    const reader = this.#reader;
    const { buffer, start, end } = reader;
    const qos = (reader.first >> 1) & 3;
    const topicEnd = start + 2 + (end - start < 2 ? 0 : buffer.readUInt16BE(start));
    let at = qos === 0 ? topicEnd : topicEnd + 2;
    if (qos === 3 || end - start < 2 || at > end) throw new MalformedPacket("A PUBLISH that ends too early");
    const messageId = qos === 0 ? 0 : buffer.readUInt16BE(topicEnd);
    if (qos > 0 && messageId === 0) throw new MalformedPacket("A PUBLISH without packet identifier");
    if (this.#version === 5) {
      if (at < end && buffer[at] === 0) {
        at += 1;
      } else {
        const { payloadBytes, hasTopicAlias } = readPublishProperties(reader);
        if (hasTopicAlias) return this.#markEnding("topic-alias", "");
        at = end - payloadBytes;
      }
    }
    if (end - at > this.#host.limits.payloadBytesMax) {
      throw new PacketTooLarge(`The payload has ${end - at} bytes, the limit is ${this.#host.limits.payloadBytesMax}`);
    }
    this.#host.counters.publishesReceived += 1;
    if (qos === 2) {
      if (this.#unreleased.has(messageId)) return this.#acknowledge(PACKET.pubrec, messageId, 0);
      if (this.#unreleased.size >= UNRELEASED_MAX) return this.#markEnding("too-many-unreleased", "");
    }
    const reason = this.#takeMessage(buffer.toString("utf8", start + 2, topicEnd), { start: at, end, qos, nowMs });
    if (reason === undefined) return;
    const unit = this.#openUnit();
    unit.messages += 1;
    unit.bytes += end - at;
    if (qos === 0) return;
    // A refusal ends the exchange of QoS 2; only a message that was taken waits for its release.
    const code = this.#version === 5 ? reason : 0;
    if (qos === 2 && code < 0x80) this.#unreleased.add(messageId);
    this.#acknowledge(qos === 1 ? PACKET.puback : PACKET.pubrec, messageId, code);
  }

  /** Takes a message into the unit; returns the reason code for its acknowledgement, undefined when the connection ends instead. */
  #takeMessage(topic: string, message: { start: number; end: number; qos: number; nowMs: number }): number | undefined {
    const device = this.device;
    if (device === undefined) throw new AppError("INTERNAL", "A message before the device is known");
    const uplink = parseUplinkTopic(topic);
    if (uplink.kind === "unknown") return this.#takeUnknown(device, topic);
    try {
      const text = decodePayload(this.#reader.buffer, message.start, message.end);
      const source = { device, gateway: this.#gateway, intake: this.#host.intake };
      const isTaken = addToUnit(this.#openUnit(), source, { topic: uplink, text, nowMs: message.nowMs });
      return isTaken ? REASON.success : this.#refuseGateway(device, topic);
    } catch (thrown) {
      if (!(thrown instanceof AppError) || thrown.code !== "INVALID_PAYLOAD") throw thrown;
      this.#host.counters.publishesRejected += 1;
      if (this.#version === 5 && message.qos > 0) {
        this.#host.errors.note(device.deviceId, `${END_REASONS["invalid-payload"].text}: ${thrown.message}`);
        return REASON.payloadInvalid;
      }
      this.#markEnding("invalid-payload", thrown.message);
      return undefined;
    }
  }

  #takeUnknown(device: AuthenticatedDevice, topic: string): number {
    if (topic === "" || ["+", "#", "\u0000", "\ufffd"].some((character) => topic.includes(character))) {
      throw new MalformedPacket("A topic that no message can have");
    }
    this.#host.counters.publishesRejected += 1;
    this.#host.errors.note(
      device.deviceId,
      `The topic ${JSON.stringify(topic.slice(0, 100))} is not served; the message was ignored`,
    );
    return REASON.topicNotServed;
  }

  #refuseGateway(device: AuthenticatedDevice, topic: string): number {
    this.#host.counters.publishesRejected += 1;
    this.#host.errors.note(device.deviceId, `The topic ${topic} is for gateways, and the device is none`);
    return REASON.notAuthorized;
  }

  #takePuback(): void {
    this.#expectFlags(0);
    this.#outgoing.acknowledge(this.#readMessageId());
  }

  #takePubrel(): void {
    this.#expectFlags(2);
    const messageId = this.#readMessageId();
    const known = this.#unreleased.delete(messageId);
    this.#acknowledge(PACKET.pubcomp, messageId, known || this.#version !== 5 ? 0 : REASON.packetIdNotFound);
  }

  #takeSubscribe(): void {
    this.#expectFlags(2);
    const packet = readSubscribe(this.#reader, this.#version);
    if (packet.properties?.subscriptionIdentifier !== undefined) return this.#markEnding("subscription-identifier", "");
    const codes = packet.subscriptions.map(({ topic, qos }) => {
      if (!isGrantedFilter(topic)) return this.#version === 5 ? REASON.filterNotServed : SUBACK_FAILURE;
      const granted = Math.min(qos, 1);
      this.#subscriptions.add(topic, granted);
      return granted;
    });
    this.#write(suback("suback", this.#version, packet.messageId ?? 0, codes));
  }

  #takeUnsubscribe(): void {
    this.#expectFlags(2);
    const packet = readUnsubscribe(this.#reader, this.#version);
    const codes = packet.unsubscriptions.map((filter) =>
      this.#subscriptions.remove(filter) ? REASON.success : REASON.noSubscriptionExisted,
    );
    this.#write(suback("unsuback", this.#version, packet.messageId ?? 0, codes));
  }

  #expectFlags(flags: number): void {
    if ((this.#reader.first & 0x0f) !== flags) throw new MalformedPacket("Reserved bits of a packet are set");
  }

  #readMessageId(): number {
    const { buffer, start, end } = this.#reader;
    if (end - start < 2) throw new MalformedPacket("A packet without its identifier");
    return buffer.readUInt16BE(start);
  }

  #openUnit(): Unit {
    this.#unit ??= createUnit();
    return this.#unit;
  }

  #acknowledge(kind: Acknowledgement, messageId: number, reason: number): void {
    this.#openUnit().acknowledgements.push((kind << 24) | (messageId << 8) | reason);
  }

  /** Hands what was collected to the store. */
  #submit(): void {
    const unit = this.#unit;
    if (unit === undefined) return;
    this.#unit = undefined;
    this.#units.push(unit);
    this.#inFlight += unit.messages;
    this.#inFlightBytes += unit.bytes;
    unit.state = "saving";
    this.#save(unit).then(
      () => this.#settle(unit, "done"),
      (thrown: unknown) => {
        this.#markEnding(endReasonOf(AppError.from(thrown).code), AppError.from(thrown).code);
        this.#host.log.warn("Messages of a device could not be stored", {
          deviceId: this.device?.deviceId,
          error: thrown,
        });
        this.#settle(unit, "failed");
      },
    );
    if (!this.#paused && this.#fillLevel() >= 1) {
      this.#paused = true;
      this.#stream.pause();
    }
  }

  /** How much of what may wait for its commit does: 1 is full. */
  #fillLevel(): number {
    const { inFlightMax, inFlightBytesMax } = this.#host.limits;
    return Math.max(this.#inFlight / inFlightMax, this.#inFlightBytes / inFlightBytesMax);
  }

  async #save(unit: Unit): Promise<void> {
    const deviceId = this.device?.deviceId;
    if (deviceId === undefined) return;
    const { data } = this.#host;
    await saveUnit(unit, { deviceId, gateway: this.#gateway, data, subscriptions: this.#subscriptions });
  }

  /** Acknowledges the units at the head that are done, in one write. */
  #settle(unit: Unit, state: "done" | "failed"): void {
    unit.state = state;
    const ready: Unit[] = [];
    let failed = false;
    for (let head = this.#units[0]; head !== undefined; head = this.#units[0]) {
      failed = head.state === "failed";
      if (head.state !== "done") break;
      this.#units.shift();
      this.#inFlight -= head.messages;
      this.#inFlightBytes -= head.bytes;
      ready.push(head);
    }
    if (this.#state === "closed") return;
    this.#writeAcknowledgements(ready);
    for (const { answers } of ready) {
      for (const { topic, qos, text } of answers) this.#send(topic, qos, text);
    }
    // Behind a failure nothing may be acknowledged any more.
    if (failed) this.#units.length = 0;
    this.#finishWhenIdle();
    if (this.#paused && this.#state === "open" && this.#fillLevel() <= 0.5) {
      this.#paused = false;
      this.#lastReadMs = this.#host.clock.monotonicMs();
      this.#stream.resume();
    }
  }

  #writeAcknowledgements(units: readonly Unit[]): void {
    const count = units.reduce((sum, { acknowledgements }) => sum + acknowledgements.length, 0);
    if (count === 0) return;
    const bytes = Buffer.allocUnsafe(count * ACKNOWLEDGEMENT_BYTES);
    let at = 0;
    for (const { acknowledgements } of units) {
      for (const packed of acknowledgements) {
        at = writeAcknowledgement(bytes, at, (packed >> 24) as Acknowledgement, (packed >> 8) & 0xffff, packed & 0xff);
      }
    }
    this.#host.counters.publishesAcknowledged += count;
    this.#write(bytes.subarray(0, at));
  }

  #send(topic: string, qos: number, text: string): void {
    if (this.#state !== "open") return;
    if (qos === 0) {
      this.#writePublish(topic, text, 0, 0);
    } else if (!this.#outgoing.add({ topic, text })) {
      this.end("reads-too-slowly");
    }
  }

  #createOutgoing(inFlightMax: number): OutgoingMessages {
    return new OutgoingMessages({
      inFlightMax,
      queueMax: this.#host.limits.outgoingQueueMax,
      transmit: ({ topic, text }, messageId) => this.#writePublish(topic, text, 1, messageId),
    });
  }

  #writePublish(topic: string, payload: string, qos: number, messageId: number): boolean {
    const bytes = publish(this.#version, { topic, payload, qos, messageId });
    if (bytes.length > this.#packetBytesMax) {
      this.#host.counters.messagesDropped += 1;
      if (this.device !== undefined) {
        this.#host.errors.note(
          this.device.deviceId,
          `A message of ${bytes.length} bytes was not sent, the device takes ${this.#packetBytesMax}`,
        );
      }
      return false;
    }
    this.#host.counters.messagesSent += 1;
    this.#write(bytes);
    return true;
  }

  #write(bytes: Uint8Array): void {
    this.#stream.write(bytes);
    if (this.#state === "open" && this.#stream.queuedBytes > this.#host.limits.outgoingBytesMax) {
      this.#markEnding("reads-too-slowly", "");
      this.#stream.destroy();
    }
  }

  #markEnding(reason: EndReason | undefined, detail: string): void {
    if (this.#state === "ending" || this.#state === "closed") return;
    this.#state = "ending";
    this.#endedMs = this.#host.clock.monotonicMs();
    this.#endReason = reason;
    this.#endDetail = detail;
    if (this.device !== undefined && reason !== undefined) {
      this.#host.errors.note(this.device.deviceId, `${END_REASONS[reason].text}${detail === "" ? "" : `: ${detail}`}`);
    }
    this.#host.retire(this);
  }

  #finishWhenIdle(): void {
    if (this.#state !== "ending" || this.#units.length > 0 || this.#unit !== undefined) return;
    const reason = this.#endReason;
    if (reason !== undefined && this.#version === 5 && this.device !== undefined) {
      const { code, text } = END_REASONS[reason];
      this.#write(disconnect(code, this.#endDetail === "" ? text : `${text}: ${this.#endDetail}`));
    }
    this.#state = "closed";
    this.#stream.resume();
    this.#stream.end();
  }
}

function refusalOf(packet: IConnectPacket, version: MqttVersion, hasCertificate: boolean): ConnectRefusal | undefined {
  if (packet.properties?.authenticationMethod !== undefined) return "unsupported-authentication";
  // MQTT 3.1.1 wants a client id for a session that is to be kept.
  if (version === 4 && packet.clientId === "" && packet.clean === false) return "unknown-client-id";
  const { clientId, userName } = loginOf(packet);
  return clientId === null && userName === null && !hasCertificate ? "no-credentials" : undefined;
}

function loginOf({ clientId, username, password }: IConnectPacket): MqttLogin {
  return {
    clientId: clientId === "" ? null : clientId,
    userName: username === undefined || username === "" ? null : username,
    password: password?.toString() ?? null,
  };
}

function endOf(thrown: unknown): [reason: EndReason, detail: string] {
  if (thrown instanceof MalformedPacket) return ["malformed-packet", thrown.message];
  if (thrown instanceof PacketTooLarge) return ["packet-too-large", thrown.message];
  return ["not-stored", ""];
}
