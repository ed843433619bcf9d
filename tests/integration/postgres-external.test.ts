import { expect, test } from "bun:test";
import { join } from "node:path";
import { createSeededRandom } from "../../shared/core/random.ts";
import { silentLog } from "../../shared/observe/log.ts";
import type { Database } from "../../shared/postgres/database.ts";
import { openExternalDatabase } from "../../shared/postgres/external.ts";
import type { PostgresServer } from "../../shared/postgres/server.ts";
import { systemClock } from "../../shared/runtime/system-clock.ts";
import { connectTo, createTestDir, failureOf, startServer, untilStatus } from "./postgres-support.ts";

function openExternal(url: string, exclusive = true): Promise<Database> {
  return openExternalDatabase(
    { clock: systemClock, log: silentLog, random: createSeededRandom(1) },
    { url, exclusive, connectTimeoutMs: 2000 },
  );
}

function urlOf(server: PostgresServer, database = "postgres"): string {
  return `postgres://skerry:s3cret@/${database}?host=${encodeURIComponent(server.connection.host)}`;
}

test("openExternalDatabase() opens a server by DATABASE_URL and refuses a second edge on it, not a second cloud", async () => {
  await using dir = createTestDir();
  await using server = await startServer(join(dir.path, "data"));
  {
    await using edge = await openExternal(urlOf(server));
    await using client = connectTo(edge.connection);
    expect(await client.sql`select 1 as n`).toMatchObject([{ n: 1 }]);
    const failure = await failureOf(openExternal(urlOf(server)));
    expect(failure.code).toBe("DATABASE_IN_USE");
    expect(failure.message).not.toContain("s3cret");
    expect(edge.status()).toMatchObject({ kind: "external", state: "ready" });
  }
  await using first = await openExternal(urlOf(server), false);
  await using second = await openExternal(urlOf(server), false);
  expect([first.status().state, second.status().state]).toEqual(["ready", "ready"]);
});

test("openExternalDatabase() takes its lock again after the server restarted", async () => {
  await using dir = createTestDir();
  await using server = await startServer(join(dir.path, "data"));
  await using edge = await openExternal(urlOf(server));
  const back = untilStatus(edge, (status) => status.state === "ready");
  process.kill(server.status().pid ?? 0, "SIGKILL");
  expect((await back)[0]?.state).toBe("restarting");
  expect((await failureOf(openExternal(urlOf(server)))).code).toBe("DATABASE_IN_USE");
});

test("openExternalDatabase() is lost when another program took the lock meanwhile", async () => {
  await using dir = createTestDir();
  await using server = await startServer(join(dir.path, "data"));
  await using edge = await openExternal(urlOf(server));
  await using thief = connectTo(server.connection, 1);
  const lost = untilStatus(edge, (status) => status.state === "lost");
  // In one statement the thief waits for the lock and ends the session that holds it.
  const [holder] = await thief.sql<{ pid: number; key: string }[]>`
    select pid, (classid::int8 << 32 | objid::int8)::text as key from pg_locks where locktype = 'advisory' and granted`;
  const stealing = thief.sql`select pg_advisory_lock(${holder?.key ?? "0"}::text::int8)`.execute();
  await using admin = connectTo(server.connection, 1);
  for (;;) {
    const waiting = await admin.sql`select 1 from pg_locks where locktype = 'advisory' and not granted`;
    if (waiting.length > 0) break;
  }
  await admin.sql`select pg_terminate_backend(${holder?.pid ?? 0})`;
  await stealing;
  await lost;
  expect(edge.status().lastError?.code).toBe("DATABASE_IN_USE");
});

test("openExternalDatabase() says what is wrong without the password", async () => {
  await using dir = createTestDir();
  await using server = await startServer(join(dir.path, "data"));
  const missing = await failureOf(openExternal(urlOf(server, "nothing")));
  expect(missing.code).toBe("DATABASE_UNAVAILABLE");
  expect(missing.message).toContain("nothing");
  const unreachable = await failureOf(openExternal("postgres://skerry:s3cret@/x?host=/nonexistent"));
  expect(unreachable.code).toBe("DATABASE_UNAVAILABLE");
  const invalid = await failureOf(openExternal("mysql://skerry:s3cret@host/x"));
  expect(invalid.code).toBe("CONFIG_INVALID");
  for (const failure of [missing, unreachable, invalid]) expect(failure.message).not.toContain("s3cret");
});
