import * as z from "zod";
import { AppError } from "../core/errors.ts";
import type { Uuid } from "../core/ids.ts";
import type { AttributeScope } from "../entities/attributes.ts";
import type { EntityRef } from "../entities/change.ts";
import { isEntityType } from "../entities/entity-types.ts";
import { BLANK_KEY } from "../entities/values.ts";
import {
  readAttributeRows,
  type AttributeQuery,
  type AttributeRow,
  type KeepSubject,
} from "../store/attribute-store.ts";
import { JSON_TYPE } from "./errors.ts";
import type { Principal } from "./principal.ts";
import { readableEntity, type ResourceDeps } from "./resource.ts";
import type { Call } from "./route.ts";

// What the routes of attributes and of telemetry share: whose data a call is about, which keys it names, and how values are answered.

export interface DataDeps extends ResourceDeps {
  /** What has attributes and telemetry but is not stored as an entity, by type. @default none */
  readonly others?: Readonly<Record<string, DataSubject>>;
}

/** A tenant, a user, an edge. */
export interface DataSubject {
  /** @throws AppError NOT_FOUND when it is not the caller's */
  check(principal: Principal, id: Uuid): Promise<void>;
  /** See AttributeSave; without it nothing can be saved. */
  readonly keep?: KeepSubject;
  /** The other side hears of its attributes. @default false */
  readonly isSent?: boolean;
  /** Attributes that are made from something else, such as the presence of an edge: nobody sets them. @default none */
  made?(id: Uuid): Promise<readonly AttributeRow[]>;
}

export const DATA_TAG = "Telemetry and attributes";
export const DATA_PREFIX = "/api/plugins/telemetry";
export const DATA_PATH = `${DATA_PREFIX}/{entityType}/{entityId}` as const;

/** Whose data a call is about; the caller may read it. */
export async function dataTarget(deps: DataDeps, call: Call<unknown, unknown>, type: string): Promise<EntityRef> {
  const entity = { type, id: call.uuid("entityId") };
  await checkReadable(deps, call.principal, entity);
  return entity;
}

/** @throws AppError NOT_FOUND for what the caller may not read, INVALID_ARGUMENT for an unknown type */
export async function checkReadable(deps: DataDeps, principal: Principal, { id, type }: EntityRef): Promise<void> {
  const other = deps.others?.[type];
  if (other !== undefined) return other.check(principal, id);
  if (!isEntityType(type))
    throw new AppError("INVALID_ARGUMENT", `Unsupported entity type '${type.slice(0, 64)}'!`, { field: "entityType" });
  await readableEntity(deps.db, principal, { type, id });
}

/** The same, for writing: a customer user writes to what it sees. */
export async function writableTarget(deps: DataDeps, call: Call<unknown, unknown>, type: string): Promise<EntityRef> {
  const other = deps.others?.[type];
  if (other !== undefined && other.keep === undefined)
    throw new AppError("INVALID_ARGUMENT", `Attributes and telemetry of type ${type} are read only here`);
  return dataTarget(deps, call, type);
}

/** Attributes of one, whether stored or made; undefined: of all scopes, all keys. */
export async function readAttributesOf(
  { db, others }: Pick<DataDeps, "db" | "others">,
  { id, type }: EntityRef,
  { keys, scopes }: Pick<AttributeQuery, "keys" | "scopes">,
): Promise<readonly AttributeRow[]> {
  const stored = await readAttributeRows(db, { entityId: id, scopes, keys });
  const made = (await others?.[type]?.made?.(id)) ?? [];
  const asked = made.filter(({ key, scope }) => (scopes?.includes(scope) ?? true) && (keys?.includes(key) ?? true));
  return withMade(stored, asked);
}

/** What is made goes before what is stored under the same key. */
export function withMade(stored: readonly AttributeRow[], made: readonly AttributeRow[]): readonly AttributeRow[] {
  if (made.length === 0) return stored;
  const keyOf = ({ entityId, key, scope }: AttributeRow): string => `${entityId} ${scope} ${key}`;
  const taken = new Set(made.map(keyOf));
  return [...stored.filter((row) => !taken.has(keyOf(row))), ...made];
}

/** @throws AppError INVALID_ARGUMENT for keys that nobody sets */
export async function checkNotMade(
  { others }: Pick<DataDeps, "others">,
  { id, type }: EntityRef,
  { keys, scope }: { readonly keys: readonly string[]; readonly scope: AttributeScope },
): Promise<void> {
  const made = (await others?.[type]?.made?.(id)) ?? [];
  const row = made.find((candidate) => candidate.scope === scope && keys.includes(candidate.key));
  if (row === undefined) return;
  throw new AppError(
    "INVALID_ARGUMENT",
    `Attribute '${row.key}' is not set by anybody: it shows what ${type} is doing`,
    {
      field: row.key,
    },
  );
}

/** `keys=a,b`, or `key=a&key=b` for keys that contain commas; undefined: not asked for. */
export function keysOf(call: Call<unknown, unknown>): readonly string[] | undefined {
  const single = call.queryAll("key");
  if (single.length > 0) return [...new Set(single)];
  const lists = call.queryAll("keys");
  const keys = lists.flatMap((list) => list.split(",")).filter((key) => key !== "");
  return keys.length === 0 ? undefined : [...new Set(keys)];
}

/** Values whose numbers have to keep their kind are never parsed: the answer is put together from their texts. */
export function rawJson(text: string): Response {
  return new Response(text, { headers: { "content-type": JSON_TYPE } });
}

export const keysQuery = z.object({ keys: z.string().optional(), key: z.string().optional() });
export const keysAnswer = z.array(z.string());

/** The text of the REST convention before ours, which tells the place. */
export function readPayload<T>(text: string, prefixText: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== "INVALID_PAYLOAD" || error.message === BLANK_KEY) throw error;
    const isObject = /^\s*[[{]/.test(text);
    throw new AppError(
      "INVALID_PAYLOAD",
      isObject ? `${prefixText}: ${error.message}` : `Request is not a JSON object: ${error.message}`,
      {
        cause: error,
      },
    );
  }
}
