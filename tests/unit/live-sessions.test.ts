import { expect, test } from "bun:test";
import { createLiveSessions } from "../../cloud/sync/live-sessions.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { createFakeSession } from "../support/fake-session.ts";

const EDGE = "0190a000-0000-7000-8000-000000000001" as Uuid;
const OTHER = "0190a000-0000-7000-8000-000000000002" as Uuid;

test("add() stops the older session of an edge, in whichever order both come", () => {
  for (const [first, second] of [
    [1, 2],
    [2, 1],
  ] as const) {
    const live = createLiveSessions();
    const sessions = { [first]: createFakeSession(), [second]: createFakeSession() };
    for (const number of [first, second]) live.add(EDGE, number, sessions[number] ?? createFakeSession());
    expect(sessions[1]?.stopped?.code).toBe("SESSION_FENCED");
    expect(sessions[2]?.stopped).toBeNull();
    expect(live.held()).toEqual([{ edgeId: EDGE, session: 2, sentSeq: 0 }]);
  }
});

test("remove() leaves the entry of another session of the edge", () => {
  const live = createLiveSessions();
  const [older, newer] = [createFakeSession(), createFakeSession()];
  live.add(EDGE, 1, older);
  live.add(EDGE, 2, newer);
  live.remove(EDGE, older);
  expect(live.held()).toHaveLength(1);
  live.remove(EDGE, newer);
  expect(live.held()).toEqual([]);
});

test("wake() wakes what is held and names the rest", () => {
  const live = createLiveSessions();
  const session = createFakeSession();
  live.add(EDGE, 1, session);
  expect(live.wake([OTHER, EDGE])).toEqual([OTHER]);
  expect(session.wakes).toBe(1);
});

test("end() ends a session below the fence and no other", () => {
  const live = createLiveSessions();
  const session = createFakeSession();
  live.add(EDGE, 3, session);
  live.end(OTHER, 9, "NOT_FOUND");
  live.end(EDGE, 3, "UNAUTHENTICATED");
  expect(session.stopped).toBeNull();
  live.end(EDGE, 4, "UNAUTHENTICATED");
  expect(session.stopped?.code).toBe("UNAUTHENTICATED");
});

test("sentSeq() is null until the session is live", () => {
  const live = createLiveSessions();
  live.add(EDGE, 1, createFakeSession(null));
  live.add(OTHER, 1, createFakeSession(7));
  expect([live.sentSeq(EDGE), live.sentSeq(OTHER)]).toEqual([null, 7]);
});

test("drain() sends every edge away, one after the other, and each that comes later", async () => {
  const live = createLiveSessions();
  const [first, second, late] = [createFakeSession(), createFakeSession(), createFakeSession()];
  live.add(EDGE, 1, first);
  live.add(OTHER, 1, second);
  await live.drain("Stops", 100);
  live.add(EDGE, 2, late);
  expect([first, second, late].map(({ stopped }) => [stopped?.code, stopped?.retryAfterMs])).toEqual([
    ["CANCELLED", 100],
    ["CANCELLED", 101],
    ["CANCELLED", 100],
  ]);
});

test("endAll() takes new sessions afterwards", async () => {
  const live = createLiveSessions();
  const [before, after] = [createFakeSession(), createFakeSession()];
  live.add(EDGE, 1, before);
  await live.endAll("Lease lost", 0);
  live.remove(EDGE, before);
  live.add(EDGE, 2, after);
  expect([before.stopped?.code, after.stopped]).toEqual(["CANCELLED", null]);
});
