import type { Uuid } from "../../shared/core/ids.ts";
import type { GatewaySession } from "./gateway-session.ts";
import type { MqttMessage, Unit } from "./mqtt-unit.ts";
import type { PayloadForm } from "./payload-form.ts";
import type { AuthenticatedDevice, DeviceEvent } from "./ports.ts";
import { isProperFilter, matchesFilter, type Subscriptions } from "./topics.ts";

/** What the handlers of topics see of the connection that a message came over. */
export interface MessageSession {
  readonly device: AuthenticatedDevice;
  /** Null: the device is no gateway. */
  readonly gateway: GatewaySession | null;
  readonly subscriptions: Subscriptions;
  /** For answers that come after the acknowledgement; when the connection is over, nothing is sent. */
  send(message: MqttMessage): void;
  /** Sends it over this connection or not at all. @returns whether the device acknowledged it; of QoS 0: whether it was written */
  deliver(message: MqttMessage): Promise<boolean>;
}

/** What a part of the device API does for as long as a connection is there. */
export interface SessionPart {
  /** The subscriptions are other ones. */
  onSubscriptions(): void;
  /** The gateway of the connection speaks for this device from now on. */
  onAttached?(device: AuthenticatedDevice): void;
  onDetached?(deviceId: Uuid): void;
  close(): void;
}

/** A message of the device. */
export interface IncomingMessage {
  readonly topic: string;
  /** What each `+` of the route stands for here. */
  readonly levels: readonly string[];
  readonly text: string;
  readonly nowMs: number;
}

/** not-served: no such topic after all; gateways-only: the device is none. */
export type Taken = "taken" | "not-served" | "gateways-only";

export interface MqttRoute {
  /** Where devices publish; `+` stands for one level. */
  readonly topic: string;
  /** What the payload says; undefined: text, whatever the profile of the device. */
  readonly payload?: PayloadForm;
  /**
   * Adds to the unit what the message wants: what is stored before its acknowledgement, and what is answered.
   *
   * @throws AppError INVALID_PAYLOAD, then nothing was added
   */
  readonly take: (message: IncomingMessage, unit: Unit, session: MessageSession) => Taken;
}

/** A part of the device API over MQTT: its topics in both directions. */
export interface MqttHandler {
  readonly routes: readonly MqttRoute[];
  /** Where it sends messages, `+` for one level: filters that match one of them are granted. */
  readonly downlinks: readonly string[];
  /** Called when a connection is open; undefined: nothing is to be done for it. */
  readonly open?: (session: MessageSession) => SessionPart | undefined;
  /** What the device is told of an event; undefined when it did not ask, or the event is another's. */
  readonly push?: (event: DeviceEvent, subscriptions: Subscriptions) => MqttMessage | undefined;
  /** What a gateway is told of an event of a device behind it. */
  readonly pushBehind?: (name: string, event: DeviceEvent, subscriptions: Subscriptions) => MqttMessage | undefined;
}

export interface FoundRoute {
  readonly take: MqttRoute["take"];
  readonly payload: PayloadForm | undefined;
  readonly levels: readonly string[];
}

/** All handlers as one. */
export interface MqttTopics {
  find(topic: string): FoundRoute | undefined;
  isGranted(filter: string): boolean;
  open(session: MessageSession): SessionPart[];
  push(event: DeviceEvent, subscriptions: Subscriptions): MqttMessage[];
  pushBehind(name: string, event: DeviceEvent, subscriptions: Subscriptions): MqttMessage[];
}

export function createMqttTopics(handlers: readonly MqttHandler[]): MqttTopics {
  const routes = handlers.flatMap((handler) => handler.routes);
  const exact = new Map<string, FoundRoute>();
  const patterns: (Omit<FoundRoute, "levels"> & { readonly pattern: readonly string[] })[] = [];
  for (const { topic, take, payload } of routes) {
    if (topic.includes("+")) patterns.push({ pattern: topic.split("/"), take, payload });
    else exact.set(topic, { take, payload, levels: [] });
  }
  const downlinks = handlers.flatMap((handler) => handler.downlinks);

  return {
    find: (topic) => exact.get(topic) ?? findPattern(topic.split("/")),
    isGranted: (filter) => isProperFilter(filter) && downlinks.some((topic) => matchesFilter(filter, topic)),
    open: (session) => handlers.flatMap(({ open }) => open?.(session) ?? []),
    push: (event, subscriptions) => handlers.flatMap(({ push }) => push?.(event, subscriptions) ?? []),
    pushBehind: (name, event, subscriptions) =>
      handlers.flatMap(({ pushBehind }) => pushBehind?.(name, event, subscriptions) ?? []),
  };

  function findPattern(levels: readonly string[]): FoundRoute | undefined {
    for (const { pattern, take, payload } of patterns) {
      if (pattern.length !== levels.length) continue;
      if (!pattern.every((level, at) => level === "+" || level === levels[at])) continue;
      return { take, payload, levels: levels.filter((_, at) => pattern[at] === "+") };
    }
    return undefined;
  }
}
