import { and, eq, notInArray, sql } from "drizzle-orm";
import type { Clock } from "../../shared/core/clock.ts";
import { WakeUp } from "../../shared/core/deferred.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { NULL_UUID } from "../../shared/core/ids.ts";
import type { Log } from "../../shared/observe/log.ts";
import { databaseError } from "../../shared/postgres/connect.ts";
import { notification, notificationRule } from "../../shared/store/notification-tables.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import type { EdgeNotificationRule } from "../../shared/sync/edge-settings.ts";

// Who tells of a change of an alarm, the cloud or this edge, is decided once, in the commit that makes it: the edge when it has had no link
// for a while. The item of the outbox says so, and the cloud leaves it to the edge then, whenever it hears of it.

/** Until the database is asked again. */
const RETRY_MS = 1_000;

export interface EdgeNotificationsDeps {
  readonly db: Queryable;
  readonly clock: Clock;
  readonly log: Log;
  /** So long there must be no link. */
  readonly offlineMs: number;
  /** Whether this edge has a mail server; else it tells by webhooks only. */
  readonly hasMail: boolean;
}

export interface EdgeNotifications {
  /** Rules by which this edge tells of what is committed now. */
  telling(): readonly Uuid[];
  noteLink(isLive: boolean): void;
  /** The cloud has set other rules. */
  noteSettings(): void;
  /** Has `send` run once there are rules, and follows what the cloud sets, until the signal aborts. */
  run(send: (signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<void>;
}

export async function openEdgeNotifications(deps: EdgeNotificationsDeps): Promise<EdgeNotifications> {
  const { clock, db, hasMail, log, offlineMs } = deps;
  const wakeUp = new WakeUp();
  let rules = await readTellable(db, hasMail);
  let isStale = false;
  let offlineSinceMs: number | null = clock.monotonicMs();
  const refresh = async (): Promise<void> => {
    isStale = false;
    try {
      rules = await readTellable(db, hasMail);
    } catch (error) {
      isStale = true;
      log.warn("Rules of notifications can't be read; it is tried again", { error: databaseError(error) });
    }
  };
  return {
    telling: () => {
      const isOffline = offlineSinceMs !== null && clock.monotonicMs() - offlineSinceMs >= offlineMs;
      return isOffline && !isStale ? rules.enabled : [];
    },
    noteLink: (isLive) => {
      if (isLive) offlineSinceMs = null;
      else offlineSinceMs ??= clock.monotonicMs();
    },
    noteSettings: () => {
      isStale = true;
      wakeUp.signal();
    },
    run: async (send, signal) => {
      let sending: Promise<void> | null = null;
      while (!signal.aborted) {
        if (isStale) await refresh();
        if (rules.hasAny) sending ??= send(signal);
        await (isStale ? clock.sleep(RETRY_MS, signal) : wakeUp.wait(signal)).catch(() => undefined);
      }
      await sending;
    },
  };
}

async function readTellable(db: Queryable, hasMail: boolean) {
  const rows = await db
    .select({
      id: notificationRule.id,
      enabled: notificationRule.enabled,
      type: sql<string>`${notificationRule.target} ->> 'type'`,
    })
    .from(notificationRule);
  const enabled = rows.filter((row) => row.enabled && (hasMail || row.type !== "EMAIL"));
  return { hasAny: rows.length > 0, enabled: enabled.map(({ id }) => id as Uuid) }; // a uuid column
}

/** In place of those that are there. One that has gone stays for what this edge has still to tell by it. */
export async function replaceNotificationRules(
  tx: Queryable,
  rules: readonly EdgeNotificationRule[],
  tenantId: Uuid,
): Promise<void> {
  const ids = [NULL_UUID, ...rules.map(({ id }) => id)];
  const waiting = tx.select({ id: notification.ruleId }).from(notification).where(eq(notification.state, "QUEUED"));
  await tx.update(notificationRule).set({ enabled: false }).where(notInArray(notificationRule.id, ids));
  await tx
    .delete(notificationRule)
    .where(and(notInArray(notificationRule.id, ids), notInArray(notificationRule.id, waiting)));
  for (const { webhookSecret, ...rule } of rules) {
    const row = { ...rule, webhookSecret, tenantId, enabled: true, fromEdges: true, createdMs: 0 };
    await tx.insert(notificationRule).values(row).onConflictDoUpdate({ target: notificationRule.id, set: row });
  }
}
