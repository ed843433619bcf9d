import type { Uuid } from "../../shared/core/ids.ts";
import type { AttributeEntry } from "../../shared/entities/attributes.ts";
import type { TelemetryRecord } from "../../shared/entities/telemetry.ts";
import type { GatewayMessage, GatewaySession } from "./gateway-session.ts";
import type { DeviceData } from "./ports.ts";

/** A message to the device. */
export interface MqttMessage {
  readonly topic: string;
  /** 0 or 1. */
  readonly qos: number;
  readonly payload: string | Uint8Array;
  /** With QoS 1 and text: it waits for a device whose session outlives its connection. @default false */
  readonly isKept?: boolean;
}

/**
 * What one read of the socket brought: saved together, acknowledged together in one write, in the order of arrival.
 * MQTT wants acknowledgements in that order, so a unit that is stored waits for the ones before it.
 */
export interface Unit {
  readonly records: TelemetryRecord[];
  readonly attributes: Map<string, AttributeEntry>;
  /** About devices behind a gateway. */
  readonly behind: GatewayMessage[];
  /** Anything else that has to be committed before the acknowledgements. */
  readonly saves: (() => Promise<void>)[];
  /** Asked when all is saved, so that a device reads what it has just written; the answers follow the acknowledgements. */
  readonly questions: (() => Promise<readonly MqttMessage[]>)[];
  /** kind << 24 | packet id << 8 | reason. */
  readonly acknowledgements: number[];
  readonly answers: MqttMessage[];
  messages: number;
  bytes: number;
  state: "collecting" | "saving" | "done" | "failed";
}

export function createUnit(): Unit {
  return {
    records: [],
    attributes: new Map(),
    behind: [],
    saves: [],
    questions: [],
    acknowledgements: [],
    answers: [],
    messages: 0,
    bytes: 0,
    state: "collecting",
  };
}

export interface UnitSink {
  readonly deviceId: Uuid;
  readonly gateway: GatewaySession | null;
  readonly data: DeviceData;
}

/** Resolves when everything of the unit is committed and its answers are there. */
export async function saveUnit(unit: Unit, { data, deviceId, gateway }: UnitSink): Promise<void> {
  if (unit.attributes.size + unit.questions.length + unit.behind.length + unit.saves.length === 0) {
    if (unit.records.length > 0) await data.saveTelemetry(unit.records);
    return;
  }
  await Promise.all([
    unit.records.length > 0 ? data.saveTelemetry(unit.records) : undefined,
    unit.attributes.size > 0 ? data.saveClientAttributes(deviceId, [...unit.attributes.values()]) : undefined,
    unit.behind.length > 0 ? gateway?.save(unit.behind) : undefined,
    ...unit.saves.map((save) => save()),
  ]);
  for (const question of unit.questions) unit.answers.push(...(await question()));
}

export interface UnitQueueOptions {
  readonly inFlightMax: number;
  readonly inFlightBytesMax: number;
  readonly save: (unit: Unit) => Promise<void>;
  /** A unit could not be stored; nothing behind it becomes ready any more. */
  readonly onFailed: (thrown: unknown) => void;
  /** Units whose turn has come, in order; empty when one was stored ahead of its turn. */
  readonly onReady: (units: readonly Unit[]) => void;
}

/** The units of one connection from its reads to their acknowledgements. */
export class UnitQueue {
  readonly #options: UnitQueueOptions;
  readonly #units: Unit[] = [];
  #open: Unit | undefined;
  #inFlight = 0;
  #inFlightBytes = 0;

  constructor(options: UnitQueueOptions) {
    this.#options = options;
  }

  /** The unit that is being collected. */
  open(): Unit {
    this.#open ??= createUnit();
    return this.#open;
  }

  get isIdle(): boolean {
    return this.#units.length === 0 && this.#open === undefined;
  }

  /** How much of what may wait for its commit does: 1 is full. */
  get fillLevel(): number {
    const { inFlightMax, inFlightBytesMax } = this.#options;
    return Math.max(this.#inFlight / inFlightMax, this.#inFlightBytes / inFlightBytesMax);
  }

  /** Hands what was collected to the store. */
  submit(): void {
    const unit = this.#open;
    if (unit === undefined) return;
    this.#open = undefined;
    this.#units.push(unit);
    this.#inFlight += unit.messages;
    this.#inFlightBytes += unit.bytes;
    unit.state = "saving";
    this.#options.save(unit).then(
      () => this.#settle(unit, "done"),
      (thrown: unknown) => {
        this.#options.onFailed(thrown);
        this.#settle(unit, "failed");
      },
    );
  }

  #settle(unit: Unit, state: "done" | "failed"): void {
    unit.state = state;
    const ready: Unit[] = [];
    for (let head = this.#units[0]; head !== undefined; head = this.#units[0]) {
      // Behind a failure nothing may be acknowledged any more.
      if (head.state === "failed") this.#units.length = 0;
      if (head.state !== "done") break;
      this.#units.shift();
      this.#inFlight -= head.messages;
      this.#inFlightBytes -= head.bytes;
      ready.push(head);
    }
    this.#options.onReady(ready);
  }
}
