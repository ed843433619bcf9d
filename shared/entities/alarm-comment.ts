import * as z from "zod";
import { AppError } from "../core/errors.ts";
import type { Uuid } from "../core/ids.ts";
import type { Json } from "./entity-record.ts";
import { entityIdSchema, idInput, restId } from "./fields.ts";
import { idText, parsePeerJson, timeMs } from "./peer-json.ts";

export const COMMENT_TYPES = ["OTHER", "SYSTEM"] as const;

/** OTHER: written by a user; SYSTEM: notes what was done to the alarm, or stands for a comment that was deleted. */
export type CommentType = (typeof COMMENT_TYPES)[number];

export interface AlarmComment {
  readonly id: Uuid;
  readonly alarmId: Uuid;
  /** Who wrote it, or did what it notes; null: nobody in person. */
  readonly userId: Uuid | null;
  readonly type: CommentType;
  /** `text`; of SYSTEM ones also `subtype` and what belongs to it. */
  readonly comment: { readonly [key: string]: Json };
  readonly createdMs: number;
  readonly updatedMs: number;
}

/** What both sides know of one comment: one that was deleted stays deleted, else the newest edit stays. */
export function mergeComments(one: AlarmComment, other: AlarmComment): AlarmComment {
  if (one.type !== other.type) return one.type === "SYSTEM" ? one : other;
  if (one.updatedMs !== other.updatedMs) return one.updatedMs > other.updatedMs ? one : other;
  return JSON.stringify(one.comment) >= JSON.stringify(other.comment) ? one : other;
}

/** The comment as JSON, with its fields in one order. */
export function commentBody({ id, alarmId, userId, type, comment, createdMs, updatedMs }: AlarmComment): string {
  return JSON.stringify({ id, alarmId, userId, type, comment, createdMs, updatedMs });
}

const TEXT_LENGTH_MAX = 10_000;
/** With what a newer version may add to the text, whose characters may be written as six. */
const BODY_LENGTH_MAX = 8 * TEXT_LENGTH_MAX;

const alarmCommentRecordSchema: z.ZodType<AlarmComment> = z.object({
  id: idText,
  alarmId: idText,
  userId: idText.nullable(),
  type: z.enum(COMMENT_TYPES),
  // Out of JSON.parse; kept without a look inside.
  comment: z.record(z.string(), z.unknown()).transform((comment) => comment as AlarmComment["comment"]),
  createdMs: timeMs,
  updatedMs: timeMs,
});

/** The comment in the body of an AlarmCommentSaved. @throws AppError INVALID_ARGUMENT that names the field */
export function parseAlarmComment(text: string): AlarmComment {
  if (text.length > BODY_LENGTH_MAX) {
    throw new AppError("INVALID_ARGUMENT", `A comment of ${text.length} characters exceeds ${BODY_LENGTH_MAX}`);
  }
  return parsePeerJson(text, { what: "a comment", schema: alarmCommentRecordSchema });
}

export const alarmCommentInput = z
  .object({
    id: idInput.nullish(),
    comment: z.object(
      {
        text: z
          .string({ error: "Alarm comment text should be specified!" })
          .max(TEXT_LENGTH_MAX, {
            error: `Validation error: text length must be equal or less than ${TEXT_LENGTH_MAX}`,
          })
          .refine((text) => text.trim() !== "", { error: "Alarm comment text should be specified!" }),
      },
      { error: "Alarm comment should be specified!" },
    ),
  })
  .meta({ id: "AlarmCommentInput" });

export const alarmCommentSchema = z
  .object({
    id: z.object({ id: z.uuid() }),
    createdTime: z.int(),
    alarmId: entityIdSchema,
    userId: entityIdSchema.nullable(),
    type: z.enum(COMMENT_TYPES),
    comment: z.record(z.string(), z.unknown()),
    name: z.string(),
  })
  .meta({ id: "AlarmComment" });

export const alarmCommentInfoSchema = alarmCommentSchema
  .extend({ firstName: z.string().nullable(), lastName: z.string().nullable(), email: z.string().nullable() })
  .meta({ id: "AlarmCommentInfo" });

export function alarmCommentToRest(comment: AlarmComment): z.input<typeof alarmCommentSchema> {
  const { id, alarmId, userId, type, createdMs } = comment;
  const { text } = comment.comment;
  return {
    id: { id },
    createdTime: createdMs,
    alarmId: { entityType: "ALARM", id: alarmId },
    userId: userId === null ? null : restId("USER", userId),
    type,
    comment: comment.comment,
    name: typeof text === "string" ? text : "",
  };
}
