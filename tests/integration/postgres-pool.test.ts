import { heapStats } from "bun:jsc";
import { expect, test } from "bun:test";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { MIGRATIONS } from "../../drizzle/edge.gen.ts";
import { openEdgeStores } from "../../edge/store/edge-stores.ts";
import { AppError } from "../../shared/core/errors.ts";
import { createSha256 } from "../../shared/core/hash.ts";
import { createUuid } from "../../shared/core/ids.ts";
import type { CanonicalJson } from "../../shared/entities/telemetry.ts";
import { silentLog } from "../../shared/observe/log.ts";
import type { Sql, TransactionSql } from "../../shared/postgres/connect.ts";
import { openExternalDatabase } from "../../shared/postgres/external.ts";
import { openPool, type Pool } from "../../shared/postgres/pool.ts";
import { openScriptSandbox } from "../../shared/runtime/script-sandbox.ts";
import { systemClock } from "../../shared/runtime/system-clock.ts";
import { systemRandom } from "../../shared/runtime/system-random.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import {
  connectTo,
  createTestDir,
  failureOf,
  kill,
  startServer,
  untilStatus,
  type TestSql,
} from "./postgres-support.ts";

type Server = Awaited<ReturnType<typeof startServer>>;

async function killServer(server: Server): Promise<void> {
  const pid = server.status().pid ?? 0;
  const back = untilStatus(server, (status) => status.state === "ready" && status.pid !== pid);
  kill(pid, "SIGKILL");
  await back;
}

test("openPool() ends a transaction whose connection is lost between two statements, and works again", async () => {
  await using dir = createTestDir();
  await using server = await startServer(join(dir.path, "data"));
  await using pool = openPool(server, { applicationName: "test", max: 1 }, silentLog);
  for (let round = 1; round <= 3; round += 1) {
    const back = Promise.withResolvers<undefined>();
    const outcome = pool.sql
      .begin(async (tx) => {
        await tx`select 1`;
        await killServer(server);
        back.resolve(undefined);
        await tx`select 2`;
      })
      .then(
        () => "committed",
        () => "failed",
      );
    expect(await outcome).toBe("failed");
    await back.promise;
    expect(await pool.sql`select ${round}::int8 as round`).toMatchObject([{ round }]);
  }
});

test("openPool() keeps nothing of a transaction that has ended", async () => {
  await using dir = createTestDir();
  await using server = await startServer(join(dir.path, "data"));
  await using pool = openPool(server, { applicationName: "test", max: 1 }, silentLog);
  const countPromises = (): number => {
    Bun.gc(true);
    return heapStats().objectTypeCounts["Promise"] ?? 0;
  };
  const runMany = async (): Promise<void> => {
    for (let round = 0; round < 500; round += 1) await pool.sql.begin((tx) => tx`select 1`);
  };
  await runMany();
  const before = countPromises();
  await runMany();
  expect(countPromises() - before).toBeLessThan(100);
});

test("openPool() closes a connection that nothing uses, and opens it for the next transaction", async () => {
  await using dir = createTestDir();
  await using server = await startServer(join(dir.path, "data"));
  let closed = Promise.withResolvers<void>();
  const options = { applicationName: "test", max: 1, idleTimeoutMs: 10, onClose: () => closed.resolve() };
  await using pool = openPool(server, options, silentLog);
  for (let round = 1; round <= 20; round += 1) {
    closed = Promise.withResolvers<void>();
    const rows = await pool.sql.begin(async (tx) => {
      await tx`select 1`;
      return await tx`select ${round}::int8 as round`;
    });
    expect(rows).toMatchObject([{ round }]);
    await closed.promise;
  }
});

/** A pool that nobody tells of a loss. */
function openUntoldPool({ connection }: Server, max = 1): Pool {
  const database = { connection, subscribe: () => () => undefined };
  return openPool(database, { applicationName: "test", max, arrays: false }, silentLog);
}

async function terminate(admin: TestSql, sql: Sql | TransactionSql): Promise<void> {
  const [row] = await sql<{ pid: number }[]>`select pg_backend_pid() as pid`;
  await admin.sql`select pg_terminate_backend(${row?.pid ?? 0})`;
}

test("openPool() works on after a connection was lost between two statements, whoever noticed it first", async () => {
  await using dir = createTestDir();
  await using server = await startServer(join(dir.path, "data"));
  await using admin = connectTo(server.connection);
  await using pool = openUntoldPool(server);
  for (let round = 1; round <= 6; round += 1) {
    const failure = await failureOf(
      pool.sql.begin(async (tx) => {
        await terminate(admin, tx);
        // The end of the connection arrives before, with or after the next statement is written.
        for (let turn = 0; turn < round - 1; turn += 1) await new Promise(setImmediate);
        await tx`select 2`;
      }),
    );
    expect(["CONNECTION_CLOSED", "57P01", "ECONNRESET", "EPIPE"]).toContain(failure.code);
    expect(await pool.sql`select ${round}::int8 as round`).toMatchObject([{ round }]);
  }
});

test("openPool() never lets a transaction that lost its connection touch the next one on it", async () => {
  await using dir = createTestDir();
  await using server = await startServer(join(dir.path, "data"));
  await using admin = connectTo(server.connection);
  await using pool = openUntoldPool(server);
  await admin.sql`create table written (by text)`;
  const reused = Promise.withResolvers<undefined>();
  const late = Promise.withResolvers<undefined>();
  const dead = pool.sql.begin(async (tx) => {
    await terminate(admin, tx);
    await reused.promise;
    await tx`insert into written values ('dead')`.catch(() => undefined);
    late.resolve(undefined);
  });
  await failureOf(dead);
  await pool.sql.begin(async (tx) => {
    await tx`insert into written values ('alive')`;
    reused.resolve(undefined);
    await late.promise;
    await tx`insert into written values ('alive')`;
  });
  expect(await admin.sql`select by from written`).toMatchObject([{ by: "alive" }, { by: "alive" }]);
});

test("openPool() answers the statement after a loss with its own rows and none of the lost one's", async () => {
  await using dir = createTestDir();
  await using server = await startServer(join(dir.path, "data"));
  await using admin = connectTo(server.connection);
  await using pool = openUntoldPool(server);
  const [row] = await pool.sql<{ pid: number }[]>`select pg_backend_pid() as pid`;
  const sleeping = failureOf(
    pool.sql`select n, pg_sleep(case n when 3000 then 30 end) from generate_series(1, 3000) n`,
  );
  for (;;) {
    const [busy] =
      await admin.sql`select 1 from pg_stat_activity where pid = ${row?.pid ?? 0} and wait_event = 'PgSleep'`;
    if (busy !== undefined) break;
  }
  await admin.sql`select pg_terminate_backend(${row?.pid ?? 0})`;
  await sleeping;
  expect([...(await pool.sql`select 7 as n`)]).toEqual([{ n: 7 }]);
});

test("openPool() fails its first statement when the server hangs up on it", async () => {
  await using listener = createServer((socket) => socket.resume().end());
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address() as AddressInfo;
  const connection = { host: "127.0.0.1", port, user: "skerry", database: "postgres" };
  await using pool = openPool(
    { connection, subscribe: () => () => undefined },
    { applicationName: "test", max: 1, arrays: false },
    silentLog,
  );
  expect((await failureOf(pool.sql`select 1`)).code).toBe("CONNECTION_CLOSED");
});

test("openPool() over a server of somebody else ends what waits on a silent connection, once the server is back", async () => {
  await using dir = createTestDir();
  await using server = await startServer(join(dir.path, "data"));
  await using proxy = await startTcpProxy(join(server.connection.host, ".s.PGSQL.5432"));
  await using database = await openExternalDatabase(
    { clock: systemClock, log: silentLog, random: systemRandom },
    {
      url: `postgres://skerry@127.0.0.1:${proxy.port}/postgres?sslmode=disable`,
      exclusive: false,
      probeIntervalMs: 100,
      probeTimeoutMs: 500,
    },
  );
  await using pool = openPool(database, { applicationName: "test", max: 1 }, silentLog);
  const silent = pool.sql.begin(async (tx) => {
    await tx`select 1`;
    proxy.forget();
    await tx`select 2`;
  });
  const states = untilStatus(database, (status) => status.state === "ready");
  expect((await failureOf(silent)).code).toBe("DATABASE_UNAVAILABLE");
  expect((await states).map((status) => status.state)).toEqual(["restarting", "ready"]);
  expect(await pool.sql`select 3 as n`).toMatchObject([{ n: 3 }]);
});

test("createGroupCommit() goes on after each loss of the database, its sequences without a gap, its newest values true", async () => {
  await using dir = createTestDir();
  await using server = await startServer(join(dir.path, "data"));
  await using stores = await openEdgeStores({
    openScriptSandbox,
    database: server,
    migrations: MIGRATIONS,
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    createHasher: createSha256,
    blobBytesMax: 1,
    onOutbox: () => undefined,
  });
  const stop = new AbortController();
  const loop = stores.groupCommit.runLoop(stop.signal);
  const entityId = createUuid(systemClock, systemRandom);
  const acknowledged: number[] = [];
  let tsMs = 0;
  const saveNext = async (): Promise<void> => {
    tsMs += 1;
    const record = { entityId, tsMs, values: `{"n":${tsMs}}` as CanonicalJson, keySet: "n" };
    await stores.groupCommit.saveTelemetry([record]).then(
      () => acknowledged.push(record.tsMs),
      (error: unknown) => expect(AppError.from(error).code).toBe("DATABASE_UNAVAILABLE"),
    );
  };
  for (let round = 0; round < 3; round += 1) {
    const { restarts } = server.status();
    const back = killServer(server);
    while (server.status().restarts === restarts || server.status().state !== "ready") {
      await saveNext();
      await stores.groupCommit.run(() => Promise.resolve({ result: undefined, changes: [] })).catch(() => undefined);
    }
    await back;
    for (let more = 0; more < 5; more += 1) await saveNext();
  }
  stop.abort();
  await loop;
  const stored = await stores.sql<{ ts: number }[]>`select ts_ms as ts from telemetry`;
  expect(new Set(stored.map((row) => row.ts)).isSupersetOf(new Set(acknowledged))).toBe(true);
  // Gathered for a second, so each loss took some with it: they come back from the outbox.
  const latest = await stores.sql<{ ts: number }[]>`select ts_ms as ts from telemetry_latest`;
  expect(latest.map((row) => row.ts)).toEqual([Math.max(...stored.map((row) => row.ts))]);
  const rows = await stores.sql<{ first: number; last: number }[]>`
    select first_seq as first, last_seq as last from cloud_event where lane = 'telemetry' order by first_seq`;
  expect(rows.map((row) => row.first)).toEqual(rows.map((_, index) => (rows[index - 1]?.last ?? 0) + 1));
});
