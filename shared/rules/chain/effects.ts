import type { AlarmSeverity } from "../../entities/alarm.ts";
import type { AttributeScope } from "../../entities/attributes.ts";
import type { EntityRef } from "../../entities/change.ts";
import type { Json } from "../../entities/entity-record.ts";
import type { AttributeReading, TelemetryReading } from "../../entities/values.ts";
import type { ChainMessage, NodeRef } from "./message.ts";

// What a run wants done, in order. The engine does nothing by itself: whoever embeds it performs its effects, all of one run in one
// transaction where they are about the store.

export interface SaveTelemetry {
  readonly kind: "save-telemetry";
  readonly entity: EntityRef;
  readonly points: readonly TelemetryReading[];
  /** 0: as long as anything. */
  readonly ttlSeconds: number;
}

export interface SaveAttributes {
  readonly kind: "save-attributes";
  readonly entity: EntityRef;
  readonly scope: AttributeScope;
  readonly tsMs: number;
  readonly attributes: readonly AttributeReading[];
  /** Whether a device is told of its shared attributes. */
  readonly notifyDevice: boolean;
  /** Values that are there already are not written again. */
  readonly onlyChanged: boolean;
}

export interface DeleteAttributes {
  readonly kind: "delete-attributes";
  readonly entity: EntityRef;
  readonly scope: AttributeScope;
  readonly keys: readonly string[];
  readonly notifyDevice: boolean;
}

/** Makes an alarm, or changes the active one of the type. */
export interface RaiseAlarm {
  readonly kind: "raise-alarm";
  readonly originator: EntityRef;
  readonly alarmType: string;
  readonly severity: AlarmSeverity;
  readonly details: Json;
  readonly startMs: number;
  readonly endMs: number;
  readonly propagate: boolean;
  readonly propagateToOwner: boolean;
  readonly propagateToTenant: boolean;
  readonly propagateRelationTypes: readonly string[];
}

export interface ClearAlarm {
  readonly kind: "clear-alarm";
  readonly originator: EntityRef;
  readonly alarmType: string;
  readonly details: Json;
  readonly tsMs: number;
}

/** Where a message waits for the outcome of an effect: whoever performs it runs the chains again with both (`answered`). */
export interface PendingCall {
  readonly node: NodeRef;
  readonly message: ChainMessage;
}

export type CallAnswer =
  /** `body`: text; `metadata` is added to that of the message. */
  | { readonly ok: true; readonly body: string; readonly metadata: Readonly<Record<string, string>> }
  | { readonly ok: false; readonly reason: string; readonly metadata: Readonly<Record<string, string>> };

export interface SendRpc {
  readonly kind: "send-rpc";
  readonly device: EntityRef;
  readonly method: string;
  /** JSON text. */
  readonly params: string;
  readonly oneway: boolean;
  readonly persistent: boolean;
  readonly timeoutMs: number;
  readonly call: PendingCall;
}

export interface ReplyRpc {
  readonly kind: "reply-rpc";
  readonly device: EntityRef;
  readonly requestId: number;
  /** JSON text. */
  readonly body: string;
}

export interface PushToCloud {
  readonly kind: "push-to-cloud";
  readonly message: ChainMessage;
  /** Of attributes. */
  readonly scope: AttributeScope;
}

export interface CallHttp {
  readonly kind: "call-http";
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** null: none. */
  readonly body: string | null;
  readonly timeoutMs: number;
  readonly answerBytesMax: number;
  readonly call: PendingCall;
}

export interface PublishMqtt {
  readonly kind: "publish-mqtt";
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  readonly clientId: string | null;
  readonly userName: string | null;
  readonly password: string | null;
  readonly topic: string;
  readonly payload: string;
  readonly retain: boolean;
  readonly timeoutMs: number;
  readonly call: PendingCall;
}

export interface WriteLog {
  readonly kind: "log";
  readonly node: NodeRef;
  readonly text: string;
}

/** Runs the node again at a time (`woken`). */
export interface WakeNode {
  readonly kind: "wake";
  readonly node: NodeRef;
  readonly atMs: number;
}

export type ChainEffect =
  | SaveTelemetry
  | SaveAttributes
  | DeleteAttributes
  | RaiseAlarm
  | ClearAlarm
  | SendRpc
  | ReplyRpc
  | PushToCloud
  | CallHttp
  | PublishMqtt
  | WriteLog
  | WakeNode;
