import type { Transporter } from "nodemailer";
import type { Secret } from "../config/secret.ts";
import { isLoopback } from "../core/hosts.ts";
import type { NotificationTransports, SendOutcome } from "../notifications/sender.ts";
import { postWebhook } from "./webhook.ts";

const TIMEOUT_MS = 20_000;

export interface MailServer {
  /** smtps://user:password@host:465, or smtp:// with STARTTLS, which only a server on this machine may lack. */
  readonly url: Secret;
  readonly from: string;
}

/** What notifications go through. @param smtpUrl null: no mails */
export function createTransports({
  mailFrom,
  smtpUrl,
}: {
  readonly mailFrom: string;
  readonly smtpUrl: Secret | null;
}): NotificationTransports {
  const mail = smtpUrl === null ? null : createMailer({ url: smtpUrl, from: mailFrom });
  return { post: postWebhook, mail, mailDomain: mailFrom.slice(mailFrom.indexOf("@") + 1) };
}

/** Loads the mail library with the first message. */
export function createMailer({ from, url }: MailServer): NonNullable<NotificationTransports["mail"]> {
  let transport: Promise<Transporter> | undefined;
  return async (to, { messageId, subject, text }): Promise<SendOutcome> => {
    try {
      const mailer = await (transport ??= openTransport(url));
      const headers = { "Auto-Submitted": "auto-generated" };
      await mailer.sendMail({ from, to: [...to], messageId, subject, text, headers });
      return { ok: true };
    } catch (thrown) {
      return failure(thrown);
    }
  };
}

async function openTransport(url: Secret): Promise<Transporter> {
  const { createTransport } = await import("nodemailer");
  const { hostname, password, port, protocol, username } = new URL(url.reveal());
  const secure = protocol === "smtps:";
  const auth =
    username === "" ? {} : { auth: { user: decodeURIComponent(username), pass: decodeURIComponent(password) } };
  return createTransport({
    host: hostname,
    port: port === "" ? (secure ? 465 : 587) : Number(port),
    secure,
    requireTLS: !secure && !isLoopback(hostname),
    ...auth,
    connectionTimeout: TIMEOUT_MS,
    greetingTimeout: TIMEOUT_MS,
    socketTimeout: TIMEOUT_MS,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
}

/** What the server said may repeat what it was told: only its codes are shown. */
function failure(thrown: unknown): SendOutcome {
  const responseCode = thrown instanceof Error && "responseCode" in thrown ? thrown.responseCode : null;
  const status = typeof responseCode === "number" ? responseCode : null;
  const code = thrown instanceof Error && "code" in thrown ? String(thrown.code) : "no connection";
  const isFinal = status !== null && status >= 500 && code !== "EAUTH";
  return { ok: false, reason: `The mail server did not take it: ${status ?? code}`, isFinal };
}
