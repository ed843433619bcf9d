import { describe, expect, test } from "bun:test";
import { AppError } from "../../shared/core/errors.ts";
import { repeat, runTasks, untilAborted } from "../../shared/core/lifecycle.ts";

describe("runTasks()", () => {
  const untilStopped = async (signal: AbortSignal, log: string[], name: string): Promise<void> => {
    await untilAborted(signal);
    log.push(name);
  };

  test("runs until the drain, and lets every part finish", async () => {
    const drain = new AbortController();
    const log: string[] = [];
    const running = runTasks(
      { a: (signal) => untilStopped(signal, log, "a"), b: (signal) => untilStopped(signal, log, "b") },
      drain.signal,
    );
    drain.abort();
    await running;
    expect(log).toEqual(["a", "b"]);
  });

  test("stops the others when a part fails, and throws what it threw", async () => {
    const log: string[] = [];
    const running = runTasks(
      {
        a: (signal) => untilStopped(signal, log, "a"),
        b: () => Promise.reject(new AppError("DISK_FULL", "No room")),
      },
      new AbortController().signal,
    );
    await expect(running).rejects.toMatchObject({ code: "DISK_FULL" });
    expect(log).toEqual(["a"]);
  });

  test("takes a part that ends by itself for a failure", async () => {
    const running = runTasks({ a: () => Promise.resolve() }, new AbortController().signal);
    await expect(running).rejects.toThrow("Part a ended by itself");
  });

  test("takes the reason of the drain, thrown by a part, for its end", async () => {
    const drain = new AbortController();
    const running = runTasks(
      {
        a: async (signal) => {
          await untilAborted(signal);
          signal.throwIfAborted();
        },
      },
      drain.signal,
    );
    drain.abort(new AppError("CANCELLED", "Stopping"));
    await running;
  });
});

test("repeat() waits before each round, goes on after one that fails, and ends with the signal", async () => {
  const abort = new AbortController();
  const log: string[] = [];
  let rounds = 0;
  await repeat(
    async () => {
      rounds += 1;
      log.push(`round ${rounds}`);
      if (rounds === 1) throw new AppError("DATABASE_UNAVAILABLE", "gone");
    },
    {
      intervalMs: 10,
      sleep: async (delayMs) => {
        log.push(`sleep ${delayMs}`);
        if (rounds === 2) abort.abort();
      },
      onError: (error) => log.push(AppError.from(error).message),
    },
    abort.signal,
  );
  expect(log).toEqual(["sleep 10", "round 1", "gone", "sleep 10", "round 2", "sleep 10"]);
});
