import { expect, test } from "bun:test";
import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { silentLog } from "../../shared/observe/log.ts";
import { createDataWatch, type DataWatchDeps, type News } from "../../shared/rest/live/data-watch.ts";
import { createLiveSession, type LiveSession } from "../../shared/rest/live/live-session.ts";
import type { LatestRow } from "../../shared/store/live-data.ts";
import { createVirtualClock, settle } from "./virtual-clock.ts";

const ID = "0190a000-0000-7000-8000-000000000001" as Uuid;
const PRINCIPAL = { userId: ID, tenantId: ID, customerId: null, authority: "TENANT_ADMIN", sessionId: null } as const;
const refresh = (): Promise<void> => Promise.resolve();
const TOKEN = { scheme: "bearer", value: "t" };

function openSession(execute: (session: LiveSession) => Promise<void> = () => Promise.resolve()) {
  const clock = createVirtualClock();
  const socket = { buffered: 0, sent: [] as string[], closed: null as string | null, ended: 0 };
  const session = createLiveSession(
    {
      socket: {
        send: (text) => void socket.sent.push(text),
        bufferedBytes: () => socket.buffered,
        close: (code, reason) => {
          socket.closed ??= `${code} ${reason}`;
        },
      },
      authenticate: () => Promise.resolve(PRINCIPAL),
      execute,
      sleep: (delayMs, signal) => clock.sleep(delayMs, signal),
      onClose: () => {
        socket.ended += 1;
      },
    },
    TOKEN,
  );
  return { session, socket };
}

test("createLiveSession() cuts off who does not take what was sent, says why, and ends its subscriptions once", async () => {
  const { session, socket } = openSession();
  let stopped = 0;
  const stop = (): void => {
    stopped += 1;
  };
  session.subscribe(1, { stop, refresh });
  socket.buffered = 4 * 1_048_576;
  expect(session.send("a")).toBe(true);
  socket.buffered += 1;
  expect(session.send("b")).toBe(false);
  session.onClose();
  expect(session.send("c")).toBe(false);
  expect([socket.sent, socket.closed, stopped, socket.ended]).toEqual([
    ["a"],
    "1008 Too slow: more than 4194304 bytes wait to be read",
    1,
    1,
  ]);
});

test("createLiveSession() ends who sends more commands than are carried out", async () => {
  const never = new Promise<void>(() => undefined);
  const { session, socket } = openSession(() => never);
  const cmds = Array.from({ length: 300 }, (_, cmdId) => ({ type: "X", cmdId }));
  for (let message = 0; message < 4; message += 1) session.onMessage(JSON.stringify({ cmds }));
  await settle();
  expect(socket.closed).toBe("1008 Too many commands wait: at most 1000 are allowed");
});

test("createLiveSession() carries commands out one after the other, in order", async () => {
  const done: number[] = [];
  const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let next = 0;
  const { session } = openSession(async () => {
    const number = next;
    next += 1;
    await gates[number]?.promise;
    done.push(number);
  });
  session.onMessage('{"cmds":[{"type":"X","cmdId":1}]}');
  session.onMessage('{"cmds":[{"type":"X","cmdId":2}]}');
  gates[1]?.resolve();
  await settle();
  expect(done).toEqual([]);
  gates[0]?.resolve();
  await settle();
  expect(done).toEqual([0, 1]);
});

test("createLiveSession() replaces a subscription of the same number, and refuses the 1,001st", () => {
  const { session } = openSession();
  const stopped: number[] = [];
  for (let cmdId = 0; cmdId < 1_000; cmdId += 1) session.subscribe(cmdId, { stop: () => stopped.push(cmdId), refresh });
  session.subscribe(5, { stop: () => undefined, refresh });
  expect(stopped).toEqual([5]);
  expect(() => session.subscribe(1_000, { stop: () => stopped.push(1_000), refresh })).toThrow(
    "At most 1000 subscriptions",
  );
  expect(stopped).toEqual([5, 1_000]);
});

function startWatch(deps: Partial<DataWatchDeps> = {}) {
  const clock = createVirtualClock();
  const rows: LatestRow[] = [];
  const looks: (readonly Uuid[])[] = [];
  let isAway = false;
  const watch = createDataWatch({
    readLatest: (ids) => {
      looks.push(ids);
      if (isAway) return Promise.reject(new AppError("DATABASE_UNAVAILABLE", "Away"));
      return Promise.resolve(rows.filter(({ entityId }) => ids.includes(entityId)));
    },
    readAttributes: () => Promise.resolve([]),
    clock,
    log: silentLog,
    ...deps,
  });
  const stop = new AbortController();
  const running = watch.run(stop.signal);
  return {
    clock,
    looks,
    rows,
    watch,
    setAway: (away: boolean) => {
      isAway = away;
    },
    async [Symbol.asyncDispose]() {
      stop.abort(new AppError("CANCELLED", "The test ends"));
      await running;
    },
  };
}

const row = (tsMs: number, value: string, entityId = ID): LatestRow =>
  ({ entityId, key: "a", tsMs, value }) as LatestRow;

test("createDataWatch() tells everything once and then what changed, each to all who watch, for one look", async () => {
  await using fixture = startWatch();
  const { clock, looks, rows, watch } = fixture;
  const told: string[] = [];
  const listen = (name: string) => (news: News) =>
    Promise.resolve(void told.push(`${name} ${news.latest.map(({ value }) => value).join()}`));
  rows.push(row(1, "10"));
  const stopFirst = watch.watch({ type: "DEVICE", id: ID }, listen("first"));
  await clock.advance(50);
  watch.watch({ type: "DEVICE", id: ID }, listen("second"));
  await clock.advance(500);
  expect(told.splice(0)).toEqual(["first 10", "second 10"]);
  rows[0] = row(2, "11");
  watch.wake([ID, "0190a000-0000-7000-8000-000000000009" as Uuid]);
  await settle();
  await clock.advance(50);
  expect(told.splice(0)).toEqual(["first 11", "second 11"]);
  stopFirst();
  rows[0] = row(2, "12");
  const before = looks.length;
  await clock.advance(500);
  expect([told, looks.length - before]).toEqual([["second 12"], 1]);
});

test("createDataWatch() finds without a word what others wrote, also after the database was away, and reads nothing for nobody", async () => {
  await using fixture = startWatch();
  const { clock, looks, rows, setAway, watch } = fixture;
  await clock.advance(10_000);
  expect(looks).toEqual([]);
  const told: number[] = [];
  const stop = watch.watch({ type: "DEVICE", id: ID }, ({ latest }) =>
    Promise.resolve(void told.push(...latest.map(({ tsMs }) => tsMs))),
  );
  setAway(true);
  await clock.advance(2_000);
  rows.push(row(5, "1"));
  setAway(false);
  await clock.advance(500);
  expect(told).toEqual([5]);
  stop();
  await clock.advance(500);
  const before = looks.length;
  await clock.advance(10_000);
  expect(looks.length).toBe(before);
});

test("createDataWatch() looks at 1,000 entities at a time, all of them in turn", async () => {
  await using fixture = startWatch();
  const { clock, looks, watch } = fixture;
  const idOf = (number: number) => `0190a000-0000-7000-8000-${String(number).padStart(12, "0")}` as Uuid;
  for (let number = 0; number < 2_500; number += 1) {
    watch.watch({ type: "DEVICE", id: idOf(number) }, () => Promise.resolve());
  }
  await settle();
  await clock.advance(200);
  expect(looks.slice(0, 3).map((ids) => ids.length)).toEqual([1_000, 1_000, 500]);
  expect(new Set(looks.slice(0, 3).flat()).size).toBe(2_500);
  looks.length = 0;
  await clock.advance(1_500);
  expect(new Set(looks.flat()).size).toBe(2_500);
});

test("createDataWatch() looks every 5 s at what it is told of, and at once after a word", async () => {
  const began: Uuid[] = [];
  await using fixture = startWatch({ isTold: () => true, onWatch: (id) => void began.push(id) });
  const { clock, looks, rows, watch } = fixture;
  const told: string[] = [];
  const listen = () => (news: News) => Promise.resolve(void told.push(...news.latest.map(({ value }) => value)));
  for (let time = 0; time < 2; time += 1) watch.watch({ type: "DEVICE", id: ID }, listen());
  expect([began, watch.watched()]).toEqual([[ID], [ID]]);
  await settle();
  await clock.advance(50);
  rows.push(row(1, "10"));
  looks.length = 0;
  await clock.advance(4_000);
  expect([looks, told]).toEqual([[], []]);
  await clock.advance(1_500);
  expect([looks.length, told]).toEqual([1, ["10", "10"]]);
  rows[0] = row(2, "11");
  watch.wake([ID]);
  await settle();
  await clock.advance(50);
  expect(told.slice(2)).toEqual(["11", "11"]);
});
