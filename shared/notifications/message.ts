import { createHmac } from "node:crypto";
import { formatTime } from "../core/iso-time.ts";
import type { AlarmTransition, Notification } from "../entities/notification.ts";

// Notifications as receivers get them. The headers of webhooks and their signature are those of Standard Webhooks, for which receivers find
// libraries.

export interface WebhookMessage {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** @param secret with the prefix `whsec_` base64, else the key itself */
export function webhookMessage(
  notification: Notification,
  { nowMs, secret }: { readonly nowMs: number; readonly secret: string },
): WebhookMessage {
  const { alarm, id, originator, rule, transition } = notification;
  const body = JSON.stringify({
    type: `alarm.${transition.toLowerCase()}`,
    timestamp: formatTime(transitionMs(notification)),
    data: {
      rule,
      alarm: {
        id: alarm.id,
        type: alarm.type,
        severity: alarm.severity,
        status: statusOf(notification),
        startTs: alarm.startMs,
        endTs: alarm.endMs,
        ackTs: alarm.ackMs,
        clearTs: alarm.clearMs,
        details: alarm.details,
      },
      originator: { entityType: originator.type, id: originator.id, name: originator.name },
    },
  });
  const timestamp = String(Math.floor(nowMs / 1_000));
  const signature = createHmac("sha256", keyOf(secret)).update(`${id}.${timestamp}.${body}`).digest("base64");
  return {
    headers: {
      "content-type": "application/json",
      "webhook-id": id,
      "webhook-timestamp": timestamp,
      "webhook-signature": `v1,${signature}`,
    },
    body,
  };
}

function keyOf(secret: string): Uint8Array {
  return secret.startsWith("whsec_")
    ? Buffer.from(secret.slice("whsec_".length), "base64")
    : new TextEncoder().encode(secret);
}

export interface MailMessage {
  /** The same however often it is sent. */
  readonly messageId: string;
  readonly subject: string;
  readonly text: string;
}

const HAPPENED: Readonly<Record<AlarmTransition, string>> = {
  CREATED: "was raised",
  SEVERITY_CHANGED: "changed its severity",
  ACKNOWLEDGED: "was acknowledged",
  CLEARED: "was cleared",
};

/** @param domain behind the @ of the Message-ID */
export function mailMessage(notification: Notification, domain: string): MailMessage {
  const { alarm, id, originator, rule, transition } = notification;
  const what = `${alarm.type}: ${originator.name ?? `${originator.type} ${originator.id}`}`;
  const lines = [
    `The alarm "${alarm.type}" of ${originator.name ?? originator.id} ${HAPPENED[transition]}.`,
    "",
    `Severity:  ${alarm.severity}`,
    `Status:    ${statusOf(notification)}`,
    `Started:   ${formatTime(alarm.startMs)}`,
    ...(alarm.clearMs > 0 ? [`Cleared:   ${formatTime(alarm.clearMs)}`] : []),
    ...(alarm.details === null ? [] : [`Details:   ${JSON.stringify(alarm.details).slice(0, DETAILS_LENGTH_MAX)}`]),
    "",
    `Alarm ${alarm.id}, told by the rule "${rule.name}".`,
  ];
  const subject = `[${alarm.severity}] ${what} (${transition.toLowerCase().replace("_", " ")})`;
  return { messageId: `<${id}@${domain}>`, subject: subject.replaceAll(/\s+/g, " "), text: `${lines.join("\n")}\n` };
}

const DETAILS_LENGTH_MAX = 10_000;

function statusOf({ alarm: { ackMs, clearMs } }: Notification): string {
  return `${clearMs > 0 ? "CLEARED" : "ACTIVE"}_${ackMs > 0 ? "ACK" : "UNACK"}`;
}

function transitionMs({ alarm, transition }: Notification): number {
  switch (transition) {
    case "CREATED":
      return alarm.startMs;
    case "SEVERITY_CHANGED":
      return alarm.endMs;
    case "ACKNOWLEDGED":
      return alarm.ackMs;
    case "CLEARED":
      return alarm.clearMs;
    default:
      return transition satisfies never;
  }
}
