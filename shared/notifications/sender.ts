import type { Clock } from "../core/clock.ts";
import type { Notification } from "../entities/notification.ts";
import { mailMessage, webhookMessage, type MailMessage, type WebhookMessage } from "./message.ts";

// Sends one notification, once. Whoever calls repeats what failed.

/** Who is told, and how. */
export type NotificationTarget =
  | { readonly type: "EMAIL"; readonly to: readonly string[] }
  | { readonly type: "WEBHOOK"; readonly url: string; readonly secret: () => string };

export type SendOutcome =
  | { readonly ok: true }
  /** `reason` holds no secret and nothing of what the other side answered but its status. */
  | { readonly ok: false; readonly reason: string; readonly isFinal: boolean };

/** Adapters to the network; they throw nothing. */
export interface NotificationTransports {
  readonly post: (url: string, message: WebhookMessage) => Promise<SendOutcome>;
  readonly mail: ((to: readonly string[], message: MailMessage) => Promise<SendOutcome>) | null;
  /** Behind the @ of Message-IDs. */
  readonly mailDomain: string;
}

export type SendNotification = (notification: Notification, target: NotificationTarget) => Promise<SendOutcome>;

export function createNotificationSender(
  transports: NotificationTransports,
  { clock }: { readonly clock: Clock },
): SendNotification {
  return (notification, target) => {
    switch (target.type) {
      case "WEBHOOK":
        return transports.post(
          target.url,
          webhookMessage(notification, { nowMs: clock.nowMs(), secret: target.secret() }),
        );
      case "EMAIL":
        return transports.mail === null
          ? Promise.resolve({ ok: false, reason: "No SMTP server is set (smtpUrl)", isFinal: false })
          : transports.mail(target.to, mailMessage(notification, transports.mailDomain));
      default:
        return target satisfies never;
    }
  };
}
