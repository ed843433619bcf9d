import { and, desc, eq, sql } from "drizzle-orm";
import type { Uuid } from "../core/ids.ts";
import { mobileSession } from "./tables.ts";
import type { Queryable } from "./unit-of-work.ts";

// Phones of users: kept for whoever sends messages to them; Skerry sends none.

/** Phones of a user; the one that was saved longest ago is forgotten first. */
const PHONES_MAX = 20;

export interface MobileSession {
  readonly userId: Uuid;
  readonly token: string;
  readonly tokenMs: number;
}

export async function saveMobileSession(
  tx: Queryable,
  { userId, token, tokenMs }: MobileSession,
  nowMs: number,
): Promise<void> {
  const times = { tokenMs, savedMs: Math.round(nowMs) };
  await tx
    .insert(mobileSession)
    .values({ userId, token, ...times })
    .onConflictDoUpdate({ target: [mobileSession.userId, mobileSession.token], set: times });
  const older = tx
    .select({ token: mobileSession.token })
    .from(mobileSession)
    .where(eq(mobileSession.userId, userId))
    .orderBy(desc(mobileSession.savedMs), desc(mobileSession.token))
    .offset(PHONES_MAX);
  await tx
    .delete(mobileSession)
    .where(and(eq(mobileSession.userId, userId), sql`${mobileSession.token} in (${older})`));
}

/** null: this user is not signed in on it. */
export async function findMobileSession(db: Queryable, userId: Uuid, token: string): Promise<MobileSession | null> {
  const [row] = await db
    .select()
    .from(mobileSession)
    .where(and(eq(mobileSession.userId, userId), eq(mobileSession.token, token)));
  return row === undefined ? null : { userId, token, tokenMs: row.tokenMs };
}

export async function deleteMobileSession(db: Queryable, userId: Uuid, token: string): Promise<void> {
  await db.delete(mobileSession).where(and(eq(mobileSession.userId, userId), eq(mobileSession.token, token)));
}
