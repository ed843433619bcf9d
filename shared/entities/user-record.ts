import * as z from "zod";
import { AppError } from "../core/errors.ts";
import type { Uuid } from "../core/ids.ts";
import type { Json } from "./entity-record.ts";
import { TEXT_LENGTH_MAX } from "./fields.ts";
import { AUTHORITIES, type User } from "./user.ts";

/** A user as it goes to the edges on which it signs in: with the hash of its password. */
export interface UserRecord extends Pick<
  User,
  | "id"
  | "customerId"
  | "email"
  | "authority"
  | "firstName"
  | "lastName"
  | "phone"
  | "enabled"
  | "version"
  | "createdMs"
  | "additionalInfo"
> {
  /** argon2id in PHC form; null: the user was not activated yet. */
  readonly passwordHash: string | null;
}

const idText = z.uuid().transform((text) => text.toLowerCase() as Uuid);
const shortText = z
  .string()
  .max(TEXT_LENGTH_MAX)
  .refine((text) => !text.includes("\0"), { error: "0x00 is not allowed" });

const userRecordSchema = z.object({
  id: idText,
  customerId: idText.nullable(),
  email: shortText.min(1),
  authority: z.enum(AUTHORITIES),
  firstName: shortText.nullable(),
  lastName: shortText.nullable(),
  phone: shortText.nullable(),
  enabled: z.boolean(),
  version: z.int().min(1),
  createdMs: z.int().min(0),
  // Out of JSON.parse; kept without a look inside.
  additionalInfo: z
    .record(z.string(), z.unknown())
    .transform((value) => value as { readonly [key: string]: Json })
    .nullable(),
  passwordHash: shortText.nullable(),
});

/** The record in the body of a UserSaved. @throws AppError INVALID_ARGUMENT that names the field */
export function parseUserRecord(text: string): UserRecord {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new AppError("INVALID_ARGUMENT", "Can't read a user: its body is not JSON", { cause: error });
  }
  const parsed = userRecordSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const field = parsed.error.issues[0]?.path.join(".") ?? "";
  throw new AppError("INVALID_ARGUMENT", `Can't read a user: ${field} is not valid`, { field });
}
