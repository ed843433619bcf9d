import * as z from "zod";
import type { Uuid } from "../core/ids.ts";
import type { Json } from "./entity-record.ts";
import { entityIdSchema, restCustomerId, restId } from "./fields.ts";

export const AUTHORITIES = ["SYS_ADMIN", "TENANT_ADMIN", "CUSTOMER_USER"] as const;

/** system administrator; administrator of one tenant; user of one customer of a tenant. */
export type Authority = (typeof AUTHORITIES)[number];

export function isAuthority(text: unknown): text is Authority {
  return (AUTHORITIES as readonly unknown[]).includes(text);
}

/** A user without its password hash: what may leave the store. */
export interface User {
  readonly id: Uuid;
  readonly tenantId: Uuid;
  readonly customerId: Uuid | null;
  readonly email: string;
  readonly authority: Authority;
  readonly firstName: string | null;
  readonly lastName: string | null;
  readonly enabled: boolean;
  /** Tokens that were issued before this moment are refused. */
  readonly tokensValidFromMs: number;
  readonly version: number;
  readonly createdMs: number;
  readonly additionalInfo: { readonly [key: string]: Json } | null;
}

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
    phone: null,
    version: user.version,
    additionalInfo: { ...user.additionalInfo, userCredentialsEnabled: user.enabled, userActivated: true },
  };
}
