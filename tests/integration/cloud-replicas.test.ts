import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  closeSession,
  commitRange,
  findEdgeByCredentials,
  openSession,
  settleDownlinks,
  type EdgeAccount,
} from "../../cloud/store/edge-session-store.ts";
import { hashEdgeSecret, readEdgeStatuses, saveEdge, type SavedEdge } from "../../cloud/store/edge-store.ts";
import { openNotifyChannel } from "../../cloud/store/notify-channel.ts";
import { endGoneReplicas, joinReplicas, leaveReplicas, renewLease } from "../../cloud/store/replica-store.ts";
import { findSessionNews, noteSentDownlinks } from "../../cloud/store/session-news.ts";
import { createFirstTenant, createTenant } from "../../cloud/store/tenant-store.ts";
import { createUuid, type Uuid } from "../../shared/core/ids.ts";
import { silentLog } from "../../shared/observe/log.ts";
import { systemClock as clock } from "../../shared/runtime/system-clock.ts";
import { systemRandom as random } from "../../shared/runtime/system-random.ts";
import { ensureInstance } from "../../shared/store/instance-store.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { startTestPostgres, type TestDatabase, type TestPostgres } from "../support/postgres.ts";
import { waitFor } from "../support/wait-for.ts";
import { HELLO } from "../unit/sync-values.ts";
import { failureOf } from "./postgres-support.ts";

const deps = { clock, random };
const LEASE_MS = 15_000;
let postgres: TestPostgres;
let database: TestDatabase;
let db: Queryable;
let tenantId: Uuid;
let names = 0;

beforeAll(async () => {
  postgres = await startTestPostgres();
  database = await postgres.createDatabase("cloud");
  ({ db } = database);
  ({ tenantId } = await createTenant(db, deps, { adminEmail: "a@b.c", adminPasswordHash: "" }));
});
afterAll(() => postgres[Symbol.asyncDispose]());

const newId = (): Uuid => createUuid(clock, random);
const save = (edge: { readonly id?: Uuid; readonly secret: string | null }): Promise<SavedEdge> => {
  const name = `Edge ${(names += 1)}`;
  const rest = { type: "default", label: null, routingKey: null, expectedVersion: null, additionalInfo: null };
  return db.transaction((tx) =>
    saveEdge(tx, deps, { ...rest, tenantId, name, id: edge.id ?? null, secret: edge.secret }),
  );
};

/** A new edge, as it signs in. */
async function newAccount(): Promise<EdgeAccount> {
  const { edge, newSecret } = await save({ secret: null });
  const hash = hashEdgeSecret(edge.routingKey, newSecret ?? "");
  const account = await findEdgeByCredentials(db, { routingKey: edge.routingKey, secretHash: hash, nowMs: 0 });
  if (account === null) throw new Error("Expected the edge to be found");
  return account;
}

const open = (account: EdgeAccount, replicaId: Uuid) =>
  openSession(db, account, { ...HELLO, storeId: account.edgeId }, { cloudId: newId(), replicaId, clock });
const statusOf = async ({ edgeId }: EdgeAccount) => (await readEdgeStatuses(db, [edgeId])).get(edgeId);
const isConnected = async (account: EdgeAccount) => (await statusOf(account))?.isConnected;
/** As if this replica had not been seen since. */
const silence = (replicaId: Uuid, forMs: number) =>
  database.sql`update cloud_replica set seen_ms = seen_ms - ${forMs} where id = ${replicaId}`;

describe("a lease", () => {
  test("is steady only after it was renewed for its whole length without a gap", async () => {
    const id = newId();
    await joinReplicas(db, id);
    expect(await renewLease(db, id, LEASE_MS)).toMatchObject({ isHeld: true, isSteady: false });
    await database.sql`update cloud_replica set steady_ms = steady_ms - ${LEASE_MS} where id = ${id}`;
    expect(await renewLease(db, id, LEASE_MS)).toMatchObject({ isSteady: true });
    await silence(id, LEASE_MS / 2 + 1_000);
    expect(await renewLease(db, id, LEASE_MS)).toMatchObject({ isHeld: true, isSteady: false });
    await leaveReplicas(db, id);
    expect(await renewLease(db, id, LEASE_MS)).toMatchObject({ isHeld: false, isSteady: false });
  });

  test("counts the others that are there", async () => {
    const [one, two, silent] = [newId(), newId(), newId()];
    for (const id of [one, two, silent]) await joinReplicas(db, id);
    await silence(silent, LEASE_MS + 1_000);
    expect(await renewLease(db, one, LEASE_MS)).toMatchObject({ others: 1 });
    for (const id of [one, two, silent]) await leaveReplicas(db, id);
  });

  test("that ran out ends the edges of its replica, once, and of no other", async () => {
    const [gone, here] = [newId(), newId()];
    for (const id of [gone, here]) await joinReplicas(db, id);
    const [lost, orphan, kept] = [await newAccount(), await newAccount(), await newAccount()];
    await open(lost, gone);
    await open(orphan, newId());
    await open(kept, here);
    await silence(gone, LEASE_MS + 1_000);
    const ended = await endGoneReplicas(db, LEASE_MS);
    expect(ended.toSorted()).toEqual([lost.edgeId, orphan.edgeId].toSorted());
    expect(await statusOf(lost)).toMatchObject({ isConnected: false, reason: "LINK_DOWN" });
    expect(await isConnected(kept)).toBe(true);
    expect(await renewLease(db, gone, LEASE_MS)).toMatchObject({ isHeld: false });
    expect(await renewLease(db, here, LEASE_MS)).toMatchObject({ isHeld: true });
    await leaveReplicas(db, here);
  });

  test("that ran out is noticed by several replicas at once, and ends each edge once", async () => {
    const gone = newId();
    await joinReplicas(db, gone);
    const lost = await newAccount();
    await open(lost, gone);
    await silence(gone, LEASE_MS + 1_000);
    const ended = await Promise.all([1, 2, 3].map(() => endGoneReplicas(db, LEASE_MS)));
    expect(ended.flat()).toEqual([lost.edgeId]);
  });

  test("given back ends what is left of its replica's edges", async () => {
    const id = newId();
    await joinReplicas(db, id);
    const account = await newAccount();
    await open(account, id);
    await leaveReplicas(db, id);
    expect(await statusOf(account)).toMatchObject({ isConnected: false, reason: "CANCELLED" });
  });
});

describe("a session", () => {
  test("says when it takes the edge over from another replica", async () => {
    const [one, two] = [newId(), newId()];
    const account = await newAccount();
    expect(await open(account, one)).toMatchObject({ session: 1, isTakenOver: false });
    expect(await open(account, one)).toMatchObject({ session: 2, isTakenOver: false });
    expect(await open(account, two)).toMatchObject({ session: 3, isTakenOver: true });
    const end = { reason: "LINK_DOWN", nowMs: clock.nowMs() };
    await closeSession(db, account.edgeId, { session: 2, ...end });
    expect(await isConnected(account)).toBe(true);
    await closeSession(db, account.edgeId, { session: 3, ...end });
    expect(await isConnected(account)).toBe(false);
    expect(await open(account, one)).toMatchObject({ isTakenOver: false });
  });

  test("that is not the newest settles nothing", async () => {
    const account = await newAccount();
    const { edgeId } = account;
    await open(account, newId());
    await open(account, newId());
    const rejections = [{ seq: 1, code: "NOT_FOUND", text: "Why", version: "1.0.0" }];
    const settled = { edgeId, session: 1, seq: 1, rejections, nowMs: clock.nowMs() };
    expect((await failureOf(settleDownlinks(db, settled))).code).toBe("SESSION_FENCED");
    expect(await database.sql`select 1 from edge_event_rejection where edge_id = ${edgeId}`).toHaveLength(0);
    expect(await statusOf(account)).toMatchObject({ downlinkAcked: 0 });
  });

  test("ends with the secret that it was opened with", async () => {
    const account = await newAccount();
    const { edgeId } = account;
    await open(account, newId());
    const { fence } = await save({ id: edgeId, secret: "new secret" });
    expect(fence).toBe(2);
    expect(await statusOf(account)).toMatchObject({ isConnected: false, reason: "UNAUTHENTICATED" });
    const position = { edgeId, storeId: edgeId, lane: "config", session: 1 } as const;
    expect((await failureOf(commitRange(db, position, { first: 1, last: 1 }, null))).code).toBe("SESSION_FENCED");
    expect((await failureOf(open(account, newId()))).code).toBe("UNAUTHENTICATED");
    const { secretHash: _, ...rest } = account;
    const [row] = await database.sql<{ hash: string }[]>`select secret_hash as hash from edge where id = ${edgeId}`;
    expect(await open({ ...rest, secretHash: row?.hash ?? "" }, newId())).toMatchObject({ session: 3 });
  });

  test("hears of a newer one, of a deleted edge, of downlinks, and of nothing else", async () => {
    const [older, waiting, quiet] = [await newAccount(), await newAccount(), await newAccount()];
    for (const account of [older, older, waiting, quiet]) await open(account, newId());
    await database.sql`update edge_sync set downlink_last = 5 where edge_id = ${waiting.edgeId}`;
    const deleted = newId();
    const held = [older.edgeId, waiting.edgeId, quiet.edgeId, deleted].map((edgeId) => ({ edgeId, session: 1 }));
    const news = await findSessionNews(db, held);
    expect(news.toSorted((one, other) => (one.edgeId < other.edgeId ? -1 : 1))).toEqual([
      { edgeId: older.edgeId, session: 2, downlinkLast: 0, downlinkSent: 0, isLoadWanted: false },
      { edgeId: waiting.edgeId, session: 1, downlinkLast: 5, downlinkSent: 0, isLoadWanted: false },
      { edgeId: deleted, session: null, downlinkLast: 0, downlinkSent: 0, isLoadWanted: false },
    ]);
    expect(await findSessionNews(db, [])).toEqual([]);
    const sent = [older, waiting].map(({ edgeId }) => ({ edgeId, session: 1, sentSeq: 3 }));
    await noteSentDownlinks(db, sent);
    expect(await statusOf(older)).toMatchObject({ downlinkSent: 0 });
    expect(await statusOf(waiting)).toMatchObject({ downlinkSent: 3 });
  });
});

test("openNotifyChannel() reaches everybody who listens, also after the server was lost", async () => {
  const received: string[] = [];
  let backs = 0;
  const openChannel = (name: string) =>
    openNotifyChannel(
      { clock, log: silentLog, random },
      {
        connection: database.connection,
        onPayload: (payload) => void received.push(`${name} ${payload.slice(0, 8)}`),
        onBack: () => {
          backs += 1;
        },
      },
    );
  await using one = await openChannel("one");
  await using _two = await openChannel("two");
  await one.notify("x".repeat(7_999));
  await waitFor("the first word", () => received.length === 2);
  expect(received.splice(0).toSorted()).toEqual(["one xxxxxxxx", "two xxxxxxxx"]);
  await postgres.restart();
  await waitFor("both to listen again", () => backs === 2);
  await one.notify("again");
  await waitFor("the second word", () => received.length === 2);
  expect(received.toSorted()).toEqual(["one again", "two again"]);
});

test("first starts at once make one instance and one tenant", async () => {
  const { db: empty, sql } = await postgres.createDatabase("cloud");
  // Every connection is open: none waits for its turn to start.
  await Promise.all([1, 2, 3, 4].map(() => sql`select pg_sleep(0.1)`));
  const instances = await Promise.all([1, 2, 3, 4].map(() => ensureInstance(empty, deps)));
  expect(new Set(instances.map(({ id }) => id)).size).toBe(1);
  expect(await sql`select id from instance`).toHaveLength(1);
  const first = { adminEmail: "a@b.c", adminPasswordHash: "" };
  const made = await Promise.all([1, 2, 3, 4].map(() => createFirstTenant(empty, deps, first)));
  expect(made.filter(Boolean)).toHaveLength(1);
  expect(await sql`select id from tenant`).toHaveLength(1);
});
