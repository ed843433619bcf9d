import { expect, test } from "bun:test";
import { CommitPace, SPACING_MS } from "../../edge/store/commit-pace.ts";

const COMMIT_MS = 0.5;
const RUN_MS = 10_000;

interface Run {
  readonly commits: number;
  readonly messages: number;
  /** Longest time from a message to the answer. */
  readonly worstMs: number;
}

/**
 * A writer that commits whatever waits. `arrivals`: when messages come by themselves, ascending. `clients`: each sends the next message
 * right after the answer to the last one.
 */
function run({ arrivals, clients }: { readonly arrivals: readonly number[]; readonly clients: number }): Run {
  const pace = new CommitPace();
  const waiting: number[] = [];
  const time = { nowMs: 0 };
  let next = 0;
  const totals = { commits: 0, messages: 0, worstMs: 0 };
  const arriveUntil = (untilMs: number): void => {
    for (let at = arrivals[next]; at !== undefined && at <= untilMs; at = arrivals[next]) {
      pace.arrived(at);
      waiting.push(at);
      next += 1;
    }
    time.nowMs = untilMs;
  };
  const sendFromClients = (): void => {
    for (let client = 0; client < clients; client += 1) {
      pace.arrived(time.nowMs);
      waiting.push(time.nowMs);
    }
  };
  sendFromClients();
  while (time.nowMs < RUN_MS) {
    if (waiting.length === 0) {
      const at = arrivals[next];
      if (at === undefined) break;
      arriveUntil(at);
    }
    const waitMs = pace.waitMs(time.nowMs);
    if (waitMs > 0) arriveUntil(time.nowMs + waitMs);
    pace.started(time.nowMs);
    const group = waiting.splice(0);
    arriveUntil(time.nowMs + COMMIT_MS);
    pace.answered(time.nowMs);
    totals.commits += 1;
    totals.messages += group.length;
    totals.worstMs = Math.max(totals.worstMs, ...group.map((at) => time.nowMs - at));
    sendFromClients();
  }
  return totals;
}

function every(stepMs: number): number[] {
  return Array.from({ length: Math.floor(RUN_MS / stepMs) }, (_, index) => index * stepMs);
}

test("commits keep a distance while a thousand messages a second come by themselves, and nobody waits longer than it", () => {
  const { commits, messages, worstMs } = run({ arrivals: every(1), clients: 0 });
  expect(messages).toBeGreaterThan(9_900);
  expect(commits).toBeLessThan((RUN_MS / SPACING_MS) * 1.2);
  expect(worstMs).toBeLessThan(SPACING_MS + 2 * COMMIT_MS);
});

test("clients that wait for each answer lose next to nothing to the search for others", () => {
  const { commits } = run({ arrivals: [], clients: 8 });
  const undisturbed = RUN_MS / COMMIT_MS;
  expect(commits).toBeGreaterThan(undisturbed * 0.98);
  expect(commits).toBeLessThan(undisturbed);
});

test("few messages beside many that wait for answers hold none of these up", () => {
  const { commits } = run({ arrivals: every(10), clients: 8 });
  expect(commits).toBeGreaterThan((RUN_MS / COMMIT_MS) * 0.98);
});

test("a message after a pause is committed at once", () => {
  const { commits, worstMs } = run({ arrivals: every(50), clients: 0 });
  expect(commits).toBe(RUN_MS / 50);
  expect(worstMs).toBeLessThanOrEqual(COMMIT_MS);
});

test("a message that would wait alone is committed at once, also right after a commit of something else", () => {
  const pace = new CommitPace();
  const waits: number[] = [];
  for (let nowMs = 0; nowMs < RUN_MS; nowMs += 100) {
    pace.started(nowMs); // a change that somebody made
    pace.arrived(nowMs + 5);
    waits.push(pace.waitMs(nowMs + 5));
    pace.started(nowMs + 5 + (waits.at(-1) ?? 0));
  }
  // What is left is the search for others, ever more seldom.
  expect(waits.filter((waitMs) => waitMs > 0).length).toBeLessThan(8);
  expect(pace.isSpaced).toBe(false);
});

test("a site that turns from readings to clients that wait is soon as fast as before", () => {
  const pace = new CommitPace();
  let nowMs = 0;
  for (; nowMs < 2_000; nowMs += 1) {
    pace.arrived(nowMs);
    if (pace.waitMs(nowMs) === 0) pace.started(nowMs);
  }
  expect(pace.isSpaced).toBe(true);
  const commitForClients = (): void => {
    nowMs += pace.waitMs(nowMs);
    pace.started(nowMs);
    nowMs += COMMIT_MS;
    pace.answered(nowMs);
    for (let client = 0; client < 8; client += 1) pace.arrived(nowMs);
  };
  for (let commit = 0; commit < 10; commit += 1) commitForClients();
  expect(pace.isSpaced).toBe(false);
});
