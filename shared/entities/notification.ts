import type { Uuid } from "../core/ids.ts";
import type { AlarmSeverity } from "./alarm.ts";
import type { EntityRef } from "./change.ts";
import type { Json } from "./entity-record.ts";

/** What happens to an alarm. */
export const ALARM_TRANSITIONS = ["CREATED", "SEVERITY_CHANGED", "ACKNOWLEDGED", "CLEARED"] as const;
export type AlarmTransition = (typeof ALARM_TRANSITIONS)[number];

export const NOTIFICATION_STATES = ["QUEUED", "SENT", "FAILED", "LEFT_TO_EDGE"] as const;
export type NotificationState = (typeof NOTIFICATION_STATES)[number];

/** Where it is sent; the secret of a webhook is kept apart. */
export type StoredTarget =
  | { readonly type: "EMAIL"; readonly to: readonly string[] }
  | { readonly type: "WEBHOOK"; readonly url: string };

/** One thing to be told. */
export interface Notification {
  /** The same however often it is tried; receivers know repetitions by it. */
  readonly id: Uuid;
  readonly transition: AlarmTransition;
  readonly rule: { readonly id: Uuid; readonly name: string };
  readonly originator: EntityRef & {
    /** null: it is gone. */
    readonly name: string | null;
  };
  /** As it was at the transition. */
  readonly alarm: NotifiedAlarm;
}

export interface NotifiedAlarm {
  readonly id: Uuid;
  readonly type: string;
  readonly severity: AlarmSeverity;
  readonly startMs: number;
  readonly endMs: number;
  /** 0: not acknowledged. */
  readonly ackMs: number;
  /** 0: active. */
  readonly clearMs: number;
  readonly details: Json;
}
