import { AppError } from "../../../shared/core/errors.ts";
import { OTA_PREFIXES, OTA_TYPES, type OtaType } from "../../../shared/entities/ota-package.ts";
import { PAYLOAD_BYTES_MAX } from "../device-session.ts";
import type { IncomingMessage, MessageSession, MqttHandler } from "../mqtt-handlers.ts";
import type { MqttMessage } from "../mqtt-unit.ts";
import type { DevicePackages } from "../ports.ts";

/** Parts that a device may wait for at once; each lies in memory until it is sent. */
const WAITING_MAX = 8;
/** Requests of a connection whose size of parts is remembered; beyond it the oldest is forgotten. */
const SIZES_MAX = 16;
const WHOLE_NUMBER = /^[0-9]{1,10}$/;

/** What a connection has asked for. */
interface Asking {
  readonly sizes: Map<string, number>;
  waiting: number;
}

/** Devices load firmware and software part by part. A refusal leaves the connection as it is. */
export function packageTopics(packages: DevicePackages): MqttHandler {
  const bySession = new WeakMap<MessageSession, Asking>();
  return {
    routes: OTA_TYPES.map((type) => ({
      topic: `v2/${OTA_PREFIXES[type]}/request/+/chunk/+`,
      take: (message, unit, session) => {
        const asking = bySession.get(session) ?? { sizes: new Map(), waiting: 0 };
        bySession.set(session, asking);
        asking.waiting += 1;
        const isTooMany = asking.waiting > WAITING_MAX;
        unit.questions.push(async () => {
          try {
            if (isTooMany) return [refusal(type, "FAILURE", session)];
            return [await readPart(packages, { type, message, session, sizes: asking.sizes })];
          } finally {
            asking.waiting -= 1;
          }
        });
        return "taken";
      },
    })),
    downlinks: OTA_TYPES.flatMap((type) => [
      // Matches no answer by the rules of MQTT, and yet the stock SDK asks for it.
      `v2/${OTA_PREFIXES[type]}/response/+`,
      `v2/${OTA_PREFIXES[type]}/response/+/chunk/+`,
      errorTopic(type),
    ]),
  };
}

interface PartRequest {
  readonly type: OtaType;
  readonly message: IncomingMessage;
  readonly session: MessageSession;
  readonly sizes: Map<string, number>;
}

async function readPart(packages: DevicePackages, request: PartRequest): Promise<MqttMessage> {
  const { type, message, session, sizes } = request;
  const [id = "", chunk = ""] = message.levels;
  try {
    const found = await packages.find(session.device.deviceId, type);
    if (found === null) return refusal(type, "NOT_FOUND", session);
    const asked = message.text.trim();
    if (!WHOLE_NUMBER.test(chunk) || (asked !== "" && !WHOLE_NUMBER.test(asked)))
      return refusal(type, "FAILURE", session);
    const size = asked === "" ? (sizes.get(id) ?? found.bytes) : Number(asked);
    if (size > PAYLOAD_BYTES_MAX) return refusal(type, "PAYLOAD_TOO_LARGE", session);
    remember(sizes, id, size);
    const topic = `v2/${OTA_PREFIXES[type]}/response/${id}/chunk/${chunk}`;
    const payload = await readWhole(found, Number(chunk) * size, size);
    return { topic, qos: session.subscriptions.qosOf(topic) ?? 1, payload };
  } catch (thrown) {
    return refusal(type, AppError.from(thrown).code === "NOT_FOUND" ? "NOT_FOUND" : "FAILURE", session);
  }
}

function remember(sizes: Map<string, number>, id: string, size: number): void {
  sizes.delete(id);
  sizes.set(id, size);
  if (sizes.size > SIZES_MAX) sizes.delete(sizes.keys().next().value ?? "");
}

async function readWhole(
  { bytes, read }: { readonly bytes: number; readonly read: (offset: number, bytesMax: number) => Promise<Uint8Array> },
  offset: number,
  size: number,
): Promise<Uint8Array> {
  const length = Math.max(0, Math.min(size, bytes - offset));
  const whole = new Uint8Array(length);
  for (let at = 0; at < length;) {
    const part = await read(offset + at, length - at);
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function errorTopic(type: OtaType): string {
  return `v2/${OTA_PREFIXES[type]}/error`;
}

function refusal(
  type: OtaType,
  payload: "PAYLOAD_TOO_LARGE" | "NOT_FOUND" | "FAILURE",
  { subscriptions }: MessageSession,
): MqttMessage {
  const topic = errorTopic(type);
  return { topic, qos: subscriptions.qosOf(topic) ?? 1, payload };
}
