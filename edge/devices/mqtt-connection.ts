import type { IConnectPacket } from "mqtt-packet";
import { AppError } from "../../shared/core/errors.ts";
import { NULL_UUID, type Uuid } from "../../shared/core/ids.ts";
import type { ByteStream, ByteStreamHandler } from "./byte-stream.ts";
import type { HeldSession, KeptSessions, SessionRequest } from "./kept-sessions.ts";
import {
  announcedLimits,
  findDevice,
  loginOf,
  refusalOf,
  wantsProvisioning,
  sessionRequestOf,
} from "./mqtt-connect.ts";
import type { MqttTopics } from "./mqtt-handlers.ts";
import { EARLY_EVENTS_MAX, PUBLISH_OVERHEAD_BYTES } from "./mqtt-limits.ts";
import {
  connack,
  connectVersion,
  disconnect,
  MalformedPacket,
  type MqttVersion,
  PACKET,
  PacketReader,
  PacketTooLarge,
  readConnect,
  type ReadDisconnect,
} from "./mqtt-packets.ts";
import { CONNECT_REFUSALS, type ConnectRefusal, END_REASONS, type EndReason } from "./mqtt-reasons.ts";
import { expectFlags, MqttSession, type MqttSessionHost } from "./mqtt-session.ts";
import type { AuthenticatedDevice, DeviceEvent } from "./ports.ts";
import type { SourceLimits } from "./source-limits.ts";

/** What the server lends to each of its connections. */
export interface MqttConnectionHost extends MqttSessionHost {
  readonly kept: KeptSessions;
  readonly sources: SourceLimits;
  /** Of connections for provisioning. */
  readonly provisioningTopics: MqttTopics;
  /** Makes the connection the one of its device; a reason when it may not be. */
  admit(connection: MqttConnection, device: AuthenticatedDevice): ConnectRefusal | undefined;
  /** The gateway of the connection speaks for this device from now on. */
  attach(connection: MqttConnection, device: AuthenticatedDevice): void;
  detach(connection: MqttConnection, device: AuthenticatedDevice): void;
  /** The connection takes no more messages for its device, nor for those behind it. */
  retire(connection: MqttConnection): void;
  /** The stream is gone. */
  forget(connection: MqttConnection): void;
}

/** A connection for provisioning lasts no longer. */
const PROVISIONING_MS = 60_000;
/** Who is on such a connection. */
const NOBODY: AuthenticatedDevice = { deviceId: NULL_UUID, name: "", isGateway: false };

/** Bytes that may arrive while the credentials are checked, beyond what one read brings. */
const UNREAD_BYTES_MAX = 262_144;

/**
 * One MQTT connection of a device (3.1, 3.1.1 and 5).
 *
 *   waiting         for CONNECT. Leaves to authenticating, or closed: anything else, too late, refused at once.
 *   authenticating  credentials and what is kept of the session are looked up, nothing is read. Leaves to open, or closed: refused.
 *   open            packets are served by the session. Leaves to ending: a reason to end, DISCONNECT.
 *   ending          nothing is read; what was received is stored and acknowledged. Leaves to closed: all of that done, too late.
 *   closed          the last answer is written; the stream is destroyed when the peer closes or after endTimeoutMs.
 *
 * Limits: see MqttLimits; each has its policy there.
 */
export class MqttConnection implements ByteStreamHandler {
  readonly #host: MqttConnectionHost;
  readonly #stream: ByteStream;
  readonly #reader: PacketReader;
  readonly #place: ReturnType<SourceLimits["open"]>;
  #device: AuthenticatedDevice | undefined;
  #held: HeldSession | null = null;
  #session: MqttSession | undefined;
  /** Changes of the device since it was admitted, until its session is there. */
  readonly #early: DeviceEvent[] = [];
  #state: "waiting" | "authenticating" | "open" | "ending" | "closed" = "waiting";
  #version: MqttVersion = 4;
  #silenceMaxMs: number;
  #lastReadMs: number;
  /** When a connection for provisioning is over. */
  #overMs = Infinity;
  #endedMs = 0;
  #isPaused = false;
  /** Devices whose access ended while this connection was authenticating; allocated when there is one. */
  #accessEnded: Set<Uuid> | undefined;
  #endReason: EndReason | undefined;
  #endDetail = "";
  #leave: ReadDisconnect | undefined;

  /** @param place what its address may do */
  constructor(host: MqttConnectionHost, stream: ByteStream, place: ReturnType<SourceLimits["open"]>) {
    this.#host = host;
    this.#place = place;
    this.#stream = stream;
    this.#reader = new PacketReader(host.limits.connectBytesMax);
    this.#lastReadMs = host.clock.monotonicMs();
    this.#silenceMaxMs = host.limits.connectTimeoutMs;
  }

  /** Undefined until its credentials are checked. */
  get device(): AuthenticatedDevice | undefined {
    return this.#device;
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
    const isRetired = this.#state === "ending" || this.#state === "closed";
    this.#state = "closed";
    if (!isRetired) this.#retire();
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
    if (this.#session !== undefined) return this.#session.push(event);
    this.#early.push(event);
    if (this.#early.length > EARLY_EVENTS_MAX) this.end("reads-too-slowly");
  }

  /** Another gateway speaks for a device from now on. */
  lose(name: string, deviceId: Uuid): void {
    this.#session?.lose(name, deviceId);
  }

  /** Tells the gateway of a change of a device behind it, if it asked for that. */
  pushBehind(name: string, event: DeviceEvent): void {
    this.#session?.pushBehind(name, event);
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
        if (this.#isPaused) this.#lastReadMs = nowMs;
        if (nowMs > this.#overMs) this.end("provisioning-over");
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
        if (this.#session === undefined) {
          this.#takeConnect();
        } else {
          this.#lastReadMs = this.#host.clock.monotonicMs();
          this.#session.takePacket(this.#reader, nowMs);
        }
      }
    } catch (thrown) {
      this.#markEnding(...endOf(thrown));
      if (!(thrown instanceof MalformedPacket || thrown instanceof PacketTooLarge)) {
        this.#host.log.error("An MQTT packet could not be processed", { error: thrown });
      }
    }
    this.#session?.submit();
    if (this.#device !== undefined) this.#host.activity.note(this.#device);
    if (!this.#isPaused && (this.#session?.fillLevel ?? 0) >= 1) {
      this.#isPaused = true;
      this.#stream.pause();
    }
    this.#finishWhenIdle();
  }

  #takeConnect(): void {
    expectFlags(this.#reader, 0);
    const version = (connectVersion(this.#reader) ?? 4) & 0x7f;
    if (version !== 3 && version !== 4 && version !== 5) {
      this.#refuse("unsupported-version");
      return;
    }
    this.#version = version;
    const packet = readConnect(this.#reader);
    const refusal = this.#refusalOfSource() ?? refusalOf(packet, version, this.#stream.peerCertificates.length > 0);
    if (refusal !== undefined) {
      this.#refuse(refusal);
      return;
    }
    const keepAliveS = packet.keepalive ?? 0;
    this.#silenceMaxMs = keepAliveS === 0 ? this.#host.limits.idleTimeoutMs : keepAliveS * 1500;
    if (wantsProvisioning(loginOf(packet))) return this.#openProvisioning(packet);
    this.#state = "authenticating";
    this.#stream.pause();
    void this.#authenticate(packet);
  }

  #refusalOfSource(): ConnectRefusal | undefined {
    if (this.#place !== "serve") return "too-many-from-address";
    return this.#host.sources.blockedMs(this.source) > 0 ? "address-blocked" : undefined;
  }

  async #authenticate(packet: IConnectPacket): Promise<void> {
    let device: AuthenticatedDevice | null | undefined;
    try {
      const { clock, directory } = this.#host;
      const { peerCertificates } = this.#stream;
      const isWaiting = (): boolean => this.#state === "authenticating";
      device = await findDevice({ clock, directory, peerCertificates, isWaiting }, loginOf(packet));
    } catch (thrown) {
      this.#host.log.warn("Credentials of an MQTT connection could not be checked", { error: AppError.from(thrown) });
      this.#refuse("server-unavailable");
      return;
    }
    if (device === undefined || this.#state !== "authenticating") return;
    if (device === null) this.#host.sources.noteFailure(this.source);
    if (device === null || this.#accessEnded?.has(device.deviceId) === true) {
      this.#refuse(loginOf(packet).userName === null ? "unknown-client-id" : "unknown-credentials");
      return;
    }
    const refusal = this.#host.admit(this, device);
    if (refusal !== undefined) {
      this.#refuse(refusal);
      return;
    }
    this.#device = device;
    const { sessionExpiryMaxS: expiryMaxS } = this.#host.limits;
    const request = sessionRequestOf(packet, { deviceId: device.deviceId, version: this.#version, expiryMaxS });
    try {
      this.#held = await this.#host.kept.open(device, request);
    } catch {
      this.#refuse("server-unavailable");
      this.#retire();
      return;
    }
    if (this.#isWaitingForSession()) this.#open(device, packet, request);
    // It ended before it began: its will was never accepted.
    else this.#held?.release({ will: "drop" });
  }

  /** Not seen by the type checker, which believes that nothing happens while something is awaited. */
  #isWaitingForSession(): boolean {
    return this.#state === "authenticating";
  }

  #open(device: AuthenticatedDevice, packet: IConnectPacket, request: SessionRequest): void {
    const session = this.#createSession(device, packet);
    this.#host.activity.connected(device);
    const limits = announcedLimits(this.#host.limits, { packet, request });
    const sessionPresent = this.#held?.isPresent === true;
    this.#begin(session, connack(this.#version, { code: 0, sessionPresent, limits }));
    session.resume();
    for (const event of this.#early) session.push(event);
    this.#stream.resume();
    this.#readPackets();
  }

  #begin(session: MqttSession, accepted: Uint8Array): void {
    this.#session = session;
    this.#state = "open";
    this.#reader.sizeMax = this.#host.limits.payloadBytesMax + PUBLISH_OVERHEAD_BYTES;
    this.#lastReadMs = this.#host.clock.monotonicMs();
    this.#write(accepted);
  }

  /** Of a device that is not known yet: nothing is kept, and nothing else is served. */
  #openProvisioning(packet: IConnectPacket): void {
    this.#overMs = this.#host.clock.monotonicMs() + PROVISIONING_MS;
    const host = { ...this.#host, topics: this.#host.provisioningTopics };
    const session = this.#createSession(NOBODY, packet, { host, onRefused: () => this.end("provisioning-over") });
    this.#begin(session, connack(this.#version, { code: 0 }));
  }

  #createSession(
    device: AuthenticatedDevice,
    { properties }: IConnectPacket,
    { host = this.#host, ...options }: { host?: MqttConnectionHost; onRefused?: () => void } = {},
  ): MqttSession {
    const link = {
      isOpen: () => this.#state === "open",
      isClosed: () => this.#state === "closed",
      write: (bytes: Uint8Array) => this.#write(bytes),
      end: (reason: EndReason | undefined, detail?: string) => this.end(reason, detail),
      leave: (how: ReadDisconnect) => {
        this.#leave = how;
        this.end(undefined);
      },
      onSettled: () => this.#onSettled(),
      attach: (behind: AuthenticatedDevice) => host.attach(this, behind),
      detach: (behind: AuthenticatedDevice) => host.detach(this, behind),
    };
    return new MqttSession(host, link, {
      ...options,
      device,
      held: this.#held,
      version: this.#version,
      receiveMaximum: properties?.receiveMaximum ?? Number.POSITIVE_INFINITY,
      packetBytesMax: properties?.maximumPacketSize ?? Number.POSITIVE_INFINITY,
    });
  }

  #refuse(refusal: ConnectRefusal): void {
    if (this.#state === "closed") return;
    const { v3, v5, text } = CONNECT_REFUSALS[refusal];
    const { connectionsRefused } = this.#host.counters;
    connectionsRefused.set(refusal, (connectionsRefused.get(refusal) ?? 0) + 1);
    this.#host.log.debug("An MQTT connection was refused", { source: this.#stream.source, reason: refusal });
    this.#state = "closed";
    this.#endedMs = this.#host.clock.monotonicMs();
    this.#write(connack(this.#version, { code: this.#version === 5 ? v5 : v3, reasonString: text }));
    // Read on, or the peer's bytes would turn the close into a reset that overtakes the CONNACK.
    this.#stream.resume();
    this.#stream.end();
  }

  #onSettled(): void {
    this.#finishWhenIdle();
    if (this.#isPaused && this.#state === "open" && (this.#session?.fillLevel ?? 0) <= 0.5) {
      this.#isPaused = false;
      this.#lastReadMs = this.#host.clock.monotonicMs();
      this.#stream.resume();
    }
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
    this.#retire();
  }

  /** From now on what happens to the device is kept for it, if its session is. */
  #retire(): void {
    this.#host.retire(this);
    if (this.#session === undefined) {
      for (const event of this.#early) this.#host.kept.push(event);
      return;
    }
    this.#session.close();
    if (this.#device !== undefined) this.#host.activity.disconnected(this.#device);
    const leave = this.#leave;
    const isTakenBack = leave !== undefined && !leave.isWithWill;
    const will = isTakenBack ? "drop" : this.#endReason === "shutting-down" ? "postpone" : "publish";
    const { sessionExpiryMaxS } = this.#host.limits;
    const expiryS = leave?.sessionExpiryS;
    this.#held?.release({ will, ...(expiryS === undefined ? {} : { expiryS: Math.min(expiryS, sessionExpiryMaxS) }) });
  }

  #finishWhenIdle(): void {
    if (this.#state !== "ending" || this.#session?.isIdle === false) return;
    const reason = this.#endReason;
    if (reason !== undefined && this.#version === 5 && this.#session !== undefined) {
      const { code, text } = END_REASONS[reason];
      this.#write(disconnect(code, this.#endDetail === "" ? text : `${text}: ${this.#endDetail}`));
    }
    this.#state = "closed";
    this.#stream.resume();
    this.#stream.end();
  }
}

function endOf(thrown: unknown): [reason: EndReason, detail: string] {
  if (thrown instanceof MalformedPacket) return ["malformed-packet", thrown.message];
  if (thrown instanceof PacketTooLarge) return ["packet-too-large", thrown.message];
  return ["not-stored", ""];
}
