import * as z from "zod";
import { AppError } from "../core/errors.ts";
import type { Uuid } from "../core/ids.ts";
import type { EntityRef } from "../entities/change.ts";
import { isEntityType } from "../entities/entity-types.ts";
import type { AttributeRow } from "../store/attribute-store.ts";
import { JSON_TYPE } from "./errors.ts";
import type { Principal } from "./principal.ts";
import { readableEntity, type ResourceDeps } from "./resource.ts";
import type { Call } from "./route.ts";

// What the routes of attributes and of telemetry share: whose data a call is about, which keys it names, and how values are answered.

export interface DataDeps extends ResourceDeps {
  /** Kinds of entities that have attributes but are not stored as entities, by type. @default none */
  readonly others?: Readonly<Record<string, AttributeSource>>;
}

/** Attributes that are made from something else, such as the presence of an edge; read only. */
export interface AttributeSource {
  /** @throws AppError NOT_FOUND when it is not the caller's */
  check(principal: Principal, id: Uuid): Promise<void>;
  attributes(id: Uuid): Promise<readonly AttributeRow[]>;
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
  if (deps.others?.[type] !== undefined) {
    throw new AppError("INVALID_ARGUMENT", `Attributes and telemetry of type ${type} are read only`);
  }
  return dataTarget(deps, call, type);
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
    if (!(error instanceof AppError) || error.code !== "INVALID_PAYLOAD") throw error;
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
