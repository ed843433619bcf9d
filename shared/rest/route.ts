import type * as z from "zod";
import { AppError } from "../core/errors.ts";
import type { Uuid } from "../core/ids.ts";
import type { Authority } from "../entities/user.ts";
import { JsonCursor } from "../entities/values-cursor.ts";
import type { Principal } from "./principal.ts";

/** Who may call a route; `anyone`: no token is looked at. */
export type Access = readonly Authority[] | "anyone";

export const EVERY_ROLE = ["SYS_ADMIN", "TENANT_ADMIN", "CUSTOMER_USER"] as const;
export const TENANT_ADMIN = ["TENANT_ADMIN"] as const;
export const TENANT_ROLES = ["TENANT_ADMIN", "CUSTOMER_USER"] as const;

/**
 * One operation of the REST API: what the router, the access check, the validation and the OpenAPI document are made from.
 * Path parameters are written `{deviceId}`; those whose name ends in `id` are uuids.
 */
export interface RouteSpec<Query = unknown, Body = unknown> {
  readonly method: "get" | "post" | "put" | "delete";
  readonly path: `/${string}`;
  readonly tag: string;
  readonly summary: string;
  readonly access: Access;
  readonly query?: z.ZodType<Query>;
  /** JSON body. Absent: whatever is sent is ignored (clients send `{}` where nothing is asked for). */
  readonly body?: z.ZodType<Body>;
  /** Example of a body that the handler reads as text because numbers have to keep their kind. */
  readonly textBody?: string;
  /** Name of the part of a form that is a file; the handler reads the form as it comes (multipart.ts). */
  readonly formFile?: string;
  /** @default by the path */
  readonly bodyBytesMax?: number;
  /** Shape of the answer; absent: an empty one. */
  readonly answer?: z.ZodType;
  /** @default "application/json" */
  readonly answerType?: string;
}

/** POSTs that only ask. */
const QUESTIONS =
  /^\/api\/(auth\/|entitiesQuery\/|alarmsQuery\/|(devices|assets|edges|entityViews|relations)(\/info)?$|ruleChain\/(testScript|\{ruleChainId\}\/test)$|deviceProfile\/\{deviceProfileId\}\/test$|events\/.*\{entityId\}$)/;

export function changesSomething({ method, path }: Pick<RouteSpec, "method" | "path">): boolean {
  return method !== "get" && !(method === "post" && QUESTIONS.test(path));
}

/** What tells of people, or of what lets somebody in. */
const PRIVATE = /credentials|connectivity|changePassword|apiKey|comment|\/users?(\/|$)/i;

/** Whether it is for everybody who knows the id of a public customer. */
export function isOpenToPublic(spec: Pick<RouteSpec, "method" | "path">): boolean {
  const { path } = spec;
  if (path === "/api/auth/user" || path === "/api/auth/logout") return true;
  return !changesSomething(spec) && !PRIVATE.test(path);
}

/** A request that passed access check and validation. */
export interface Call<Query, Body> {
  /** Who calls; on routes for anyone there is nobody. */
  readonly principal: Principal;
  readonly query: Query;
  readonly body: Body;
  readonly request: Request;
  readonly remoteAddress: string | undefined;
  /** A path parameter as text. */
  param(name: string): string;
  /** A path parameter as uuid. @throws AppError INVALID_ARGUMENT */
  uuid(name: string): Uuid;
  /** Every value of a query parameter that may be repeated. */
  queryAll(name: string): readonly string[];
  text(): Promise<string>;
}

/**
 * What a handler returns becomes the answer: nothing: 200 without a body; a Response: itself; anything else: JSON.
 * It throws AppErrors, which the app turns into answers.
 */
export type Handler<Query, Body> = (call: Call<Query, Body>) => Promise<unknown>;

export interface RouteTable {
  add<Query, Body>(spec: RouteSpec<Query, Body>, handler: Handler<Query, Body>): void;
}

/** The names in `{…}`. */
export function pathParameters(path: string): string[] {
  return Array.from(path.matchAll(/\{(\w+)\}/g), (match) => match[1] ?? "");
}

export function isUuidParameter(name: string): boolean {
  return /(^id|Id)$/.test(name);
}

/** @throws AppError INVALID_ARGUMENT with the text of the first thing that is wrong */
export function validate<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const field = issue?.path.join(".") ?? "";
  // Texts of our own begin with an upper-case letter and name their field; zod's begin with "Invalid input" or "Too …".
  const message = issue?.message ?? "Invalid input";
  const isOwn = !/^(Invalid |Too |Unrecognized )/.test(message) || /^Invalid (UUID string|email address)/.test(message);
  const text = isOwn || field === "" ? message : `Validation error: ${field}: ${message}`;
  throw new AppError("INVALID_ARGUMENT", text, field === "" ? {} : { field });
}

/** @throws AppError INVALID_PAYLOAD with the position, for what is no JSON */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw jsonError(text, error);
  }
}

/** The runtimes don't agree on whether they tell the position; our own reader does. */
function jsonError(text: string, cause: unknown): AppError {
  const cursor = new JsonCursor(text);
  try {
    cursor.compactValue(() => undefined);
    cursor.expectEnd();
  } catch (error) {
    if (error instanceof AppError) return new AppError("INVALID_PAYLOAD", `Invalid JSON: ${error.message}`, { cause });
  }
  return new AppError("INVALID_PAYLOAD", "Invalid JSON", { cause });
}
