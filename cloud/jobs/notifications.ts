import { backoffDelayMs } from "../../shared/core/backoff.ts";
import type { Clock } from "../../shared/core/clock.ts";
import { repeat } from "../../shared/core/lifecycle.ts";
import type { Random } from "../../shared/core/random.ts";
import type { SendNotification, SendOutcome } from "../../shared/notifications/sender.ts";
import type { Log } from "../../shared/observe/log.ts";
import type { ClaimedNotification, NotificationJobStore } from "../store/notification-store.ts";

const INTERVAL_MS = 1_000;
/** Sent at once by one process. */
const AT_ONCE_MAX = 20;
/** With the waits below some ten hours, until a receiver is given up. */
const ATTEMPTS_MAX = 20;
const BACKOFF = { baseMs: 10_000, maxMs: 3_600_000 };
/** How long what was sent or given up stays in the list. */
const KEPT_MS = 30 * 86_400_000;
const UPKEEP_EVERY_MS = 3_600_000;

export interface NotificationJobDeps {
  readonly store: NotificationJobStore;
  readonly send: SendNotification;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export interface NotificationJob {
  /** Sends what is due, one round after the other, until nothing is. */
  sendDue(): Promise<void>;
  run(signal: AbortSignal): Promise<void>;
}

/** Sends notifications. Every replica does; a claim keeps two from sending one. */
export function createNotificationJob({ clock, log, random, send, store }: NotificationJobDeps): NotificationJob {
  let upkeepMs = -Infinity;

  const sendOne = async ({ attempts, notification, target }: ClaimedNotification): Promise<void> => {
    const claim = { id: notification.id, attempts };
    const outcome = await send(notification, target).catch((error: unknown): SendOutcome => {
      log.error("A notification could not be sent", { notificationId: claim.id, error });
      return { ok: false, reason: "A fault in Skerry itself; see the log", isFinal: false };
    });
    if (outcome.ok) return store.markSent(claim, clock.nowMs());
    const isOver = outcome.isFinal || attempts >= ATTEMPTS_MAX;
    const dueMs = isOver ? null : clock.nowMs() + backoffDelayMs(attempts - 1, random, 0, BACKOFF);
    await store.markFailed(claim, { dueMs, error: outcome.reason });
    if (isOver) log.warn("A notification is given up", { notificationId: claim.id, attempts, reason: outcome.reason });
  };
  const sendDue = async (): Promise<void> => {
    for (;;) {
      const claimed = await store.claim({ countMax: AT_ONCE_MAX, nowMs: clock.nowMs() });
      await Promise.all(claimed.map(sendOne));
      if (claimed.length < AT_ONCE_MAX) return;
    }
  };
  const round = async (): Promise<void> => {
    await sendDue();
    if (clock.monotonicMs() - upkeepMs < UPKEEP_EVERY_MS) return;
    upkeepMs = clock.monotonicMs();
    await store.removeOld(clock.nowMs() - KEPT_MS);
  };
  return {
    sendDue,
    run: (signal) =>
      repeat(
        round,
        {
          intervalMs: INTERVAL_MS,
          sleep: (delayMs, abort) => clock.sleep(delayMs, abort),
          onError: (error) => log.warn("Notifications were not sent; it is tried again", { error }),
        },
        signal,
      ),
  };
}
