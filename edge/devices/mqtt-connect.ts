import { Buffer } from "node:buffer";
import type { IConnectPacket } from "mqtt-packet";
import type { Clock } from "../../shared/core/clock.ts";
import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { MqttLogin } from "../../shared/entities/device-credentials.ts";
import type { SessionRequest } from "./kept-sessions.ts";
import { type MqttLimits, PUBLISH_OVERHEAD_BYTES, UNRELEASED_MAX } from "./mqtt-limits.ts";
import type { ConnackOptions, MqttVersion } from "./mqtt-packets.ts";
import type { ConnectRefusal } from "./mqtt-reasons.ts";
import type { AuthenticatedDevice, DeviceDirectory } from "./ports.ts";

/** Pause before credentials are looked up again. */
const LOOK_UP_RETRY_MS = 200;

/** Why a CONNECT is refused before anybody looks for the device; undefined: it is not. */
export function refusalOf(
  packet: IConnectPacket,
  version: MqttVersion,
  hasCertificate: boolean,
): ConnectRefusal | undefined {
  if (packet.properties?.authenticationMethod !== undefined) return "unsupported-authentication";
  // MQTT 3.1.1 wants a client id for a session that is to be kept.
  if (version === 4 && packet.clientId === "" && packet.clean === false) return "unknown-client-id";
  const { clientId, userName } = loginOf(packet);
  return clientId === null && userName === null && !hasCertificate ? "no-credentials" : undefined;
}

export function loginOf({ clientId, username, password }: IConnectPacket): MqttLogin {
  return {
    clientId: clientId === "" ? null : clientId,
    userName: username === undefined || username === "" ? null : username,
    password: password?.toString() ?? null,
  };
}

/** Which session a CONNECT asks for. A device that gives no client id gets its own id as one. */
export function sessionRequestOf(
  packet: IConnectPacket,
  {
    deviceId,
    version,
    expiryMaxS,
  }: { readonly deviceId: Uuid; readonly version: MqttVersion; readonly expiryMaxS: number },
): SessionRequest {
  const { will, properties } = packet;
  const isClean = packet.clean !== false;
  const wantedS = version === 5 ? (properties?.sessionExpiryInterval ?? 0) : isClean ? 0 : expiryMaxS;
  return {
    clientId: packet.clientId === "" ? deviceId : packet.clientId,
    isClean,
    expiryS: Math.min(wantedS, expiryMaxS),
    will:
      will === undefined
        ? null
        : {
            topic: will.topic,
            payload: Buffer.from(will.payload),
            delayS: will.properties?.willDelayInterval ?? 0,
          },
  };
}

/** Who signs in by this alone wants to make itself known. */
const PROVISION = "provision";

export function wantsProvisioning({ clientId, password, userName }: MqttLogin): boolean {
  return password === null && (userName === PROVISION || (userName === null && clientId === PROVISION));
}

/** What a device of MQTT 5 learns from its CONNACK. */
export function announcedLimits(
  { payloadBytesMax, inFlightMax }: Pick<MqttLimits, "payloadBytesMax" | "inFlightMax">,
  { packet, request }: { readonly packet: IConnectPacket; readonly request: SessionRequest },
): NonNullable<ConnackOptions["limits"]> {
  const { clientId, properties } = packet;
  const isAsAsked = request.expiryS === (properties?.sessionExpiryInterval ?? 0);
  return {
    maximumPacketSize: payloadBytesMax + PUBLISH_OVERHEAD_BYTES,
    receiveMaximum: Math.min(inFlightMax, UNRELEASED_MAX),
    ...(isAsAsked ? {} : { sessionExpiryInterval: request.expiryS }),
    ...(clientId === "" ? { assignedClientIdentifier: request.clientId } : {}),
  };
}

export interface DeviceLookUp {
  readonly clock: Clock;
  readonly directory: DeviceDirectory;
  readonly peerCertificates: readonly string[];
  /** False once the connection is gone. */
  readonly isWaiting: () => boolean;
}

/**
 * Waits for a database that is down for a moment, until the deadline of the connection: stock clients take a refusal as
 * final and never connect again.
 *
 * @returns undefined when the connection is gone meanwhile, null when nobody has these credentials
 */
export async function findDevice(
  { clock, directory, peerCertificates, isWaiting }: DeviceLookUp,
  login: MqttLogin,
): Promise<AuthenticatedDevice | null | undefined> {
  while (isWaiting()) {
    try {
      const byCertificate = peerCertificates.length === 0 ? null : await directory.findByCertificate(peerCertificates);
      return byCertificate ?? (await directory.findByMqttLogin(login));
    } catch (thrown) {
      if (!AppError.from(thrown).retryable) throw thrown;
    }
    await clock.sleep(LOOK_UP_RETRY_MS);
  }
  return undefined;
}
