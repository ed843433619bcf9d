import * as z from "zod";
import { AppError } from "../core/errors.ts";
import type { Uuid } from "../core/ids.ts";
import { TEXT_LENGTH_MAX } from "./fields.ts";

// Bodies as the other side sends them. They were valid there; they are checked all the same, because a peer may be newer, older or broken.

export const idText = z.uuid().transform((text) => text.toLowerCase() as Uuid);

export const shortText = z
  .string()
  .max(TEXT_LENGTH_MAX)
  .refine((text) => !text.includes("\0"), { error: "0x00 is not allowed" });

export const timeMs = z.int().min(0);

/** @throws AppError INVALID_ARGUMENT that names the field */
export function parsePeerJson<T>(
  text: string,
  { what, schema }: { readonly what: string; readonly schema: z.ZodType<T> },
): T {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new AppError("INVALID_ARGUMENT", `Can't read ${what}: its body is not JSON`, { cause: error });
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const field = issue?.path.join(".") ?? "";
  throw new AppError("INVALID_ARGUMENT", `Can't read ${what}: ${field}: ${issue?.message ?? "invalid"}`, { field });
}
