import { Buffer } from "node:buffer";
import type { Clock } from "../../shared/core/clock.ts";
import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { Log } from "../../shared/observe/log.ts";
import type { DeviceActivity } from "./activity.ts";
import type { DeviceErrors } from "./device-errors.ts";
import { GatewaySession } from "./gateway-session.ts";
import type { HeldSession } from "./kept-sessions.ts";
import type { MessageSession, MqttTopics, SessionPart } from "./mqtt-handlers.ts";
import { type MqttCounters, type MqttLimits, UNRELEASED_MAX } from "./mqtt-limits.ts";
import { type OutgoingMessage, OutgoingMessages } from "./mqtt-outgoing.ts";
import {
  type Acknowledgement,
  ACKNOWLEDGEMENT_BYTES,
  MalformedPacket,
  type MqttVersion,
  PACKET,
  type PacketReader,
  pingresp,
  readDisconnect,
  type ReadDisconnect,
  writeAcknowledgement,
} from "./mqtt-packets.ts";
import { readPublish, type ReceivedPublish } from "./mqtt-publish.ts";
import { endReasonOf, type EndReason, REASON } from "./mqtt-reasons.ts";
import { answerSubscribe, answerUnsubscribe } from "./mqtt-subscribe.ts";
import { takeMessage } from "./mqtt-taking.ts";
import { type MqttMessage, saveUnit, type Unit, UnitQueue } from "./mqtt-unit.ts";
import { type MqttProfiles, writePayload } from "./payloads.ts";
import type { AuthenticatedDevice, DeviceData, DeviceDirectory, DeviceEvent } from "./ports.ts";
import type { RateLimits } from "./rate-limits.ts";
import type { ServerTimes } from "./server-times.ts";
import { Subscriptions } from "./topics.ts";

/** Reason codes that say that something was not done. */
const FAILURES_FROM = 0x80;

/** What the server lends to each session. */
export interface MqttSessionHost {
  readonly clock: Clock;
  readonly log: Log;
  readonly directory: DeviceDirectory;
  readonly data: DeviceData;
  readonly topics: MqttTopics;
  readonly times: ServerTimes;
  readonly errors: DeviceErrors;
  readonly limits: MqttLimits;
  readonly counters: MqttCounters;
  readonly rates: RateLimits;
  readonly activity: DeviceActivity;
  readonly profiles: MqttProfiles;
}

/** What a session needs of its connection. */
export interface SessionLink {
  readonly isOpen: () => boolean;
  /** Nothing can be written any more. */
  readonly isClosed: () => boolean;
  readonly write: (bytes: Uint8Array) => void;
  /** Nothing is read any more; the connection ends when all that was received is acknowledged. */
  readonly end: (reason: EndReason | undefined, detail?: string) => void;
  /** The device takes its leave. */
  readonly leave: (how: ReadDisconnect) => void;
  /** Something was stored, or could not be. */
  readonly onSettled: () => void;
  /** The gateway of the connection speaks for this device from now on. */
  readonly attach: (device: AuthenticatedDevice) => void;
  readonly detach: (device: AuthenticatedDevice) => void;
}

export interface SessionOptions {
  readonly device: AuthenticatedDevice;
  /** Null: the session ends with the connection. */
  readonly held: HeldSession | null;
  readonly version: MqttVersion;
  /** Messages of QoS 1 that the device takes at once. */
  readonly receiveMaximum: number;
  /** The largest packet that it takes. */
  readonly packetBytesMax: number;
  /** A message was refused. @default nothing */
  readonly onRefused?: () => void;
}

/**
 * What one device and the edge say to each other over an open connection.
 * Invariant: an acknowledgement is written only after the promise of DeviceData for its message was fulfilled.
 */
export class MqttSession implements MessageSession {
  readonly device: AuthenticatedDevice;
  readonly gateway: GatewaySession | null;
  readonly subscriptions: Subscriptions;

  readonly #host: MqttSessionHost;
  readonly #link: SessionLink;
  readonly #version: MqttVersion;
  readonly #units: UnitQueue;
  readonly #outgoing: OutgoingMessages;
  readonly #unreleased: Set<number>;
  readonly #held: HeldSession | null;
  #parts: readonly SessionPart[] = [];
  readonly #onRefused: (() => void) | undefined;

  constructor(host: MqttSessionHost, link: SessionLink, options: SessionOptions) {
    this.#host = host;
    this.#link = link;
    this.#version = options.version;
    this.device = options.device;
    this.gateway = options.device.isGateway ? this.#openGateway() : null;
    const { held } = options;
    this.#held = held;
    this.#onRefused = options.onRefused;
    this.subscriptions = held?.subscriptions ?? new Subscriptions(host.limits.subscriptionsMax);
    this.#unreleased = held?.unreleased ?? new Set();
    const { data, limits } = host;
    const { deviceId } = this.device;
    this.#units = new UnitQueue({
      inFlightMax: limits.inFlightMax,
      inFlightBytesMax: limits.inFlightBytesMax,
      save: (unit) => saveUnit(unit, { deviceId, gateway: this.gateway, data }),
      onFailed: (thrown) => this.#endUnstored(thrown),
      onReady: (units) => this.#acknowledgeUnits(units),
    });
    this.#outgoing = new OutgoingMessages({
      version: options.version,
      inFlightMax: Math.min(limits.outgoingInFlightMax, options.receiveMaximum),
      queueMax: limits.outgoingQueueMax,
      packetBytesMax: options.packetBytesMax,
      write: (packet) => {
        host.counters.messagesSent += 1;
        link.write(packet);
      },
      onSent: (seq) => held?.noteSent(seq),
      onDelivered: (seq) => held?.deliver(seq),
      onTooLarge: (bytes) => {
        host.counters.messagesDropped += 1;
        host.errors.note(
          deviceId,
          `A message of ${bytes} bytes was not sent, the device takes ${options.packetBytesMax}`,
        );
      },
    });
  }

  /** Everything that was received is stored and acknowledged. */
  get isIdle(): boolean {
    return this.#units.isIdle;
  }

  /** How much of what may wait for its commit does: 1 is full. */
  get fillLevel(): number {
    return this.#units.fillLevel;
  }

  /** Sends what waits since an earlier connection, and begins what the connection is open for. */
  resume(): void {
    this.#sendBacklog();
    this.#parts = this.#host.topics.open(this);
    if (this.#held?.isPresent === true) this.#noteSubscriptions();
  }

  /** The connection takes no more messages to the device. */
  close(): void {
    for (const part of this.#parts) part.close();
    this.#parts = [];
    this.#outgoing.close();
  }

  #sendBacklog(): void {
    if (this.#held === null) return;
    const { backlog, sentSeq } = this.#held;
    for (const { seq, topic, payload } of backlog) {
      const message = { topic, qos: 1, payload, seq, isRepeated: seq <= sentSeq };
      if (!this.#add(message)) return this.#link.end("reads-too-slowly");
    }
  }

  /** Tells the device of a change, if it asked for that. */
  push(event: DeviceEvent): void {
    for (const message of this.#host.topics.push(event, this.subscriptions)) this.send(message);
  }

  /** Tells the gateway of a change of a device behind it, if it asked for that. */
  pushBehind(name: string, event: DeviceEvent): void {
    if (event.kind === "access-ended") this.gateway?.forget(name);
    for (const message of this.#host.topics.pushBehind(name, event, this.subscriptions)) this.send(message);
  }

  /** Another gateway speaks for the device; when this one names it again, it is its turn. */
  lose(name: string, deviceId: Uuid): void {
    this.gateway?.forget(name);
    for (const part of this.#parts) part.onDetached?.(deviceId);
  }

  deliver(message: MqttMessage): Promise<boolean> {
    if (!this.#link.isOpen()) return Promise.resolve(false);
    const { promise, resolve } = Promise.withResolvers<boolean>();
    if (!this.#add({ ...message, onDone: resolve })) {
      resolve(false);
      this.#link.end("reads-too-slowly");
    }
    return promise;
  }

  send(message: MqttMessage): void {
    if (!this.#link.isOpen()) return;
    const seq = this.#held?.keep(message);
    if (!this.#add({ ...message, seq })) this.#link.end("reads-too-slowly");
  }

  /** Sends it as the profile of the device writes it; what that has no place for is given up. @returns false when too much waits */
  #add(message: OutgoingMessage): boolean {
    const { topic, payload, seq, onDone } = message;
    if (typeof payload !== "string") return this.#outgoing.add(message);
    let written: string | Uint8Array;
    try {
      written = writePayload(this.#host.profiles.of(this.device), topic, payload);
    } catch (thrown) {
      this.#host.counters.messagesDropped += 1;
      this.#host.errors.note(this.device.deviceId, `A message was not sent: ${AppError.from(thrown).message}`);
      if (seq !== undefined) this.#held?.deliver(seq);
      onDone?.(false);
      return true;
    }
    return this.#outgoing.add({ ...message, payload: written });
  }

  /** Serves the packet that the reader has found. @throws MalformedPacket, PacketTooLarge */
  takePacket(reader: PacketReader, nowMs: number): void {
    switch (reader.first >> 4) {
      case PACKET.publish:
        return this.#takePublish(reader, nowMs);
      case PACKET.puback:
        expectFlags(reader, 0);
        return this.#outgoing.acknowledge(readMessageId(reader));
      case PACKET.pubrel:
        return this.#takePubrel(reader);
      case PACKET.subscribe:
        return this.#takeSubscribe(reader);
      case PACKET.unsubscribe:
        return this.#takeUnsubscribe(reader);
      case PACKET.pingreq:
        expectFlags(reader, 0);
        return this.#link.write(pingresp());
      case PACKET.disconnect:
        expectFlags(reader, 0);
        return this.#takeDisconnect(reader);
      default:
        return this.#link.end("protocol-error");
    }
  }

  /** Hands what the last packets brought to the store. */
  submit(): void {
    this.#units.submit();
  }

  #openGateway(): GatewaySession {
    const { activity, directory, data, times } = this.#host;
    return new GatewaySession({
      directory,
      data,
      times,
      gateway: this.device,
      // Of a connection that is over nobody is told.
      onConnected: (behind) => {
        if (!this.#link.isOpen()) return;
        this.#link.attach(behind);
        for (const part of this.#parts) part.onAttached?.(behind);
      },
      onDisconnected: (behind) => {
        this.#link.detach(behind);
        for (const part of this.#parts) part.onDetached?.(behind.deviceId);
      },
      onHeard: (behind) => activity.note(behind),
    });
  }

  #takePublish(reader: PacketReader, nowMs: number): void {
    const packet = readPublish(reader, this.#version, this.#host.limits.payloadBytesMax);
    if (packet === undefined) return this.#link.end("topic-alias");
    const { qos, messageId, payloadStart, payloadEnd } = packet;
    this.#host.counters.publishesReceived += 1;
    if (qos === 2) {
      if (this.#unreleased.has(messageId)) return this.#acknowledge(PACKET.pubrec, messageId, 0);
      if (this.#unreleased.size >= UNRELEASED_MAX) return this.#link.end("too-many-unreleased");
    }
    const unit = this.#units.open();
    const taking = { session: this, version: this.#version, unit };
    const reason = takeMessage(this.#host, taking, { buffer: reader.buffer, packet, nowMs });
    if (typeof reason === "object") return this.#link.end(reason.end, reason.detail);
    unit.messages += 1;
    unit.bytes += payloadEnd - payloadStart;
    if (qos > 0) this.#acknowledgePublish(packet, reason);
    if (reason >= FAILURES_FROM) this.#onRefused?.();
  }

  /** A refusal ends the exchange of QoS 2; only a message that was taken waits for its release. */
  #acknowledgePublish({ messageId, qos }: ReceivedPublish, reason: number): void {
    const code = this.#version === 5 ? reason : 0;
    if (qos === 2 && code < FAILURES_FROM) this.#unreleased.add(messageId);
    this.#acknowledge(qos === 1 ? PACKET.puback : PACKET.pubrec, messageId, code);
  }

  #takePubrel(reader: PacketReader): void {
    expectFlags(reader, 2);
    const messageId = readMessageId(reader);
    const known = this.#unreleased.delete(messageId);
    this.#acknowledge(PACKET.pubcomp, messageId, known || this.#version !== 5 ? 0 : REASON.packetIdNotFound);
  }

  #takeDisconnect(reader: PacketReader): void {
    const how = readDisconnect(reader, this.#version);
    // A session that was to end with its connection can't be kept after all.
    const isKept = (how.sessionExpiryS ?? 0) > 0;
    if (isKept && this.#held === null) return this.#link.end("protocol-error");
    this.#link.leave(how);
  }

  #takeSubscribe(reader: PacketReader): void {
    expectFlags(reader, 2);
    const { topics, profiles } = this.#host;
    const pushTopic = profiles.of(this.device)?.pushTopic;
    const isGranted = (filter: string): boolean => filter === pushTopic || topics.isGranted(filter);
    const answer = answerSubscribe(reader, this.#version, { isGranted, held: this.subscriptions });
    if (answer === undefined) return this.#link.end("subscription-identifier");
    this.#writeWhenSaved(answer);
    this.#noteSubscriptions();
  }

  #takeUnsubscribe(reader: PacketReader): void {
    expectFlags(reader, 2);
    this.#writeWhenSaved(answerUnsubscribe(reader, this.#version, this.subscriptions));
    this.#noteSubscriptions();
  }

  #noteSubscriptions(): void {
    for (const part of this.#parts) part.onSubscriptions();
  }

  /** What a device was granted outlives the edge, if its session does. */
  #writeWhenSaved(answer: Uint8Array): void {
    if (this.#held === null) this.#link.write(answer);
    else void this.#saveAndWrite(this.#held, answer);
  }

  async #saveAndWrite(held: HeldSession, answer: Uint8Array): Promise<void> {
    try {
      await held.save();
    } catch (thrown) {
      this.#endUnstored(thrown);
      return;
    }
    if (!this.#link.isClosed()) this.#link.write(answer);
  }

  #acknowledge(kind: Acknowledgement, messageId: number, reason: number): void {
    this.#units.open().acknowledgements.push((kind << 24) | (messageId << 8) | reason);
  }

  #endUnstored(thrown: unknown): void {
    const { code } = AppError.from(thrown);
    this.#link.end(endReasonOf(code), code);
    this.#host.log.warn("Messages of a device could not be stored", {
      deviceId: this.device.deviceId,
      error: thrown,
    });
  }

  /** In one write. */
  #acknowledgeUnits(units: readonly Unit[]): void {
    if (this.#link.isClosed()) return;
    const count = units.reduce((sum, { acknowledgements }) => sum + acknowledgements.length, 0);
    if (count > 0) {
      const bytes = Buffer.allocUnsafe(count * ACKNOWLEDGEMENT_BYTES);
      let at = 0;
      for (const { acknowledgements } of units) {
        for (const packed of acknowledgements) {
          const kind = (packed >> 24) as Acknowledgement;
          at = writeAcknowledgement(bytes, at, kind, (packed >> 8) & 0xffff, packed & 0xff);
        }
      }
      this.#host.counters.publishesAcknowledged += count;
      this.#link.write(bytes.subarray(0, at));
    }
    for (const { answers } of units) {
      for (const answer of answers) this.send(answer);
    }
    this.#link.onSettled();
  }
}

/** @throws MalformedPacket */
export function expectFlags(reader: PacketReader, flags: number): void {
  if ((reader.first & 0x0f) !== flags) throw new MalformedPacket("Reserved bits of a packet are set");
}

function readMessageId({ buffer, start, end }: PacketReader): number {
  if (end - start < 2) throw new MalformedPacket("A packet without its identifier");
  return buffer.readUInt16BE(start);
}
