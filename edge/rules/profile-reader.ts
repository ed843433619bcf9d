import type { Uuid } from "../../shared/core/ids.ts";
import type { Log } from "../../shared/observe/log.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { readProfileBodies } from "../store/alarm-rule-store.ts";

/** What device profiles on this edge say of one matter, ready to be used, kept in memory. */
export interface ProfileReader<Compiled> {
  /** Those that say something. */
  byId(): ReadonlyMap<Uuid, Compiled>;
  /** A profile was changed. `onRead` is called when the new state is there. */
  readAgain(onRead: () => void): void;
  /** Resolves when all that was changed is there; null: it is. */
  reading(): Promise<void> | null;
}

export interface ProfileReaderDeps<Compiled> {
  readonly db: Queryable;
  readonly log: Log;
  /** What is read, for the log. */
  readonly what: string;
  readonly compile: (bodies: ReadonlyMap<Uuid, unknown>) => Promise<ReadonlyMap<Uuid, Compiled>>;
}

export async function openProfileReader<Compiled>({
  compile,
  db,
  log,
  what,
}: ProfileReaderDeps<Compiled>): Promise<ProfileReader<Compiled>> {
  let profiles = await compile(await readProfileBodies(db));
  let reading: Promise<void> | null = null;
  let isWanted = false;

  async function readWanted(onRead: () => void): Promise<void> {
    if (!isWanted) return;
    isWanted = false;
    try {
      profiles = await compile(await readProfileBodies(db));
      onRead();
    } catch (thrown) {
      log.warn(`${what} of device profiles could not be read again`, { error: thrown });
    }
  }

  async function readAfter(before: Promise<void> | null, onRead: () => void): Promise<void> {
    await before;
    await readWanted(onRead);
  }

  return {
    byId: () => profiles,
    readAgain: (onRead) => {
      isWanted = true;
      const mine = readAfter(reading, onRead).finally(() => {
        if (reading === mine) reading = null;
      });
      reading = mine;
    },
    reading: () => reading,
  };
}

/** Whether the profile has a list of that name in `profileData`, and something in it. */
export function hasProfileList(body: unknown, name: string): boolean {
  const data = typeof body === "object" && body !== null && "profileData" in body ? body.profileData : null;
  const list: unknown = typeof data === "object" && data !== null ? Reflect.get(data, name) : null;
  return Array.isArray(list) && list.length > 0;
}
