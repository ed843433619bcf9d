import * as z from "zod";
import type { Uuid } from "../core/ids.ts";
import type { Json } from "./entity-record.ts";
import { entityIdSchema, idInput, jsonObjectInput, restCustomerId, restId, textInput, versionInput } from "./fields.ts";

export const AUTHORITIES = ["SYS_ADMIN", "TENANT_ADMIN", "CUSTOMER_USER"] as const;

/** system administrator; administrator of one tenant; user of one customer of a tenant. */
export type Authority = (typeof AUTHORITIES)[number];

export function isAuthority(text: unknown): text is Authority {
  return (AUTHORITIES as readonly unknown[]).includes(text);
}

/** A user without its password hash: what may leave the store. */
export interface User {
  readonly id: Uuid;
  /** The null uuid for a system administrator. */
  readonly tenantId: Uuid;
  readonly customerId: Uuid | null;
  readonly email: string;
  readonly authority: Authority;
  readonly firstName: string | null;
  readonly lastName: string | null;
  readonly phone: string | null;
  readonly enabled: boolean;
  /** On an edge: it comes from the cloud, which alone changes it. */
  readonly isCopy: boolean;
  /** Whether it has a password. */
  readonly isActivated: boolean;
  readonly lastLoginMs: number | null;
  /** Tokens that were issued before this moment are refused. */
  readonly tokensValidFromMs: number;
  readonly version: number;
  readonly createdMs: number;
  readonly additionalInfo: { readonly [key: string]: Json } | null;
}

const EMAIL_LENGTH_MAX = 255;

export const userInput = z
  .object({
    id: idInput.nullish(),
    tenantId: idInput.nullish(),
    customerId: idInput.nullish(),
    email: z
      .string({ error: "User email should be specified!" })
      .trim()
      .min(1, { error: "User email should be specified!" })
      .max(EMAIL_LENGTH_MAX, { error: `Validation error: email length must be equal or less than ${EMAIL_LENGTH_MAX}` })
      .regex(/^[^\s@<>"\0]+@[^\s@<>"\0]+$/, {
        error: (issue) => `Invalid email address format '${String(issue.input).slice(0, 64)}'!`,
      }),
    authority: z.enum(AUTHORITIES, { error: "User authority should be specified!" }).nullish(),
    firstName: textInput("firstName").nullish(),
    lastName: textInput("lastName").nullish(),
    phone: textInput("phone").nullish(),
    version: versionInput.nullish(),
    additionalInfo: jsonObjectInput.nullish(),
  })
  .meta({ id: "UserInput" });

export type UserInput = z.output<typeof userInput>;

export const userSchema = z
  .object({
    id: entityIdSchema,
    createdTime: z.int(),
    tenantId: entityIdSchema,
    customerId: entityIdSchema,
    email: z.string(),
    name: z.string(),
    authority: z.enum(AUTHORITIES),
    firstName: z.string().nullable(),
    lastName: z.string().nullable(),
    phone: z.string().nullable(),
    version: z.int(),
    additionalInfo: z.record(z.string(), z.unknown()),
  })
  .meta({ id: "User" });

export const userInfoSchema = z
  .object({
    id: entityIdSchema,
    email: z.string(),
    firstName: z.string().nullable(),
    lastName: z.string().nullable(),
  })
  .meta({ id: "UserInfo" });

/** What reading adds to additionalInfo, and saving leaves out again. */
const DERIVED_KEYS: ReadonlySet<string> = new Set(["userCredentialsEnabled", "userActivated", "lastLoginTs"]);

export function withoutDerivedInfo(info: User["additionalInfo"]): User["additionalInfo"] {
  return info === null ? null : Object.fromEntries(Object.entries(info).filter(([key]) => !DERIVED_KEYS.has(key)));
}

export function userToRest(user: User): z.input<typeof userSchema> {
  return {
    id: restId("USER", user.id),
    createdTime: user.createdMs,
    tenantId: restId("TENANT", user.tenantId),
    customerId: restCustomerId(user.customerId),
    email: user.email,
    name: user.email,
    authority: user.authority,
    firstName: user.firstName,
    lastName: user.lastName,
    phone: user.phone,
    version: user.version,
    additionalInfo: {
      ...user.additionalInfo,
      userCredentialsEnabled: user.enabled && user.isActivated,
      userActivated: user.isActivated,
      ...(user.lastLoginMs === null ? {} : { lastLoginTs: user.lastLoginMs }),
    },
  };
}

export function userInfoToRest({ id, email, firstName, lastName }: User): z.input<typeof userInfoSchema> {
  return { id: restId("USER", id), email, firstName, lastName };
}
