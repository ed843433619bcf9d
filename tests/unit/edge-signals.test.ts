import { expect, test } from "bun:test";
import { createEdgeSignals, type EdgeSignals } from "../../cloud/sync/edge-signals.ts";
import { createLiveSessions, type LiveSessions } from "../../cloud/sync/live-sessions.ts";
import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { silentLog } from "../../shared/observe/log.ts";
import { createMetrics, type Metrics } from "../../shared/observe/metrics.ts";
import { createFakeSession } from "../support/fake-session.ts";
import { createVirtualClock, settle } from "./virtual-clock.ts";

const HERE = "0190a000-0000-7000-8000-0000000000f1" as Uuid;
const THERE = "0190a000-0000-7000-8000-0000000000f2" as Uuid;

const edgeOf = (number: number): Uuid => `0190a000-0000-7000-8000-${number.toString(16).padStart(12, "0")}` as Uuid; // made in the form of one

interface Word {
  readonly from: Uuid;
  readonly wake?: readonly Uuid[];
  readonly end?: readonly { readonly edgeId: Uuid; readonly fence: number; readonly code: string }[];
}

interface Fixture extends AsyncDisposable {
  readonly live: LiveSessions;
  readonly metrics: Metrics;
  readonly signals: EdgeSignals;
  readonly payloads: string[];
  words(): Word[];
  /** Lets what was begun reach its sleep, and time pass. */
  pass(ms: number): Promise<void>;
  /** The next sends wait for the promise. */
  holdSends(until: Promise<void>): void;
  stop(): Promise<void>;
}

function startSignals(): Fixture {
  const clock = createVirtualClock();
  const live = createLiveSessions();
  const metrics = createMetrics();
  const payloads: string[] = [];
  let until = Promise.resolve();
  const notify = async (payload: string): Promise<void> => {
    payloads.push(payload);
    await until;
  };
  const signals = createEdgeSignals({ replicaId: HERE, live, notify, clock, metrics, log: silentLog });
  const stopping = new AbortController();
  const running = signals.run(stopping.signal);
  const stop = async (): Promise<void> => {
    stopping.abort(new AppError("CANCELLED", "The test ends"));
    await running;
  };
  return {
    live,
    metrics,
    signals,
    payloads,
    pass: async (ms) => {
      await settle();
      await clock.advance(ms);
    },
    words: () => payloads.map((payload) => JSON.parse(payload) as Word),
    holdSends: (promise) => {
      until = promise;
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

async function countWakes({ metrics }: Fixture, source: string): Promise<number> {
  const line = new RegExp(`^skerry_downlink_wakes_total{source="${source}"} (\\d+)$`, "m").exec(await metrics.render());
  return Number(line?.[1] ?? 0);
}

test("wake() wakes a session of this process at once and tells nobody", async () => {
  await using fixture = startSignals();
  const session = createFakeSession();
  fixture.live.add(edgeOf(1), 1, session);
  fixture.signals.wake([edgeOf(1)]);
  expect(session.wakes).toBe(1);
  await fixture.pass(1_000);
  expect(fixture.payloads).toEqual([]);
  expect(await countWakes(fixture, "commit")).toBe(1);
});

test("wake() gathers edges of others for 5 ms and sends each once", async () => {
  await using fixture = startSignals();
  fixture.signals.wake([edgeOf(1)]);
  await fixture.pass(4);
  fixture.signals.wake([edgeOf(2), edgeOf(1)]);
  expect(fixture.payloads).toEqual([]);
  await fixture.pass(1);
  expect(fixture.words()).toEqual([{ from: HERE, wake: [edgeOf(1), edgeOf(2)] }]);
  await fixture.pass(1_000);
  expect(fixture.payloads).toHaveLength(1);
});

test("wake() during a send goes out with the next one", async () => {
  await using fixture = startSignals();
  const sent = Promise.withResolvers<void>();
  fixture.holdSends(sent.promise);
  fixture.signals.wake([edgeOf(1)]);
  await fixture.pass(5);
  fixture.signals.wake([edgeOf(2)]);
  fixture.signals.wake([edgeOf(3)]);
  await fixture.pass(100);
  expect(fixture.payloads).toHaveLength(1);
  sent.resolve();
  await fixture.pass(5);
  expect(fixture.words()[1]?.wake).toEqual([edgeOf(2), edgeOf(3)]);
});

test("run() cuts what is much into payloads that PostgreSQL takes", async () => {
  await using fixture = startSignals();
  const edges = Array.from({ length: 1_000 }, (_, index) => edgeOf(index));
  fixture.signals.wake(edges);
  for (const edgeId of edges.slice(0, 40)) {
    fixture.signals.end({ edgeId, fence: Number.MAX_SAFE_INTEGER, code: "UNAUTHENTICATED" });
  }
  await fixture.pass(5);
  expect(fixture.words().flatMap((word) => word.wake ?? [])).toEqual(edges);
  expect(fixture.words().flatMap((word) => word.end ?? [])).toHaveLength(40);
  expect(fixture.payloads).toHaveLength(7);
  expect(Math.max(...fixture.payloads.map((payload) => Buffer.byteLength(payload)))).toBeLessThan(8_000);
});

test("wake() drops what is beyond 10,000 edges, which the poll finds", async () => {
  await using fixture = startSignals();
  fixture.signals.wake(Array.from({ length: 12_000 }, (_, index) => edgeOf(index)));
  await fixture.pass(5);
  await fixture.stop();
  expect(fixture.words().flatMap((word) => word.wake ?? [])).toHaveLength(10_000);
});

test("run() goes on after a word that could not be sent", async () => {
  await using fixture = startSignals();
  const failing = Promise.reject(new AppError("DATABASE_UNAVAILABLE", "Away"));
  failing.catch(() => undefined);
  fixture.holdSends(failing);
  fixture.signals.wake([edgeOf(1)]);
  await fixture.pass(5);
  fixture.holdSends(Promise.resolve());
  fixture.signals.wake([edgeOf(2)]);
  await fixture.pass(5);
  expect(fixture.words().at(-1)?.wake).toEqual([edgeOf(2)]);
});

test("run() sends what waits before it ends", async () => {
  await using fixture = startSignals();
  fixture.signals.wake([edgeOf(1)]);
  await settle();
  await fixture.stop();
  expect(fixture.words()).toEqual([{ from: HERE, wake: [edgeOf(1)] }]);
});

test("end() ends the session here at once and tells the others", async () => {
  await using fixture = startSignals();
  const session = createFakeSession();
  fixture.live.add(edgeOf(1), 1, session);
  const ending = { edgeId: edgeOf(1), fence: 2, code: "UNAUTHENTICATED" } as const;
  fixture.signals.end(ending);
  expect(session.stopped).toMatchObject({ code: "UNAUTHENTICATED", text: "Key or secret of the edge were changed" });
  await fixture.pass(5);
  expect(fixture.words()).toEqual([{ from: HERE, end: [ending] }]);
});

test("receive() does what another replica says, and nothing of its own or of what it does not understand", async () => {
  await using fixture = startSignals();
  const [woken, ended] = [createFakeSession(), createFakeSession()];
  fixture.live.add(edgeOf(1), 1, woken);
  fixture.live.add(edgeOf(2), 1, ended);
  const word = {
    wake: [edgeOf(1), edgeOf(3)],
    end: [{ edgeId: edgeOf(2), fence: 2, code: "SESSION_FENCED" }],
  };
  const foreign = { from: THERE, end: [{ edgeId: edgeOf(2), fence: 2, code: "toString" }] };
  for (const payload of [
    { from: HERE, ...word },
    foreign,
    { wake: word.wake },
    { from: THERE, wake: ["1"] },
    1,
    null,
  ]) {
    fixture.signals.receive(JSON.stringify(payload));
  }
  fixture.signals.receive("{");
  expect([woken.wakes, ended.stopped]).toEqual([0, null]);
  fixture.signals.receive(JSON.stringify({ from: THERE, ...word, later: { version: 2 } }));
  expect([woken.wakes, ended.stopped?.code]).toEqual([1, "SESSION_FENCED"]);
  await fixture.pass(1_000);
  expect(fixture.payloads).toEqual([]);
  expect(await countWakes(fixture, "notify")).toBe(1);
});
