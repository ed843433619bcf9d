import { expect, test } from "bun:test";
import { createReplicaLease, type ReplicaStore } from "../../cloud/jobs/replica-lease.ts";
import { createRpcCalls, type RpcCallStore } from "../../cloud/jobs/rpc-calls.ts";
import { createSessionPoll } from "../../cloud/jobs/session-poll.ts";
import type { LeaseRenewal } from "../../cloud/store/replica-store.ts";
import type { SentDownlinks, SessionNews, SessionRef } from "../../cloud/store/session-news.ts";
import { createLiveSessions } from "../../cloud/sync/live-sessions.ts";
import { createSessionEnds } from "../../cloud/sync/session-ends.ts";
import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { withStep, type RpcRecord } from "../../shared/entities/rpc.ts";
import type { CanonicalJson } from "../../shared/entities/telemetry.ts";
import { silentLog } from "../../shared/observe/log.ts";
import { createMetrics } from "../../shared/observe/metrics.ts";
import { createFakeSession } from "../support/fake-session.ts";
import { createVirtualClock, settle } from "./virtual-clock.ts";

const EDGE = "0190a000-0000-7000-8000-000000000001" as Uuid;
const OTHER = "0190a000-0000-7000-8000-000000000002" as Uuid;
const GONE = "0190a000-0000-7000-8000-000000000003" as Uuid;

function away(): Promise<never> {
  return Promise.reject(new AppError("DATABASE_UNAVAILABLE", "Away"));
}

function startPoll(findNews: (held: readonly SessionRef[]) => Promise<readonly SessionNews[]>) {
  const clock = createVirtualClock();
  const live = createLiveSessions();
  const noted: SentDownlinks[] = [];
  const noteSent = (sent: readonly SentDownlinks[]): Promise<void> => Promise.resolve(void noted.push(...sent));
  const poll = createSessionPoll({ live, findNews, noteSent, clock, metrics: createMetrics(), log: silentLog });
  return { clock, live, noted, poll };
}

test("createSessionPoll() wakes what is behind, ends what was taken over or deleted, notes what is on its way", async () => {
  const { live, noted, poll } = startPoll((held) => {
    expect(held).toEqual([
      { edgeId: EDGE, session: 1 },
      { edgeId: OTHER, session: 5 },
      { edgeId: GONE, session: 1 },
    ]);
    return Promise.resolve([
      { edgeId: EDGE, session: 1, downlinkLast: 9, downlinkSent: 4, isLoadWanted: false },
      { edgeId: OTHER, session: 6, downlinkLast: 9, downlinkSent: 0, isLoadWanted: false },
      { edgeId: GONE, session: null, downlinkLast: 0, downlinkSent: 0, isLoadWanted: false },
    ]);
  });
  const [behind, older, deleted] = [createFakeSession(7), createFakeSession(), createFakeSession()];
  live.add(EDGE, 1, behind);
  live.add(OTHER, 5, older);
  live.add(GONE, 1, deleted);
  await poll.look();
  expect([behind.wakes, behind.stopped]).toEqual([1, null]);
  expect([older.stopped?.code, deleted.stopped?.code]).toEqual(["SESSION_FENCED", "NOT_FOUND"]);
  expect(noted).toEqual([{ edgeId: EDGE, session: 1, sentSeq: 7 }]);
});

test("createSessionPoll() leaves alone what only waits for its acknowledgement, and what is not live yet", async () => {
  const { live, noted, poll } = startPoll((held) =>
    Promise.resolve(held.map((ref) => ({ ...ref, downlinkLast: 7, downlinkSent: 7, isLoadWanted: false }))),
  );
  const [waiting, opening] = [createFakeSession(7), createFakeSession(null)];
  live.add(EDGE, 1, waiting);
  live.add(OTHER, 1, opening);
  await poll.look();
  expect([waiting.wakes, opening.wakes, noted.length]).toEqual([0, 0, 0]);
});

test("createSessionPoll() looks every second, also after a failure, and not while it holds nothing", async () => {
  let looks = 0;
  const { clock, live, poll } = startPoll(() => {
    looks += 1;
    return looks === 1 ? away() : Promise.resolve([]);
  });
  const stop = new AbortController();
  const running = poll.run(stop.signal);
  await clock.advance(1_000);
  expect(looks).toBe(0);
  live.add(EDGE, 1, createFakeSession());
  await clock.advance(3_000);
  expect(looks).toBe(3);
  stop.abort(new AppError("CANCELLED", "The test ends"));
  await running;
});

const HELD: LeaseRenewal = { isHeld: true, isSteady: true, others: 2 };

function startLease(renewals: (LeaseRenewal | null)[]) {
  const clock = createVirtualClock();
  const live = createLiveSessions();
  const calls: string[] = [];
  const store: ReplicaStore = {
    join: () => Promise.resolve(void calls.push("join")),
    renew: () => {
      calls.push("renew");
      const renewal = renewals.shift();
      return renewal === undefined || renewal === null ? away() : Promise.resolve(renewal);
    },
    endGone: () => Promise.resolve((calls.push("end gone"), [])),
  };
  const retryEnds = (): Promise<void> => Promise.resolve(void calls.push("retry"));
  const lease = createReplicaLease({ store, live, retryEnds, clock, log: silentLog });
  const stop = new AbortController();
  const running = lease.run(stop.signal);
  return {
    calls,
    clock,
    lease,
    live,
    [Symbol.asyncDispose]: async () => {
      stop.abort(new AppError("CANCELLED", "The test ends"));
      await running;
    },
  };
}

test("createReplicaLease() renews every 5 s, also after a failure, and judges others only while it is steady", async () => {
  await using fixture = startLease([{ ...HELD, isSteady: false }, null, HELD]);
  const { calls, clock, lease } = fixture;
  await settle();
  expect([calls.splice(0), lease.others()]).toEqual([["renew", "retry"], 2]);
  await clock.advance(5_000);
  expect(calls.splice(0)).toEqual(["renew"]);
  await clock.advance(5_000);
  expect(calls).toEqual(["renew", "retry", "end gone"]);
});

test("createReplicaLease() joins again after others took it for gone, and sends its edges away", async () => {
  await using fixture = startLease([HELD, { isHeld: false, isSteady: false, others: 1 }]);
  const session = createFakeSession();
  fixture.live.add(EDGE, 1, session);
  await settle();
  expect(session.stopped).toBeNull();
  await fixture.clock.advance(5_000);
  expect(fixture.calls).toEqual(["renew", "retry", "end gone", "renew", "join", "retry"]);
  expect(session.stopped?.code).toBe("CANCELLED");
});

test("createSessionEnds() keeps what the database does not take, the newest of each edge, until it does", async () => {
  let isAway = true;
  const written: string[] = [];
  const ends = createSessionEnds(
    (edgeId, { session }) => {
      if (isAway) return away();
      written.push(`${edgeId} ${session}`);
      return Promise.resolve();
    },
    { log: silentLog },
  );
  const end = { reason: "LINK_DOWN", nowMs: 0 };
  await ends.store(EDGE, { ...end, session: 1 });
  await ends.store(OTHER, { ...end, session: 1 });
  await ends.store(EDGE, { ...end, session: 2 });
  expect(await ends.retry().catch(() => "failed")).toBe("failed");
  isAway = false;
  await ends.retry();
  await ends.retry();
  expect(written).toEqual([`${EDGE} 2`, `${OTHER} 1`]);
});

const ASKED: RpcRecord = {
  id: OTHER,
  deviceId: GONE,
  method: "m",
  params: "{}" as CanonicalJson,
  isOneway: false,
  isPersistent: false,
  retries: 0,
  additionalInfo: null,
  createdMs: 0,
  expirationMs: 0,
  steps: [{ status: "QUEUED", attempt: 0, atMs: 0 }],
  response: null,
};

test("createRpcCalls() finds an answer that reached another process, and leaves nothing behind", async () => {
  const clock = createVirtualClock();
  const stored = new Map<Uuid, RpcRecord>();
  const store: RpcCallStore = {
    begin: (record) => Promise.resolve(void stored.set(record.id, record)),
    read: (ids) => Promise.resolve(ids.flatMap((id) => stored.get(id) ?? [])),
    end: (id) => Promise.resolve(void stored.delete(id)),
  };
  const calls = createRpcCalls({ store, clock, log: silentLog });
  const asked = { ...ASKED, expirationMs: clock.nowMs() + 10_000 };
  const calling = calls.call(asked);
  await settle();
  const response = '{"a":1.0}' as CanonicalJson;
  stored.set(OTHER, withStep(asked, { status: "SUCCESSFUL", attempt: 0, atMs: 1, response }));
  await clock.advance(300);
  expect(await calling).toEqual({ kind: "answered", response });
  expect(stored.size).toBe(0);
});

test("createRpcCalls() has an end for a database that does not answer", async () => {
  const clock = createVirtualClock();
  const calls = createRpcCalls({ store: { begin: away, read: away, end: away }, clock, log: silentLog });
  await expect(calls.call({ ...ASKED, expirationMs: clock.nowMs() + 10_000 })).rejects.toThrow("Away");
});
