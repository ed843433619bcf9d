import { backoffDelayMs } from "../core/backoff.ts";
import type { Clock } from "../core/clock.ts";
import type { Uuid } from "../core/ids.ts";
import { repeat } from "../core/lifecycle.ts";
import type { Random } from "../core/random.ts";
import type { Notification } from "../entities/notification.ts";
import type { Log } from "../observe/log.ts";
import type { NotificationTarget, SendNotification, SendOutcome } from "./sender.ts";

const INTERVAL_MS = 1_000;
/** Sent at once by one process. */
const AT_ONCE_MAX = 20;
const BACKOFF_BASE_MS = 10_000;
/** How long what was sent or given up stays in the list. */
const KEPT_MS = 30 * 86_400_000;
const UPKEEP_EVERY_MS = 3_600_000;

export interface ClaimedNotification {
  readonly notification: Notification;
  readonly target: NotificationTarget;
  /** This one included; names the claim. */
  readonly attempts: number;
}

export interface NotificationClaim {
  readonly id: Uuid;
  readonly attempts: number;
}

export interface NotificationJobStore {
  claim(options: { readonly countMax: number; readonly nowMs: number }): Promise<readonly ClaimedNotification[]>;
  markSent(claim: NotificationClaim, nowMs: number): Promise<void>;
  markFailed(
    claim: NotificationClaim,
    failure: { readonly dueMs: number | null; readonly error: string },
  ): Promise<void>;
  removeOld(beforeMs: number): Promise<number>;
}

export interface NotificationPatience {
  /** Of one notification, until its receiver is given up. */
  readonly attemptsMax: number;
  /** The longest wait between two of them. */
  readonly waitMaxMs: number;
}

/** Some ten hours. */
export const CLOUD_PATIENCE: NotificationPatience = { attemptsMax: 20, waitMaxMs: 3_600_000 };
/** Without a link there often is no way to the receiver either: some weeks, and soon after the way is back. */
export const EDGE_PATIENCE: NotificationPatience = { attemptsMax: 20_000, waitMaxMs: 120_000 };

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

/** Sends notifications. Every process does; a claim keeps two from sending one. */
export function createNotificationJob(
  { clock, log, random, send, store }: NotificationJobDeps,
  { attemptsMax, waitMaxMs }: NotificationPatience = CLOUD_PATIENCE,
): NotificationJob {
  const backoff = { baseMs: BACKOFF_BASE_MS, maxMs: waitMaxMs };
  let upkeepMs = -Infinity;

  const sendOne = async ({ attempts, notification, target }: ClaimedNotification): Promise<void> => {
    const claim = { id: notification.id, attempts };
    const outcome = await send(notification, target).catch((error: unknown): SendOutcome => {
      log.error("A notification could not be sent", { notificationId: claim.id, error });
      return { ok: false, reason: "A fault in Skerry itself; see the log", isFinal: false };
    });
    if (outcome.ok) return store.markSent(claim, clock.nowMs());
    const isOver = outcome.isFinal || attempts >= attemptsMax;
    const dueMs = isOver ? null : clock.nowMs() + backoffDelayMs(attempts - 1, random, 0, backoff);
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
