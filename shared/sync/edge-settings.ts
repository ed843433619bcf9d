import type { Uuid } from "../core/ids.ts";
import type { StoredTarget } from "../entities/notification.ts";

/** What the cloud sets for an edge, whole. */
export interface EdgeSettings {
  /** How much devices may send, by the names of shared/entities/rate-limit-names.ts; a newer cloud may know more of them. */
  readonly rateLimits: Readonly<Record<string, string>>;
  /** The chain that gets the messages of this edge; absent: none is set. */
  readonly rootRuleChainId?: Uuid;
  /** By which the edge tells of alarms while it has no link; absent: none. */
  readonly notificationRules?: readonly EdgeNotificationRule[];
}

/** As NotificationRule of the cloud; lists are null for any. */
export interface EdgeNotificationRule {
  readonly id: Uuid;
  readonly name: string;
  readonly transitions: readonly string[];
  readonly severities: readonly string[] | null;
  readonly alarmTypes: readonly string[] | null;
  readonly deviceProfileIds: readonly Uuid[] | null;
  readonly entityIds: readonly Uuid[] | null;
  readonly target: StoredTarget;
  /** Of a webhook. */
  readonly webhookSecret: string | null;
}
