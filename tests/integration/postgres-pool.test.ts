import { expect, test } from "bun:test";
import { join } from "node:path";
import { MIGRATIONS } from "../../drizzle/edge.gen.ts";
import { openEdgeStores } from "../../edge/store/edge-stores.ts";
import { AppError } from "../../shared/core/errors.ts";
import { createUuid } from "../../shared/core/ids.ts";
import type { CanonicalJson } from "../../shared/entities/telemetry.ts";
import { silentLog } from "../../shared/observe/log.ts";
import { openPool } from "../../shared/postgres/pool.ts";
import { systemClock } from "../../shared/runtime/system-clock.ts";
import { systemRandom } from "../../shared/runtime/system-random.ts";
import { createTestDir, kill, startServer, untilStatus } from "./postgres-support.ts";

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

test("createGroupCommit() goes on after each loss of the database, its sequences without a gap, its newest values true", async () => {
  await using dir = createTestDir();
  await using server = await startServer(join(dir.path, "data"));
  await using stores = await openEdgeStores({
    database: server,
    migrations: MIGRATIONS,
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
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
