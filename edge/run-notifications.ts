import type { Clock } from "../shared/core/clock.ts";
import type { Random } from "../shared/core/random.ts";
import { createNotificationJob, EDGE_PATIENCE, type NotificationJob } from "../shared/notifications/job.ts";
import { createNotificationSender } from "../shared/notifications/sender.ts";
import type { Log } from "../shared/observe/log.ts";
import { createTransports } from "../shared/runtime/notification-transports.ts";
import { createNotificationJobStore } from "../shared/store/notification-store.ts";
import type { Queryable } from "../shared/store/unit-of-work.ts";
import type { EdgeConfig } from "./config.ts";

export interface EdgeNotificationJobDeps {
  readonly db: Queryable;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** Sends what this edge has to tell, whether or not the link is back. */
export function createEdgeNotificationJob(
  { mailFrom, smtpUrl }: Pick<EdgeConfig, "mailFrom" | "smtpUrl">,
  { clock, db, log, random }: EdgeNotificationJobDeps,
): NotificationJob {
  const send = createNotificationSender(createTransports({ mailFrom, smtpUrl }), { clock });
  return createNotificationJob({ store: createNotificationJobStore(db), send, clock, random, log }, EDGE_PATIENCE);
}
