import type { Clock } from "../shared/core/clock.ts";
import type { Uuid } from "../shared/core/ids.ts";
import type { Task } from "../shared/core/lifecycle.ts";
import type { Random } from "../shared/core/random.ts";
import type { Log } from "../shared/observe/log.ts";
import type { Metrics } from "../shared/observe/metrics.ts";
import type { PostgresConnection } from "../shared/postgres/connect.ts";
import type { Queryable } from "../shared/store/unit-of-work.ts";
import { createReplicaLease } from "./jobs/replica-lease.ts";
import { createSessionPoll } from "./jobs/session-poll.ts";
import { closeSession } from "./store/edge-session-store.ts";
import { openNotifyChannel } from "./store/notify-channel.ts";
import { endGoneReplicas, joinReplicas, leaveReplicas, renewLease } from "./store/replica-store.ts";
import { findSessionNews, noteSentDownlinks } from "./store/session-news.ts";
import type { EdgeSignals } from "./sync/edge-signals.ts";
import type { LiveSessions } from "./sync/live-sessions.ts";
import type { LiveWords } from "./sync/live-words.ts";
import { createSessionEnds, type SessionEnds } from "./sync/session-ends.ts";

export interface ReplicaDeps {
  readonly db: Queryable;
  readonly connection: PostgresConnection;
  readonly live: LiveSessions;
  readonly signals: EdgeSignals;
  readonly words: LiveWords;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Metrics;
}

export interface ReplicaOptions {
  readonly id: Uuid;
  /** Whether no other process can use the database: what others left behind is ended at once then. */
  readonly isAlone: boolean;
}

/** This process as one of those that share the database: known to the others, in touch with them, gone when it is disposed. */
export interface Replica extends AsyncDisposable {
  readonly ends: SessionEnds;
  /** What has to run for as long as the process serves edges. */
  readonly tasks: Readonly<Record<string, Task>>;
  /** Other replicas that were there a moment ago. */
  others(): number;
  /** To every replica, this one included. */
  notify(payload: string): Promise<void>;
}

export async function startReplica(deps: ReplicaDeps, { id, isAlone }: ReplicaOptions): Promise<Replica> {
  const { clock, connection, db, live, log, metrics, random, signals, words } = deps;
  await using opening = new AsyncDisposableStack();
  if (isAlone) await endGoneReplicas(db, 0);
  await joinReplicas(db, id);
  opening.defer(() => leaveReplicas(db, id).catch((error: unknown) => log.warn("Replica did not sign off", { error })));

  const ends = createSessionEnds((edgeId, end) => closeSession(db, edgeId, end), { log });
  const poll = createSessionPoll({
    live,
    findNews: (held) => findSessionNews(db, held),
    noteSent: (sent) => noteSentDownlinks(db, sent),
    clock,
    metrics,
    log,
  });
  const lease = createReplicaLease({
    store: {
      join: () => joinReplicas(db, id),
      renew: (leaseMs) => renewLease(db, id, leaseMs),
      endGone: (leaseMs) => endGoneReplicas(db, leaseMs),
    },
    live,
    retryEnds: () => ends.retry(),
    clock,
    log,
  });
  const onPayload = (payload: string): void => {
    signals.receive(payload);
    words.receive(payload);
  };
  const onBack = (): void => {
    void poll.look();
    words.repeat();
  };
  const channel = opening.use(await openNotifyChannel({ clock, log, random }, { connection, onPayload, onBack }));
  const sending = new AbortController();
  const sender = signals.run(sending.signal);
  opening.defer(async () => {
    sending.abort();
    await sender;
  });
  const closing = opening.move();
  return {
    ends,
    tasks: {
      sessionPoll: (signal) => poll.run(signal),
      replicaLease: (signal) => lease.run(signal),
      liveWords: (signal) => words.run(signal),
    },
    others: () => lease.others(),
    notify: (payload) => channel.notify(payload),
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  };
}
