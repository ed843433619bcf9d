import { expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findProcesses } from "../../shared/postgres/leftovers.ts";
import {
  childrenOf,
  connectTo,
  createTestDir,
  kill,
  startChild,
  startServer,
  until,
  untilStatus,
} from "./postgres-support.ts";

test("startPostgresServer() recovers by itself when a backend is killed", async () => {
  await using dir = createTestDir();
  await using server = await startServer(join(dir.path, "data"));
  await using first = connectTo(server.connection, 1);
  await first.sql`create table kept (n int)`;
  await first.sql`insert into kept values (1)`;
  const [row] = await first.sql<{ pid: number }[]>`select pg_backend_pid() as pid`;
  const recovered = untilStatus(server, (status) => status.state === "ready");
  kill(row?.pid ?? 0, "SIGKILL");
  const states = (await recovered).map((status) => status.state);
  expect(states).toContain("recovering");
  expect(server.status().restarts).toBe(0);
  await using second = connectTo(server.connection, 1);
  expect(await second.sql`select n from kept`).toMatchObject([{ n: 1 }]);
});

test("startPostgresServer() starts the server again when its main process is killed", async () => {
  await using dir = createTestDir();
  await using server = await startServer(join(dir.path, "data"));
  await using first = connectTo(server.connection, 1);
  await first.sql`create table kept (n int)`;
  await first.sql`insert into kept values (2)`;
  const pid = server.status().pid ?? 0;
  const ready = untilStatus(server, (status) => status.state === "ready" && status.pid !== pid);
  kill(pid, "SIGKILL");
  const seen = await ready;
  expect(seen.map((status) => status.state)).toEqual(["restarting", "starting", "ready"]);
  expect(server.status()).toMatchObject({ restarts: 1, lastError: { code: "DATABASE_UNAVAILABLE" } });
  await using second = connectTo(server.connection, 1);
  expect(await second.sql`select n from kept`).toMatchObject([{ n: 2 }]);
});

test("startPostgresServer() ends a server that stopped answering and starts another", async () => {
  await using dir = createTestDir();
  await using server = await startServer(join(dir.path, "data"), { probeIntervalMs: 20, probeTimeoutMs: 150 });
  const pid = server.status().pid ?? 0;
  const ready = untilStatus(server, (status) => status.state === "ready" && status.pid !== pid);
  kill(pid, "SIGSTOP");
  await ready;
  expect(findProcesses(server.homeDir)).not.toContain(pid);
  expect(server.status().restarts).toBe(1);
});

test("startPostgresServer() takes over from a supervisor that was killed and left its server running", async () => {
  await using dir = createTestDir();
  const dataDir = join(dir.path, "data");
  await using child = startChild(dataDir);
  const { ready } = await child.report;
  if (ready === undefined) throw new Error("Expected a server");
  await using before = connectTo(ready.connection, 1);
  await before.sql`create table kept (n int)`;
  await before.sql`insert into kept values (3)`;
  await child.kill("SIGKILL");
  expect(findProcesses(ready.homeDir)).toContain(ready.serverPid);
  await using server = await startServer(dataDir);
  expect(findProcesses(server.homeDir)).not.toContain(ready.serverPid);
  await using after = connectTo(server.connection, 1);
  expect(await after.sql`select n from kept`).toMatchObject([{ n: 3 }]);
  // A fast shutdown of the orphan, not a crash.
  expect(readFileSync(join(server.homeDir, "server.log"), "utf8")).not.toContain("automatic recovery in progress");
});

test("startPostgresServer() starts after everything was killed, when postmaster.pid names an unrelated process", async () => {
  await using dir = createTestDir();
  const dataDir = join(dir.path, "data");
  await using child = startChild(dataDir);
  const { ready } = await child.report;
  if (ready === undefined) throw new Error("Expected a server");
  const { homeDir } = ready;
  await using before = connectTo(ready.connection, 1);
  await before.sql`create table kept (n int)`;
  await before.sql`insert into kept values (4)`;
  const killed = child.kill("SIGKILL");
  for (const pid of findProcesses(homeDir)) kill(pid, "SIGKILL");
  await killed;
  await until(() => findProcesses(homeDir).length === 0, "all to end");
  const pidFile = join(homeDir, "data/postmaster.pid");
  const unrelated = spawn("/bin/sleep", ["600"], { stdio: "ignore" });
  try {
    const lines = readFileSync(pidFile, "utf8").split("\n");
    writeFileSync(pidFile, [String(unrelated.pid), ...lines.slice(1)].join("\n"));
    writeFileSync(join(homeDir, "run/.s.PGSQL.5432.lock"), [String(unrelated.pid), ...lines.slice(1)].join("\n"));
    await using server = await startServer(dataDir);
    await using after = connectTo(server.connection, 1);
    expect(await after.sql`select n from kept`).toMatchObject([{ n: 4 }]);
    expect(unrelated.exitCode).toBeNull();
    expect(unrelated.signalCode).toBeNull();
  } finally {
    unrelated.kill("SIGKILL");
  }
});

test("startPostgresServer() ends children of a killed server that still hold its shared memory", async () => {
  await using dir = createTestDir();
  const dataDir = join(dir.path, "data");
  await using child = startChild(dataDir);
  const { ready } = await child.report;
  if (ready === undefined) throw new Error("Expected a server");
  const stuck = childrenOf(ready.homeDir, ready.serverPid)[0] ?? 0;
  // A stopped process can't notice that its parent is gone.
  kill(stuck, "SIGSTOP");
  await child.kill("SIGKILL");
  kill(ready.serverPid, "SIGKILL");
  await until(() => findProcesses(ready.homeDir).length === 1, "the other children to end");
  await using server = await startServer(dataDir);
  expect(findProcesses(server.homeDir)).not.toContain(stuck);
  expect(server.status().state).toBe("ready");
});

test("dispose() stops all processes, frees the directory and can be called twice", async () => {
  await using dir = createTestDir();
  const dataDir = join(dir.path, "data");
  const server = await startServer(dataDir);
  await using client = connectTo(server.connection, 1);
  await client.sql`select 1`;
  await Promise.all([server[Symbol.asyncDispose](), server[Symbol.asyncDispose]()]);
  expect(findProcesses(server.homeDir)).toEqual([]);
  expect(server.status()).toMatchObject({ state: "stopped", pid: undefined });
  await using again = await startServer(dataDir);
  expect(again.status().state).toBe("ready");
  expect(readFileSync(join(again.homeDir, "server.log"), "utf8")).not.toContain("automatic recovery in progress");
});

test("dispose() is quick while the server recovers from a crash", async () => {
  await using dir = createTestDir();
  const server = await startServer(join(dir.path, "data"));
  await using client = connectTo(server.connection, 1);
  const [row] = await client.sql<{ pid: number }[]>`select pg_backend_pid() as pid`;
  const recovering = untilStatus(server, (status) => status.state === "recovering");
  kill(row?.pid ?? 0, "SIGKILL");
  await recovering;
  const startMs = performance.now();
  await server[Symbol.asyncDispose]();
  expect(performance.now() - startMs).toBeLessThan(5000);
});
