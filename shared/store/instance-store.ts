import { asc, sql } from "drizzle-orm";
import { AppError } from "../core/errors.ts";
import { createUuid, type Uuid } from "../core/ids.ts";
import type { StoreDeps } from "./store-deps.ts";
import { instance } from "./tables.ts";
import type { Queryable } from "./unit-of-work.ts";

/** HS512 wants a key as long as its hash. */
const JWT_SECRET_BYTES = 64;

export interface Instance {
  /** Identity of this database; a copy or a restored backup has the same, a new one another. */
  readonly id: Uuid;
  /** Signs the tokens of this installation. A function, so that no log prints it. */
  readonly jwtSecret: () => Uint8Array;
  readonly createdMs: number;
}

/** The one row; made at the first start, by one of those that start at once. */
export async function ensureInstance(db: Queryable, deps: StoreDeps): Promise<Instance> {
  const found = await findInstance(db);
  return found ?? db.transaction((tx) => createInstance(tx, deps));
}

async function createInstance(tx: Queryable, deps: StoreDeps): Promise<Instance> {
  await tx.execute(sql`lock table ${instance} in share row exclusive mode`);
  const found = await findInstance(tx);
  if (found !== null) return found;
  await tx.insert(instance).values({
    id: createUuid(deps.clock, deps.random),
    jwtSecret: btoa(String.fromCharCode(...deps.random.bytes(JWT_SECRET_BYTES))),
    createdMs: deps.clock.nowMs(),
  });
  const made = await findInstance(tx);
  if (made === null) throw new AppError("INTERNAL", "The row of the instance can't be read after it was written");
  return made;
}

async function findInstance(db: Queryable): Promise<Instance | null> {
  const rows = await db.select().from(instance).orderBy(asc(instance.createdMs)).limit(1);
  const row = rows[0];
  if (row === undefined) return null;
  const { id, jwtSecret, createdMs } = row;
  return { id: id as Uuid, jwtSecret: () => Uint8Array.from(atob(jwtSecret), (char) => char.charCodeAt(0)), createdMs };
}
