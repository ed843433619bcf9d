import { expect, test } from "bun:test";
import { createLiveWords } from "../../cloud/sync/live-words.ts";
import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { silentLog as log } from "../../shared/observe/log.ts";
import { createVirtualClock, settle } from "./virtual-clock.ts";

const idOf = (number: number): Uuid => `0190a000-0000-7000-8000-${number.toString(16).padStart(12, "0")}` as Uuid; // made in the form of one
const HERE = idOf(1);
const THERE = idOf(2);

interface Word {
  readonly from: Uuid;
  readonly watch?: readonly Uuid[];
  readonly changed?: readonly Uuid[];
}

function start(watched: readonly Uuid[] = []) {
  const clock = createVirtualClock();
  const payloads: string[] = [];
  const heard: Uuid[] = [];
  const notify = (payload: string): Promise<void> => Promise.resolve(void payloads.push(payload));
  const hear = (ids: readonly Uuid[]): void => void heard.push(...ids);
  const words = createLiveWords({ replicaId: HERE, watched: () => watched, hear, notify, clock, log });
  const stop = new AbortController();
  const running = words.run(stop.signal);
  return {
    clock,
    heard,
    words,
    payloads,
    said: () => payloads.splice(0).map((payload) => JSON.parse(payload) as Word),
    pass: async (ms: number) => {
      await settle();
      await clock.advance(ms);
    },
    there: (word: Omit<Word, "from">) => words.receive(JSON.stringify({ from: THERE, ...word })),
    async [Symbol.asyncDispose]() {
      stop.abort(new AppError("CANCELLED", "The test ends"));
      await running;
    },
  };
}

test("wake() says nothing of what nobody watches elsewhere, and once what somebody does, until that lapses", async () => {
  await using fixture = start();
  const { pass, said, there, words } = fixture;
  words.wake([idOf(10)]);
  await pass(1_000);
  expect(said()).toEqual([]);
  there({ watch: [idOf(10), idOf(11)] });
  for (let time = 0; time < 100; time += 1) words.wake([idOf(10), idOf(12)]);
  await pass(50);
  expect(said()).toEqual([{ from: HERE, changed: [idOf(10)] }]);
  await pass(35_000);
  words.wake([idOf(10)]);
  await pass(1_000);
  expect(said()).toEqual([]);
});

test("watch() is said once for what comes together, and again every 10 s and after a loss, in payloads below 8,000 bytes", async () => {
  const many = Array.from({ length: 1_000 }, (_, index) => idOf(index));
  await using fixture = start(many);
  const { pass, payloads, said, words } = fixture;
  const first = said().length;
  for (const id of many) words.watch(id);
  await pass(50);
  expect(payloads.every((payload) => Buffer.byteLength(payload) < 8_000)).toBe(true);
  expect(payloads.length + first).toBeLessThanOrEqual(12);
  expect(new Set(said().flatMap(({ watch = [] }) => watch)).size).toBe(1_000);
  await pass(10_000);
  expect(new Set(said().flatMap(({ watch = [] }) => watch)).size).toBe(1_000);
  words.repeat();
  await pass(50);
  expect(said().flatMap(({ watch = [] }) => watch)).toHaveLength(1_000);
});

test("receive() hears what changed elsewhere, looks once at what the others know of now, and takes no nonsense", async () => {
  await using fixture = start();
  const { heard, there, words } = fixture;
  there({ changed: [idOf(20)] });
  words.receive(JSON.stringify({ from: HERE, watch: [idOf(21)], changed: [idOf(22)] }));
  for (const payload of ["{", "[]", JSON.stringify({ from: THERE, changed: ["no id"] })]) words.receive(payload);
  words.receive(JSON.stringify({ from: THERE, wake: [idOf(23)] }));
  expect(heard).toEqual([idOf(20), idOf(21)]);
});
