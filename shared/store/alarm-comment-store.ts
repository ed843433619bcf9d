import { and, asc, count, desc, eq, inArray } from "drizzle-orm";
import { AppError } from "../core/errors.ts";
import { createUuid, type Uuid } from "../core/ids.ts";
import { commentBody, type AlarmComment, type CommentType } from "../entities/alarm-comment.ts";
import type { Alarm } from "../entities/alarm.ts";
import type { AlarmCommentSaved, CommentAction, EntityRef } from "../entities/change.ts";
import type { Json } from "../entities/entity-record.ts";
import { lockAlarm } from "./alarm-store.ts";
import { alarmComment } from "./alarm-tables.ts";
import { toPage, type Page, type PageRequest } from "./entity-store.ts";
import type { StoreDeps } from "./store-deps.ts";
import { appUser } from "./tables.ts";
import type { Outcome, Queryable } from "./unit-of-work.ts";

// Comments on alarms. None is ever removed while its alarm is there: a SYSTEM comment stands for one that was deleted.

/** Who does something to an alarm; null: nobody in person. */
export type Actor = Uuid | null;

export interface SystemNote {
  readonly alarm: Alarm;
  readonly actor: Actor;
  readonly subtype: "ACK" | "CLEAR" | "ASSIGN" | "SEVERITY_CHANGED";
  /** What was done; who did it is put behind. */
  readonly what: string;
  readonly more?: { readonly [key: string]: Json };
}

/** Notes what was done to an alarm. */
export async function addSystemComment(tx: Queryable, deps: StoreDeps, note: SystemNote): Promise<AlarmCommentSaved> {
  const { actor, alarm, subtype, what, more = {} } = note;
  const text = `Alarm was ${what} by ${await nameOf(tx, actor)}`;
  const who = actor === null ? {} : { userId: actor };
  const comment = newComment(deps, {
    alarm,
    userId: actor,
    type: "SYSTEM",
    comment: { text, ...who, subtype, ...more },
  });
  await putComment(tx, comment);
  return commentSaved(comment, { originator: alarm.originator, action: "ADDED_COMMENT" });
}

export async function nameOf(tx: Queryable, userId: Actor): Promise<string> {
  const [row] = userId === null ? [] : await tx.select().from(appUser).where(eq(appUser.id, userId));
  return row === undefined ? "the system" : `user ${row.email}`;
}

export interface CommentSave {
  readonly alarmId: Uuid;
  readonly tenantId: Uuid;
  readonly userId: Uuid;
  /** null: a new one. */
  readonly commentId: Uuid | null;
  readonly text: string;
}

/** @throws AppError NOT_FOUND, PERMISSION_DENIED for another's comment */
export async function saveComment(tx: Queryable, deps: StoreDeps, save: CommentSave): Promise<Outcome<AlarmComment>> {
  const { commentId, text, userId } = save;
  const alarm = await lockAlarm(tx, save);
  if (commentId === null) {
    const made = newComment(deps, { alarm, userId, type: "OTHER", comment: { text } });
    await putComment(tx, made);
    return outcome(alarm, made, "ADDED_COMMENT");
  }
  const stored = await userComment(tx, { alarm, commentId, userId });
  const updatedMs = laterThan(stored, deps);
  const edited = { ...stored, updatedMs, comment: { ...stored.comment, text, edited: true, editedOn: updatedMs } };
  await putComment(tx, edited);
  return outcome(alarm, edited, "UPDATED_COMMENT");
}

export interface CommentDelete extends Omit<CommentSave, "text" | "commentId"> {
  readonly commentId: Uuid;
  /** Whether the user may delete what others wrote. */
  readonly anyones: boolean;
}

/** A SYSTEM comment takes its place. @throws AppError NOT_FOUND, PERMISSION_DENIED for another's comment */
export async function deleteComment(
  tx: Queryable,
  deps: StoreDeps,
  { commentId, userId, anyones, ...key }: CommentDelete,
): Promise<Outcome<AlarmComment>> {
  const alarm = await lockAlarm(tx, key);
  const stored = await userComment(tx, { alarm, commentId, userId: anyones ? null : userId });
  const text = `A comment was deleted by ${await nameOf(tx, userId)}`;
  const comment = { text, userId, subtype: "COMMENT_DELETED" };
  const deleted: AlarmComment = { ...stored, type: "SYSTEM", updatedMs: laterThan(stored, deps), comment };
  await putComment(tx, deleted);
  return outcome(alarm, deleted, "DELETED_COMMENT");
}

export async function findComment(db: Queryable, id: Uuid): Promise<AlarmComment | null> {
  const [row] = await db.select().from(alarmComment).where(eq(alarmComment.id, id));
  return row === undefined ? null : toComment(row);
}

/** The newest comments of these alarms, oldest first, at most `limit`. */
export async function findCommentsOf(
  db: Queryable,
  alarmIds: readonly Uuid[],
  limit: number,
): Promise<readonly AlarmComment[]> {
  if (alarmIds.length === 0) return [];
  const rows = await db
    .select()
    .from(alarmComment)
    .where(inArray(alarmComment.alarmId, [...alarmIds]))
    .orderBy(desc(alarmComment.createdMs), desc(alarmComment.id))
    .limit(limit);
  return rows.map(toComment).toReversed();
}

export interface AlarmCommentInfo {
  readonly comment: AlarmComment;
  readonly firstName: string | null;
  readonly lastName: string | null;
  readonly email: string | null;
}

export async function listComments(db: Queryable, alarmId: Uuid, page: PageRequest): Promise<Page<AlarmCommentInfo>> {
  const where = eq(alarmComment.alarmId, alarmId);
  const order = page.sortProperty === "createdTime" ? alarmComment.createdMs : sortedById(page.sortProperty);
  const direction = page.sortOrder === "DESC" ? desc : asc;
  const { firstName, lastName, email } = appUser;
  const [rows, totals] = await Promise.all([
    db
      .select({ comment: alarmComment, firstName, lastName, email })
      .from(alarmComment)
      .leftJoin(appUser, eq(appUser.id, alarmComment.userId))
      .where(where)
      .orderBy(direction(order), direction(alarmComment.id))
      .limit(page.pageSize)
      .offset(page.pageSize * page.page),
    db.select({ count: count() }).from(alarmComment).where(where),
  ]);
  const data = rows.map(({ comment, ...user }) => ({ comment: toComment(comment), ...user }));
  return toPage(data, totals[0]?.count ?? 0, page);
}

function sortedById(property = "") {
  if (property === "" || property === "id") return alarmComment.id;
  throw new AppError("INVALID_ARGUMENT", `Unsupported sort property '${property.slice(0, 64)}'!`, {
    field: "sortProperty",
  });
}

/** Writes a comment of an alarm that is there. */
export async function putComment(tx: Queryable, comment: AlarmComment): Promise<void> {
  await tx.insert(alarmComment).values(comment).onConflictDoUpdate({ target: alarmComment.id, set: comment });
}

export function commentSaved(
  comment: AlarmComment,
  { originator, action }: { readonly originator: EntityRef; readonly action: CommentAction },
): AlarmCommentSaved {
  const entity = { type: "ALARM_COMMENT", id: comment.id };
  return { kind: "alarm-comment-saved", entity, originator, action, body: commentBody(comment) };
}

interface CommentDraft extends Pick<AlarmComment, "userId" | "type" | "comment"> {
  readonly alarm: Alarm;
}

function newComment({ clock, random }: StoreDeps, { alarm, ...draft }: CommentDraft): AlarmComment {
  const nowMs = Math.round(clock.nowMs());
  return { id: createUuid(clock, random), alarmId: alarm.id, ...draft, createdMs: nowMs, updatedMs: nowMs };
}

/** A clock that was set back loses no edit. */
function laterThan(stored: AlarmComment, { clock }: StoreDeps): number {
  return Math.max(Math.round(clock.nowMs()), stored.updatedMs + 1);
}

/** A comment that a user wrote; `userId` null: whoever it was. */
async function userComment(
  tx: Queryable,
  { alarm, commentId, userId }: { readonly alarm: Alarm; readonly commentId: Uuid; readonly userId: Uuid | null },
): Promise<AlarmComment> {
  const [row] = await tx
    .select()
    .from(alarmComment)
    .where(and(eq(alarmComment.id, commentId), eq(alarmComment.alarmId, alarm.id)))
    .for("update");
  if (row === undefined) throw new AppError("NOT_FOUND", `Alarm comment with id [${commentId}] is not found`);
  if (row.type === "SYSTEM" || (userId !== null && row.userId !== userId)) {
    throw new AppError("PERMISSION_DENIED", "You don't have permission to perform this operation!");
  }
  return toComment(row);
}

function outcome(alarm: Alarm, comment: AlarmComment, action: CommentAction): Outcome<AlarmComment> {
  return { result: comment, changes: [commentSaved(comment, { originator: alarm.originator, action })] };
}

function toComment(row: typeof alarmComment.$inferSelect): AlarmComment {
  // Ids are uuid columns, and rows are written from an AlarmComment only.
  return {
    ...row,
    id: row.id as Uuid,
    alarmId: row.alarmId as Uuid,
    userId: row.userId as Uuid | null,
    type: row.type as CommentType,
    comment: row.comment as AlarmComment["comment"],
  };
}
