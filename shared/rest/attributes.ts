import * as z from "zod";
import { AppError } from "../core/errors.ts";
import { isAttributeScope, type AttributeScope } from "../entities/attributes.ts";
import { BLANK_KEY, readAttributes } from "../entities/values.ts";
import { deleteAttributes, listAttributeKeys, saveAttributes, type AttributeRow } from "../store/attribute-store.ts";
import type { Outcome, Queryable } from "../store/unit-of-work.ts";
import {
  DATA_PATH,
  DATA_PREFIX,
  DATA_TAG,
  checkNotMade,
  dataTarget,
  keysAnswer,
  keysOf,
  keysQuery,
  rawJson,
  readAttributesOf,
  readPayload,
  writableTarget,
  type DataDeps,
} from "./data-target.ts";
import { EVERY_ROLE, type Call, type RouteTable } from "./route.ts";

const ATTRIBUTES_EXAMPLE = '{"limit":30}';
const attributesAnswer = z.array(z.object({ lastUpdateTs: z.int(), key: z.string(), value: z.unknown() }));

export function addAttributeRoutes(routes: RouteTable, deps: DataDeps): void {
  const readRows = async (
    call: Call<unknown, unknown>,
    scopes: readonly AttributeScope[] | undefined,
  ): Promise<readonly AttributeRow[]> => {
    const entity = await dataTarget(deps, call, call.param("entityType"));
    return readAttributesOf(deps, entity, { scopes, keys: keysOf(call) });
  };
  const readKeys = async (
    call: Call<unknown, unknown>,
    scopes: readonly AttributeScope[] | undefined,
  ): Promise<readonly string[]> => {
    const { type, id } = await dataTarget(deps, call, call.param("entityType"));
    const stored = await listAttributeKeys(deps.db, { entityId: id, scopes });
    const made = (await deps.others?.[type]?.made?.(id)) ?? [];
    const asked = made.filter(({ scope }) => scopes?.includes(scope) ?? true);
    return [...new Set([...stored, ...asked.map(({ key }) => key)])];
  };
  routes.add(
    {
      method: "get",
      path: `${DATA_PATH}/keys/attributes`,
      tag: DATA_TAG,
      summary: "Keys of all attributes",
      access: EVERY_ROLE,
      answer: keysAnswer,
    },
    (call) => readKeys(call, undefined),
  );
  routes.add(
    {
      method: "get",
      path: `${DATA_PATH}/keys/attributes/{scope}`,
      tag: DATA_TAG,
      summary: "Keys of the attributes of a scope",
      access: EVERY_ROLE,
      answer: keysAnswer,
    },
    (call) => readKeys(call, [scopeOf(call.param("scope"))]),
  );
  routes.add(
    {
      method: "get",
      path: `${DATA_PATH}/values/attributes`,
      tag: DATA_TAG,
      summary: "Attributes of all scopes",
      access: EVERY_ROLE,
      query: keysQuery,
      answer: attributesAnswer,
    },
    async (call) => rawJson(attributesJson(await readRows(call, undefined))),
  );
  routes.add(
    {
      method: "get",
      path: `${DATA_PATH}/values/attributes/{scope}`,
      tag: DATA_TAG,
      summary: "Attributes of a scope",
      access: EVERY_ROLE,
      query: keysQuery,
      answer: attributesAnswer,
    },
    async (call) => rawJson(attributesJson(await readRows(call, [scopeOf(call.param("scope"))]))),
  );
  addAttributeWriteRoutes(routes, deps);
}

function attributesJson(rows: readonly AttributeRow[]): string {
  return `[${rows.map(({ key, value, updatedMs }) => `{"lastUpdateTs":${updatedMs},"key":${JSON.stringify(key)},"value":${value}}`).join(",")}]`;
}

function addAttributeWriteRoutes(routes: RouteTable, deps: DataDeps): void {
  // What is not stored as an entity is mostly on this side alone: the other one must not hear of it.
  const run = (type: string, work: (tx: Queryable) => Promise<Outcome<void>>): Promise<void> =>
    deps.unitOfWork.run(async (tx) => {
      const outcome = await work(tx);
      const isSent = deps.others?.[type]?.isSent ?? deps.others?.[type] === undefined;
      return isSent ? outcome : { ...outcome, changes: [] };
    });
  const write = async (call: Call<unknown, unknown>, type: string): Promise<void> => {
    const scope = scopeOf(call.param("scope"));
    if (scope === "CLIENT_SCOPE")
      throw new AppError("INVALID_ARGUMENT", "Invalid scope: CLIENT_SCOPE", { field: "scope" });
    const entity = await writableTarget(deps, call, type);
    const readings = parseAttributes(await call.text());
    await checkNotMade(deps, entity, { scope, keys: readings.map(({ key }) => key) });
    const save = { entity, scope, readings, nowMs: deps.clock.nowMs(), keep: deps.others?.[type]?.keep };
    await run(type, (tx) => saveAttributes(tx, save));
  };
  const remove = async (call: Call<unknown, unknown>, type: string): Promise<void> => {
    const scope = scopeOf(call.param("scope"));
    const entity = await writableTarget(deps, call, type);
    const keys = keysOf(call);
    if (keys === undefined) throw new AppError("INVALID_ARGUMENT", "Empty keys: []", { field: "keys" });
    const { keep } = deps.others?.[type] ?? {};
    await run(type, (tx) => deleteAttributes(tx, { entity, scope, keys, keep }));
  };
  const save = { method: "post", tag: DATA_TAG, access: EVERY_ROLE, textBody: ATTRIBUTES_EXAMPLE } as const;
  const drop = { method: "delete", tag: DATA_TAG, access: EVERY_ROLE, query: keysQuery } as const;
  routes.add({ ...save, path: `${DATA_PATH}/attributes/{scope}`, summary: "Save attributes" }, (call) =>
    write(call, call.param("entityType")),
  );
  routes.add({ ...save, path: `${DATA_PATH}/{scope}`, summary: "Save attributes" }, (call) =>
    write(call, call.param("entityType")),
  );
  routes.add({ ...drop, path: `${DATA_PATH}/{scope}`, summary: "Delete attributes" }, (call) =>
    remove(call, call.param("entityType")),
  );
  routes.add({ ...save, path: `${DATA_PREFIX}/{entityId}/{scope}`, summary: "Save attributes of a device" }, (call) =>
    write(call, "DEVICE"),
  );
  routes.add({ ...drop, path: `${DATA_PREFIX}/{entityId}/{scope}`, summary: "Delete attributes of a device" }, (call) =>
    remove(call, "DEVICE"),
  );
}

function parseAttributes(text: string) {
  const readings = readPayload(text, "Invalid JSON", () => readAttributes(text, { nulls: "reject" }));
  if (readings.length === 0) throw new AppError("INVALID_PAYLOAD", "No attributes data found in request body!");
  if (readings.some(({ key }) => key.trim() === "")) throw new AppError("INVALID_PAYLOAD", BLANK_KEY);
  return readings;
}

function scopeOf(text: string): AttributeScope {
  if (!isAttributeScope(text))
    throw new AppError("INVALID_ARGUMENT", `Invalid scope: ${text.slice(0, 64)}`, { field: "scope" });
  return text;
}
