import { and, count, eq, ilike } from "drizzle-orm";
import { AppError } from "../core/errors.ts";
import { sha256Hex } from "../core/hash.ts";
import { createUuid, type Uuid } from "../core/ids.ts";
import { createToken } from "../core/random.ts";
import type { User } from "../entities/user.ts";
import { containsPattern, type Page, type PageRequest } from "./entity-store.ts";
import type { StoreDeps } from "./store-deps.ts";
import { readTablePage } from "./table-page.ts";
import { apiKey, appUser } from "./tables.ts";
import type { Queryable } from "./unit-of-work.ts";
import { toUser } from "./user-store.ts";

/** A key with which a program calls the REST API as a user; its value is not kept, only a hash. */
export interface ApiKey {
  readonly id: Uuid;
  readonly userId: Uuid;
  readonly description: string;
  readonly enabled: boolean;
  /** 0: never. */
  readonly expiresMs: number;
  readonly createdMs: number;
}

export type NewApiKey = Omit<ApiKey, "id" | "createdMs">;

const VALUE_PREFIX = "tb_";
/** 62^43 is more than 2^256. */
const VALUE_LENGTH = 43;
/** Of one user. */
const KEYS_MAX = 100;

/** @returns with the value, which is not to be had again. @throws AppError INVALID_ARGUMENT when the user has too many */
export async function createApiKey(
  tx: Queryable,
  deps: StoreDeps,
  key: NewApiKey,
): Promise<{ readonly apiKey: ApiKey; readonly value: string }> {
  const [held] = await tx.select({ keys: count() }).from(apiKey).where(eq(apiKey.userId, key.userId));
  if ((held?.keys ?? 0) >= KEYS_MAX) {
    throw new AppError("INVALID_ARGUMENT", `A user can have ${KEYS_MAX} API keys; delete one that is not used`);
  }
  const value = VALUE_PREFIX + createToken(deps.random, VALUE_LENGTH);
  const made: ApiKey = { ...key, id: createUuid(deps.clock, deps.random), createdMs: Math.round(deps.clock.nowMs()) };
  await tx.insert(apiKey).values({ ...made, valueHash: sha256Hex(value) });
  return { apiKey: made, value };
}

/** The key with this value, whatever its state, and its user. */
export async function findApiKeyByValue(
  db: Queryable,
  value: string,
): Promise<{ readonly apiKey: ApiKey; readonly user: User } | null> {
  const [row] = await db
    .select({ key: apiKey, user: appUser })
    .from(apiKey)
    .innerJoin(appUser, eq(appUser.id, apiKey.userId))
    .where(eq(apiKey.valueHash, sha256Hex(value)));
  return row === undefined ? null : { apiKey: toApiKey(row.key), user: toUser(row.user) };
}

export async function findApiKey(db: Queryable, id: Uuid): Promise<ApiKey | null> {
  const [row] = await db.select().from(apiKey).where(eq(apiKey.id, id));
  return row === undefined ? null : toApiKey(row);
}

/** @throws AppError INVALID_ARGUMENT for a sort property that there is not */
export async function listApiKeys(db: Queryable, userId: Uuid, page: PageRequest): Promise<Page<ApiKey>> {
  const search = page.textSearch === undefined || page.textSearch === "" ? undefined : containsPattern(page.textSearch);
  const where = and(eq(apiKey.userId, userId), search === undefined ? undefined : ilike(apiKey.description, search));
  const sortable = {
    createdTime: apiKey.createdMs,
    description: apiKey.description,
    enabled: apiKey.enabled,
    expirationTime: apiKey.expiresMs,
  };
  return await readTablePage(db, { table: apiKey, where, key: apiKey.id, sortable, toItem: toApiKey }, page);
}

export async function changeApiKey(
  tx: Queryable,
  id: Uuid,
  change: Partial<Pick<ApiKey, "description" | "enabled">>,
): Promise<void> {
  await tx.update(apiKey).set(change).where(eq(apiKey.id, id));
}

export async function deleteApiKey(tx: Queryable, id: Uuid): Promise<void> {
  await tx.delete(apiKey).where(eq(apiKey.id, id));
}

function toApiKey(row: typeof apiKey.$inferSelect): ApiKey {
  const { id, userId, description, enabled, expiresMs, createdMs } = row;
  return {
    id: id as Uuid, // columns written from Uuids
    userId: userId as Uuid,
    description,
    enabled,
    expiresMs,
    createdMs,
  };
}
