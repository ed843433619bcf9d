import type { NotificationTransports, SendOutcome } from "../notifications/sender.ts";

const TIMEOUT_MS = 20_000;
/** Of 4xx those that say nothing of the request itself. */
const PASSING = new Set([408, 425, 429]);

/** Answers are not read, and redirects not followed: nobody learns from a webhook what else can be reached from here. */
export const postWebhook: NotificationTransports["post"] = async (url, { body, headers }): Promise<SendOutcome> => {
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const answer = await fetch(url, { method: "POST", headers, body, redirect: "manual", signal });
    await answer.body?.cancel();
    const { status } = answer;
    if (status >= 200 && status < 300) return { ok: true };
    const isFinal = status >= 300 && status < 500 && !PASSING.has(status);
    return { ok: false, reason: `The receiver answered ${status}`, isFinal };
  } catch (thrown) {
    // Texts of errors may hold the address.
    const code = thrown instanceof Error && "code" in thrown ? String(thrown.code) : null;
    const isTimeout = thrown instanceof Error && thrown.name === "TimeoutError";
    const reason = isTimeout ? `no answer in ${TIMEOUT_MS / 1_000} s` : (code ?? "no connection");
    return { ok: false, reason: `The receiver could not be reached: ${reason}`, isFinal: false };
  }
};
