import { expect, test } from "bun:test";
import { linkSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { acquireDirectoryLock } from "../../shared/postgres/directory-lock.ts";
import { findProcesses } from "../../shared/postgres/leftovers.ts";
import { connectTo, createTestDir, failureOf, startChild, startServer } from "./postgres-support.ts";

test("startPostgresServer() lets exactly one of many processes win a new directory and refuses the others", async () => {
  await using dir = createTestDir();
  const dataDir = join(dir.path, "data");
  await using stack = new AsyncDisposableStack();
  const children = Array.from({ length: 6 }, () => stack.use(startChild(dataDir)));
  const reports = await Promise.all(children.map((child) => child.report));
  const winners = reports.flatMap((report) => report.ready ?? []);
  expect(winners).toHaveLength(1);
  expect(reports.flatMap((report) => report.error?.code ?? [])).toEqual(
    Array.from({ length: 5 }, () => "DATABASE_IN_USE"),
  );
  await using client = connectTo(winners[0]?.connection ?? { host: "", port: 0, user: "", database: "" });
  expect(await client.sql`select 1 as n`).toMatchObject([{ n: 1 }]);
});

test("startPostgresServer() lets exactly one of many processes take over an orphaned server", async () => {
  await using dir = createTestDir();
  const dataDir = join(dir.path, "data");
  await using first = startChild(dataDir);
  const { ready } = await first.report;
  await first.kill("SIGKILL");
  await using stack = new AsyncDisposableStack();
  const children = Array.from({ length: 5 }, () => stack.use(startChild(dataDir)));
  const reports = await Promise.all(children.map((child) => child.report));
  expect(reports.filter((report) => report.ready !== undefined)).toHaveLength(1);
  expect(reports.flatMap((report) => report.error?.code ?? [])).toEqual(
    Array.from({ length: 4 }, () => "DATABASE_IN_USE"),
  );
  expect(findProcesses(ready?.homeDir ?? "")).not.toContain(ready?.serverPid ?? 0);
});

test("startPostgresServer() names the process that uses the directory and does not disturb it", async () => {
  await using dir = createTestDir();
  const dataDir = join(dir.path, "data");
  await using child = startChild(dataDir);
  const { ready } = await child.report;
  const failure = await failureOf(startServer(dataDir));
  expect(failure.code).toBe("DATABASE_IN_USE");
  expect(failure.message).toContain(`process ${child.pid} `);
  expect(findProcesses(ready?.homeDir ?? "")).toContain(ready?.serverPid ?? 0);
  // Also while the holder can't answer.
  process.kill(child.pid, "SIGSTOP");
  expect((await failureOf(startServer(dataDir))).code).toBe("DATABASE_IN_USE");
});

test("acquireDirectoryLock() has one holder in every round of a crowd around dead locks", async () => {
  await using dir = createTestDir();
  const lockDir = join(dir.path, "lock");
  for (let round = 0; round < 40; round += 1) {
    await leaveDeadLock(lockDir);
    const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => acquireDirectoryLock(lockDir)));
    const held = outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
    expect(held).toHaveLength(1);
    for (const outcome of outcomes)
      if (outcome.status === "rejected") expect(outcome.reason).toMatchObject({ code: "DATABASE_IN_USE" });
    await held[0]?.release();
    expect(readdirSync(lockDir)).toHaveLength(1);
  }
});

test("acquireDirectoryLock() works in a directory whose path is longer than a socket address", async () => {
  await using dir = createTestDir();
  const lockDir = join(dir.path, "a".repeat(90), "b".repeat(90));
  mkdirSync(lockDir, { recursive: true });
  const lock = await acquireDirectoryLock(lockDir);
  expect((await failureOf(acquireDirectoryLock(lockDir))).code).toBe("DATABASE_IN_USE");
  await lock.release();
  await (await acquireDirectoryLock(lockDir)).release();
});

/** What a killed holder leaves: the file of a socket that nobody listens on. */
async function leaveDeadLock(lockDir: string): Promise<void> {
  mkdirSync(lockDir, { recursive: true });
  const numbers = readdirSync(lockDir).map((name: string) => Number(name.replace("lock-", "")));
  const server = createServer();
  const path = join(lockDir, ".dead");
  await new Promise<void>((resolve) => server.listen(path, () => resolve()));
  linkSync(path, join(lockDir, `lock-${Math.max(0, ...numbers) + 1}`));
  await new Promise<void>((resolve) => server.close(() => resolve()));
  rmSync(path, { force: true });
}
