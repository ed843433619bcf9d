import type { Clock } from "../../shared/core/clock.ts";
import { repeat } from "../../shared/core/lifecycle.ts";
import type { Log } from "../../shared/observe/log.ts";
import type { Sql } from "../../shared/postgres/connect.ts";
import { keepBlobs, removeUnusedBlobs } from "../../shared/store/blob-store.ts";
import { readNamedContents } from "../../shared/store/blob-upload.ts";
import { openDb } from "../../shared/store/open-db.ts";

const INTERVAL_MS = 3_600_000;

export interface BlobUpkeepDeps {
  readonly sql: Sql;
  readonly clock: Clock;
  readonly log: Log;
}

/** Removes contents that nothing refers to any more, after a while. */
export function runBlobUpkeep({ sql, clock, log }: BlobUpkeepDeps, signal: AbortSignal): Promise<void> {
  const round = async (): Promise<void> => {
    const removed = await removeUnreferencedBlobs(sql, clock.nowMs());
    if (removed > 0) log.info("Removed contents that nothing refers to", { contents: removed });
  };
  const onError = (error: unknown): void => log.warn("Contents were not looked through; it is tried again", { error });
  const sleep = (delayMs: number, abort: AbortSignal): Promise<void> => clock.sleep(delayMs, abort);
  return repeat(round, { intervalMs: INTERVAL_MS, sleep, onError }, signal);
}

/** Contents stay for as long as an item that names them is in the outbox or parked, or an entity names them. @returns how many were removed */
export async function removeUnreferencedBlobs(sql: Sql, nowMs: number): Promise<number> {
  await sql`
    delete from outbox_blob as named
    where not exists (select from cloud_event where lane = named.lane and first_seq = named.seq)
      and not exists (select from parked_item where lane = named.lane and seq = named.seq)`;
  const named = await sql<{ sha256: string }[]>`select distinct sha256 from outbox_blob`;
  const db = openDb(sql);
  await keepBlobs(db, [...named.map(({ sha256 }) => sha256), ...(await readNamedContents(db))], nowMs);
  return removeUnusedBlobs(db, nowMs);
}
