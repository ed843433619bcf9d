import type { Uuid } from "../../shared/core/ids.ts";
import type { AttributeEntry } from "../../shared/entities/attributes.ts";
import type { TelemetryRecord } from "../../shared/entities/telemetry.ts";
import type { AttributeReading, TelemetryReading } from "../../shared/entities/values.ts";
import {
  gatewayAnswerText,
  readGatewayAttributeRequest,
  readGatewayAttributes,
  readGatewayClaims,
  readGatewayDevice,
  readGatewayTelemetry,
  type GatewayAttributeRequest,
  type GatewayDevice,
  type Named,
} from "./gateway-messages.ts";
import type { AuthenticatedDevice, ClaimRequest, DeviceData, DeviceDirectory } from "./ports.ts";
import type { ServerTimes } from "./server-times.ts";

/** What a gateway says about devices behind it. */
export type GatewayTopic = "connect" | "disconnect" | "telemetry" | "attributes" | "attribute-request" | "claim";

/** A message of a gateway, read. */
export type GatewayMessage =
  | { readonly kind: "connect"; readonly device: GatewayDevice }
  | { readonly kind: "disconnect"; readonly name: string }
  | { readonly kind: "telemetry"; readonly parts: readonly Named<TelemetryReading[]>[] }
  | { readonly kind: "attributes"; readonly parts: readonly Named<AttributeReading[]>[]; readonly nowMs: number }
  | { readonly kind: "attribute-request"; readonly request: GatewayAttributeRequest }
  | { readonly kind: "claim"; readonly parts: readonly Named<ClaimRequest>[] };

/** The readings that a message carries, of all devices. */
export function telemetryIn(message: GatewayMessage): TelemetryReading[] {
  return message.kind === "telemetry" ? message.parts.flatMap(({ content }) => content) : [];
}

/** Devices that a message speaks of. */
export function namesIn(message: GatewayMessage): readonly string[] {
  switch (message.kind) {
    case "connect":
      return [message.device.name];
    case "disconnect":
      return [message.name];
    case "attribute-request":
      return [message.request.name];
    case "telemetry":
    case "attributes":
    case "claim":
      return message.parts.map(({ name }) => name);
  }
}

export interface GatewaySessionDeps {
  readonly gateway: AuthenticatedDevice;
  readonly directory: Pick<DeviceDirectory, "openBehind">;
  readonly data: DeviceData;
  readonly times: ServerTimes;
  /** The gateway speaks for the device from now on. */
  readonly onConnected: (device: AuthenticatedDevice) => void;
  readonly onDisconnected: (device: AuthenticatedDevice) => void;
  /** The gateway says something of the device. */
  readonly onHeard: (device: AuthenticatedDevice) => void;
}

const DEFAULT_TYPE = "default";

/** The devices behind one connection of a gateway. Each is made when the gateway names it first, with or without a link. */
export class GatewaySession {
  readonly #deps: GatewaySessionDeps;
  readonly #devices = new Map<string, Promise<AuthenticatedDevice>>();

  constructor(deps: GatewaySessionDeps) {
    this.#deps = deps;
  }

  /** @throws AppError INVALID_PAYLOAD */
  read(topic: GatewayTopic, text: string, nowMs: number): GatewayMessage {
    switch (topic) {
      case "connect":
        return { kind: "connect", device: readGatewayDevice(text) };
      case "disconnect":
        return { kind: "disconnect", name: readGatewayDevice(text).name };
      case "telemetry":
        return { kind: "telemetry", parts: this.#readTelemetry(text, nowMs) };
      case "attributes":
        return { kind: "attributes", parts: readGatewayAttributes(text), nowMs };
      case "attribute-request":
        return { kind: "attribute-request", request: readGatewayAttributeRequest(text) };
      case "claim":
        return { kind: "claim", parts: readGatewayClaims(text) };
    }
  }

  /** Resolves after the commit. */
  async save(messages: readonly GatewayMessage[]): Promise<void> {
    const records: TelemetryRecord[] = [];
    const attributes: { readonly deviceId: Uuid; readonly entries: AttributeEntry[] }[] = [];
    const claims: { readonly deviceId: Uuid; readonly claim: ClaimRequest }[] = [];
    for (const message of messages) {
      switch (message.kind) {
        case "connect":
          await this.#open(message.device);
          break;
        case "disconnect":
          await this.#close(message.name);
          break;
        case "telemetry":
          for (const { name, content } of message.parts) {
            const { deviceId } = await this.#hear(name);
            records.push(...content.map((reading) => ({ entityId: deviceId, ...reading })));
          }
          break;
        case "attributes":
          for (const { name, content } of message.parts) {
            const { deviceId } = await this.#hear(name);
            const entries = content.map((reading) => ({ ...reading, updatedMs: message.nowMs }));
            attributes.push({ deviceId, entries });
          }
          break;
        case "attribute-request":
          await this.#hear(message.request.name);
          break;
        case "claim":
          for (const { name, content } of message.parts) {
            const { deviceId } = await this.#hear(name);
            claims.push({ deviceId, claim: content });
          }
          break;
      }
    }
    const { data } = this.#deps;
    await Promise.all([
      records.length > 0 ? data.saveTelemetry(records) : undefined,
      ...attributes.map(({ deviceId, entries }) => data.saveClientAttributes(deviceId, entries)),
      ...claims.map(({ deviceId, claim }) => data.openClaim(deviceId, claim)),
    ]);
  }

  /** The edge serves the device no more until the gateway names it again. @returns whether it was served */
  drop(name: string): boolean {
    const wasServed = this.#devices.has(name);
    if (wasServed) void this.#close(name);
    return wasServed;
  }

  /** Something of the device has changed or it is gone: it is looked for again when the gateway names it. */
  forget(name: string): void {
    this.#devices.delete(name);
  }

  /** The device with this name. */
  find(name: string): Promise<AuthenticatedDevice> {
    return this.#open({ name, type: DEFAULT_TYPE });
  }

  async answer(request: GatewayAttributeRequest): Promise<string> {
    const { deviceId } = await this.#open({ name: request.name, type: DEFAULT_TYPE });
    const wanted = request.scope === "client" ? { clientKeys: request.keys } : { sharedKeys: request.keys };
    return gatewayAnswerText(request, await this.#deps.data.readAttributes(deviceId, wanted));
  }

  /** Bursts without times of their own get one ms after the other, as with devices that are connected themselves. */
  #readTelemetry(text: string, nowMs: number): Named<TelemetryReading[]>[] {
    const { gateway, times } = this.#deps;
    const keyOf = (name: string): string => `${gateway.deviceId} ${name}`;
    const timeOf = (name: string): number => times.next(keyOf(name), nowMs);
    const parts = readGatewayTelemetry(text, timeOf);
    for (const { name, content } of parts) {
      const serverMs = timeOf(name);
      if (content.some(({ tsMs }) => tsMs === serverMs)) times.use(keyOf(name), serverMs);
    }
    return parts;
  }

  async #hear(name: string): Promise<AuthenticatedDevice> {
    const device = await this.#open({ name, type: DEFAULT_TYPE });
    this.#deps.onHeard(device);
    return device;
  }

  #open(device: GatewayDevice): Promise<AuthenticatedDevice> {
    const known = this.#devices.get(device.name);
    if (known !== undefined) return known;
    const { directory, gateway, onConnected } = this.#deps;
    const opening = directory.openBehind(gateway, device).then((opened) => {
      onConnected(opened);
      return opened;
    });
    this.#devices.set(device.name, opening);
    opening.catch(() => this.#devices.delete(device.name));
    return opening;
  }

  async #close(name: string): Promise<void> {
    const device = await this.#devices.get(name)?.catch(() => undefined);
    this.#devices.delete(name);
    if (device !== undefined) this.#deps.onDisconnected(device);
  }
}
