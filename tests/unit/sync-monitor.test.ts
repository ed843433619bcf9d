import { describe, expect, test } from "bun:test";
import type { LinkStatus } from "../../edge/sync/link.ts";
import { createSyncMonitor, type Backlog } from "../../edge/sync/sync-monitor.ts";
import type { EdgeReport, ThinnedKey } from "../../shared/sync/edge-report.ts";
import { createVirtualClock, settle } from "./virtual-clock.ts";

const LIVE: LinkStatus = {
  state: "live",
  reason: null,
  sinceMs: 0,
  session: 7,
  clockSkewMs: 0,
  sentSeq: { config: 0, telemetry: 0 },
  inFlight: { config: [], telemetry: [] },
  nextAttemptMs: null,
  ackWaitMs: null,
};
const EMPTY = { backlogItems: 0, backlogBytes: 0, oldestUnsentMs: null };

function createMonitor() {
  const clock = createVirtualClock();
  const world = {
    link: LIVE as LinkStatus | null,
    backlog: { lanes: { config: EMPTY, telemetry: EMPTY }, parked: { config: 0, telemetry: 0 } } as Backlog,
    isDatabaseReady: true,
    looks: 0,
    thinned: [] as readonly ThinnedKey[],
  };
  const reports: EdgeReport[] = [];
  const monitor = createSyncMonitor(
    {
      link: () => world.link,
      outbox: async () => {
        world.looks += 1;
        return world.backlog;
      },
      written: () => JSON.stringify(world.backlog),
      isDatabaseReady: () => world.isDatabaseReady,
      report: (report) => void reports.push(report),
      thinned: () => world.thinned,
      clock,
    },
    { clockSkewMaxMs: 5_000 },
  );
  return { clock, monitor, reports, world };
}

async function withRunning(body: (running: ReturnType<typeof createMonitor>) => Promise<void>): Promise<void> {
  const running = createMonitor();
  const stop = new AbortController();
  const done = running.monitor.run(stop.signal);
  await settle();
  await body(running);
  stop.abort(new Error("The test is over"));
  await done;
  expect(running.clock.sleepers()).toBe(0);
}

describe("createSyncMonitor()", () => {
  test("tells of thinned keys, and of new counts once a minute", () =>
    withRunning(async ({ clock, reports, world }) => {
      const key = { key: "t", came: 10, sent: 1, cameBytes: 100, sentBytes: 10 };
      world.thinned = [key];
      for (let second = 0; second < 75; second += 1) await clock.advance(1_000);
      expect(reports.at(-1)?.thinned).toEqual([key]);
      const before = reports.length;
      world.thinned = [{ ...key, came: 20 }];
      for (let second = 0; second < 30; second += 1) await clock.advance(1_000);
      expect(reports.length).toBe(before);
      for (let second = 0; second < 40; second += 1) await clock.advance(1_000);
      expect(reports.at(-1)?.thinned).toMatchObject([{ came: 20 }]);
    }));

  test("tells since when a state holds, and when all was well last", async () => {
    const { clock, monitor, world } = createMonitor();
    const startMs = clock.nowMs();
    expect(await monitor.observe()).toMatchObject({ state: "IN_SYNC", sinceMs: startMs, lastInSyncMs: startMs });
    await clock.advance(5_000);
    const reason = { code: "LINK_DOWN", text: "cut" };
    world.link = { ...LIVE, state: "waiting", reason, nextAttemptMs: startMs + 9_000 };
    const cut = { state: "LINK_DOWN", sinceMs: startMs + 5_000, lastInSyncMs: startMs, nextAttemptMs: startMs + 9_000 };
    expect(await monitor.observe()).toMatchObject(cut);
    await clock.advance(1_000);
    world.link = { ...world.link, state: "connecting", nextAttemptMs: null };
    expect(await monitor.observe()).toMatchObject({ ...cut, nextAttemptMs: null });
  });

  test("does not ask a database that is down", async () => {
    const { monitor, world } = createMonitor();
    world.isDatabaseReady = false;
    expect(await monitor.observe()).toMatchObject({ state: "DATABASE_DOWN" });
  });

  test("reports at once in a new session, and then only what changed, every 10 s at most", async () => {
    await withRunning(async ({ clock, reports, world }) => {
      expect(reports).toMatchObject([{ state: "IN_SYNC", parkedItems: 0, lanes: [{ items: 0 }, { items: 0 }] }]);
      await clock.advance(60_000);
      expect(reports).toHaveLength(1);
      world.backlog = { ...world.backlog, parked: { config: 3, telemetry: 0 } };
      await clock.advance(11_000);
      expect(reports[1]).toMatchObject({ state: "PARKED_ITEMS", parkedItems: 3 });
      for (let parked = 4; parked < 100; parked += 1) {
        world.backlog = { ...world.backlog, parked: { config: 0, telemetry: parked } };
        await clock.advance(500);
      }
      expect(reports.length).toBeLessThanOrEqual(2 + 5);
    });
  });

  test("leaves the database alone while nothing waits and nothing is written, and looks again in a new session", async () => {
    await withRunning(async ({ clock, monitor, world }) => {
      expect(world.looks).toBe(1);
      await clock.advance(60_000);
      expect(world.looks).toBe(1);
      monitor.wake();
      await clock.advance(1_000);
      expect(world.looks).toBe(2);
      world.backlog = {
        ...world.backlog,
        lanes: { config: { backlogItems: 1, backlogBytes: 9, oldestUnsentMs: 0 }, telemetry: EMPTY },
      };
      await clock.advance(60_000);
      expect(world.looks).toBeGreaterThan(5);
    });
  });

  test("reports nothing without a session, and everything anew in the next one", async () => {
    await withRunning(async ({ clock, monitor, reports, world }) => {
      world.link = { ...LIVE, state: "waiting", reason: { code: "LINK_DOWN", text: "cut" } };
      world.backlog = { ...world.backlog, parked: { config: 1, telemetry: 0 } };
      monitor.wake();
      await clock.advance(12_000);
      expect(reports).toHaveLength(1);
      world.link = { ...LIVE, session: 8 };
      world.backlog = { ...world.backlog, parked: { config: 0, telemetry: 0 } };
      monitor.wake();
      await clock.advance(1_000);
      expect(reports).toHaveLength(2);
    });
  });

  test("leaves out what is always under way while devices send", async () => {
    await withRunning(async ({ clock, reports, world }) => {
      const telemetry = { backlogItems: 50, backlogBytes: 700, oldestUnsentMs: clock.nowMs() + 10_500 };
      world.backlog = { ...world.backlog, lanes: { config: EMPTY, telemetry } };
      await clock.advance(11_000);
      expect(reports).toHaveLength(1);
      await clock.advance(11_000);
      const waiting = { lane: "telemetry", items: 50, bytes: 700, oldestMs: telemetry.oldestUnsentMs };
      expect(reports[1]).toMatchObject({ state: "SENDING", lanes: [{ items: 0 }, waiting] });
    });
  });
});
