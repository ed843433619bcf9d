import * as z from "zod";
import { AppError } from "../core/errors.ts";
import type { Uuid } from "../core/ids.ts";
import { isAttributeScope, type AttributeScope } from "../entities/attributes.ts";
import type { EntityRef } from "../entities/change.ts";
import { isEntityType } from "../entities/entity-types.ts";
import type { CanonicalJson, TelemetryPoint, TelemetryRecord } from "../entities/telemetry.ts";
import { readAttributes, readTelemetry, textOf } from "../entities/values.ts";
import {
  deleteAttributes,
  listAttributeKeys,
  readAttributeRows,
  saveAttributes,
  type AttributeRow,
} from "../store/attribute-store.ts";
import {
  AGGREGATIONS,
  deleteTelemetry,
  listTelemetryKeys,
  readHistory,
  readLatest,
  type HistoryQuery,
} from "../store/telemetry-store.ts";
import { JSON_TYPE } from "./errors.ts";
import { booleanQuery } from "./pages.ts";
import type { Principal } from "./principal.ts";
import { readableEntity, type ResourceDeps } from "./resource.ts";
import { EVERY_ROLE, validate, type Call, type RouteTable } from "./route.ts";

export interface TelemetryDeps extends ResourceDeps {
  /** Resolves after the commit. */
  readonly saveTelemetry: (records: readonly TelemetryRecord[]) => Promise<void>;
  /** Resolves when the newest values of what was saved can be read. @default at once */
  readonly settleLatest?: () => Promise<void>;
  /** Kinds of entities that have attributes but are not stored as entities, by type. @default none */
  readonly others?: Readonly<Record<string, AttributeSource>>;
}

/** Attributes that are made from something else, such as the presence of an edge; read only. */
export interface AttributeSource {
  /** @throws AppError NOT_FOUND when it is not the caller's */
  check(principal: Principal, id: Uuid): Promise<void>;
  attributes(id: Uuid): Promise<readonly AttributeRow[]>;
}

const tag = "Telemetry and attributes";
const prefix = "/api/plugins/telemetry";
const TELEMETRY_EXAMPLE = '{"ts":1700000000000,"values":{"temperature":21.5}}';
const ATTRIBUTES_EXAMPLE = '{"limit":30}';

/** Whose data a call is about; the caller may read it. */
async function target(deps: TelemetryDeps, call: Call<unknown, unknown>, type: string): Promise<EntityRef> {
  const id = call.uuid("entityId");
  const other = deps.others?.[type];
  if (other !== undefined) {
    await other.check(call.principal, id);
    return { type, id };
  }
  if (!isEntityType(type))
    throw new AppError("INVALID_ARGUMENT", `Unsupported entity type '${type.slice(0, 64)}'!`, { field: "entityType" });
  await readableEntity(deps.db, call.principal, { type, id });
  return { type, id };
}

/** The same, for writing: a customer user writes to what it sees. */
async function ownTarget(deps: TelemetryDeps, call: Call<unknown, unknown>, type: string): Promise<EntityRef> {
  if (deps.others?.[type] !== undefined) {
    throw new AppError("INVALID_ARGUMENT", `Attributes and telemetry of type ${type} are read only`);
  }
  return target(deps, call, type);
}

function scopeOf(text: string): AttributeScope {
  if (!isAttributeScope(text))
    throw new AppError("INVALID_ARGUMENT", `Invalid scope: ${text.slice(0, 64)}`, { field: "scope" });
  return text;
}

/** `keys=a,b`, or `key=a&key=b` for keys that contain commas; undefined: not asked for. */
function keysOf(call: Call<unknown, unknown>): readonly string[] | undefined {
  const single = call.queryAll("key");
  if (single.length > 0) return single;
  const lists = call.queryAll("keys");
  const keys = lists.flatMap((list) => list.split(",")).filter((key) => key !== "");
  return keys.length === 0 ? undefined : keys;
}

/** Values whose numbers have to keep their kind are never parsed: the answer is put together from their texts. */
function rawJson(text: string): Response {
  return new Response(text, { headers: { "content-type": JSON_TYPE } });
}

const keysQuery = z.object({ keys: z.string().optional(), key: z.string().optional() });
const attributesAnswer = z.array(z.object({ lastUpdateTs: z.int(), key: z.string(), value: z.unknown() }));
const keysAnswer = z.array(z.string());
const seriesAnswer = z.record(z.string(), z.array(z.object({ ts: z.int(), value: z.unknown() })));

export function addAttributeRoutes(routes: RouteTable, deps: TelemetryDeps): void {
  const entity = `${prefix}/{entityType}/{entityId}` as const;
  const readRows = async (
    call: Call<unknown, unknown>,
    scopes: readonly AttributeScope[] | undefined,
  ): Promise<readonly AttributeRow[]> => {
    const { type, id } = await target(deps, call, call.param("entityType"));
    const other = deps.others?.[type];
    if (other === undefined) return readAttributeRows(deps.db, { entityId: id, scopes, keys: keysOf(call) });
    const keys = keysOf(call);
    const rows = await other.attributes(id);
    return rows.filter((row) => (scopes?.includes(row.scope) ?? true) && (keys?.includes(row.key) ?? true));
  };
  const readKeys = async (
    call: Call<unknown, unknown>,
    scopes: readonly AttributeScope[] | undefined,
  ): Promise<string[]> => {
    const { type, id } = await target(deps, call, call.param("entityType"));
    if (deps.others?.[type] === undefined) return listAttributeKeys(deps.db, { entityId: id, scopes });
    return (await readRows(call, scopes)).map((row) => row.key);
  };
  routes.add(
    {
      method: "get",
      path: `${entity}/keys/attributes`,
      tag,
      summary: "Keys of all attributes",
      access: EVERY_ROLE,
      answer: keysAnswer,
    },
    (call) => readKeys(call, undefined),
  );
  routes.add(
    {
      method: "get",
      path: `${entity}/keys/attributes/{scope}`,
      tag,
      summary: "Keys of the attributes of a scope",
      access: EVERY_ROLE,
      answer: keysAnswer,
    },
    (call) => readKeys(call, [scopeOf(call.param("scope"))]),
  );
  routes.add(
    {
      method: "get",
      path: `${entity}/values/attributes`,
      tag,
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
      path: `${entity}/values/attributes/{scope}`,
      tag,
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

function addAttributeWriteRoutes(routes: RouteTable, deps: TelemetryDeps): void {
  const write = async (call: Call<unknown, unknown>, type: string): Promise<void> => {
    const scope = scopeOf(call.param("scope"));
    if (scope === "CLIENT_SCOPE")
      throw new AppError("INVALID_ARGUMENT", "Invalid scope: CLIENT_SCOPE", { field: "scope" });
    const entity = await ownTarget(deps, call, type);
    const readings = parseAttributes(await call.text());
    await deps.unitOfWork.run((tx) => saveAttributes(tx, { entity, scope, readings, nowMs: deps.clock.nowMs() }));
  };
  const remove = async (call: Call<unknown, unknown>, type: string): Promise<void> => {
    const scope = scopeOf(call.param("scope"));
    const entity = await ownTarget(deps, call, type);
    const keys = keysOf(call);
    if (keys === undefined) throw new AppError("INVALID_ARGUMENT", "Empty keys: []", { field: "keys" });
    await deps.unitOfWork.run((tx) => deleteAttributes(tx, { entity, scope, keys }));
  };
  const save = { method: "post", tag, access: EVERY_ROLE, textBody: ATTRIBUTES_EXAMPLE } as const;
  const drop = { method: "delete", tag, access: EVERY_ROLE, query: keysQuery } as const;
  const any = `${prefix}/{entityType}/{entityId}` as const;
  routes.add({ ...save, path: `${any}/attributes/{scope}`, summary: "Save attributes" }, (call) =>
    write(call, call.param("entityType")),
  );
  routes.add({ ...save, path: `${any}/{scope}`, summary: "Save attributes" }, (call) =>
    write(call, call.param("entityType")),
  );
  routes.add({ ...drop, path: `${any}/{scope}`, summary: "Delete attributes" }, (call) =>
    remove(call, call.param("entityType")),
  );
  routes.add({ ...save, path: `${prefix}/{entityId}/{scope}`, summary: "Save attributes of a device" }, (call) =>
    write(call, "DEVICE"),
  );
  routes.add({ ...drop, path: `${prefix}/{entityId}/{scope}`, summary: "Delete attributes of a device" }, (call) =>
    remove(call, "DEVICE"),
  );
}

function parseAttributes(text: string) {
  const readings = readPayload(text, "Invalid JSON", () => readAttributes(text, { nulls: "reject" }));
  if (readings.length === 0) throw new AppError("INVALID_PAYLOAD", "No attributes data found in request body!");
  if (readings.some(({ key }) => key.trim() === "")) throw new AppError("INVALID_PAYLOAD", "Key cannot be blank");
  return readings;
}

/** The text of the REST convention before ours, which tells the place. */
function readPayload<T>(text: string, prefixText: string, read: () => T): T {
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

const historyQuery = z.object({
  keys: z.string().optional(),
  key: z.string().optional(),
  useStrictDataTypes: booleanQuery.optional(),
  startTs: timeText("startTs"),
  endTs: timeText("endTs"),
  intervalType: z.string().optional(),
  interval: timeText("interval").optional(),
  timeZone: z.string().optional(),
  limit: timeText("limit").optional(),
  agg: z
    .enum(AGGREGATIONS, { error: `Unsupported aggregation: expected one of ${AGGREGATIONS.join(", ")}` })
    .optional(),
  orderBy: z.enum(["ASC", "DESC"], { error: "Unsupported order: expected ASC or DESC" }).optional(),
});

function timeText(name: string) {
  return z
    .string({ error: `Required request parameter '${name}' is not present` })
    .regex(/^\d{1,15}$/, { error: `Incorrect value of parameter '${name}': a whole number is expected` })
    .transform(Number);
}

const POINTS_DEFAULT = 100;

export function addTelemetryRoutes(routes: RouteTable, deps: TelemetryDeps): void {
  const entity = `${prefix}/{entityType}/{entityId}` as const;
  routes.add(
    {
      method: "get",
      path: `${entity}/keys/timeseries`,
      tag,
      summary: "Keys of telemetry",
      access: EVERY_ROLE,
      answer: keysAnswer,
    },
    async (call) => {
      const { id } = await target(deps, call, call.param("entityType"));
      await deps.settleLatest?.();
      return listTelemetryKeys(deps.db, id);
    },
  );
  const history = async (call: Call<unknown, unknown>, query: unknown): Promise<Response> => {
    const { id } = await target(deps, call, call.param("entityType"));
    const wanted = validate(historyQuery, query);
    await deps.settleLatest?.();
    const keys = keysOf(call) ?? (await listTelemetryKeys(deps.db, id));
    const points = await readHistory(deps.db, { ...toHistory(wanted), entityId: id, keys });
    return rawJson(seriesJson(points, wanted.useStrictDataTypes ?? false));
  };
  routes.add(
    {
      method: "get",
      path: `${entity}/values/timeseries`,
      tag,
      summary: "Latest values; with startTs and endTs the history between",
      access: EVERY_ROLE,
      query: historyQuery.partial().extend({
        startTs: z.string().optional(),
        endTs: z.string().optional(),
        interval: z.string().optional(),
        limit: z.string().optional(),
        useStrictDataTypes: z.string().optional(),
      }),
      answer: seriesAnswer,
    },
    (call) =>
      call.query.startTs === undefined && call.query.endTs === undefined
        ? latest(deps, call)
        : history(call, call.query),
  );
  routes.add(
    {
      method: "get",
      path: `${entity}/values/timeseries/history`,
      tag,
      summary: "The history between startTs and endTs",
      access: EVERY_ROLE,
      query: historyQuery.extend({
        startTs: z.string(),
        endTs: z.string(),
        interval: z.string().optional(),
        limit: z.string().optional(),
        useStrictDataTypes: z.string().optional(),
      }),
      answer: seriesAnswer,
    },
    (call) => history(call, call.query),
  );
  addTelemetryWriteRoutes(routes, deps);
}

async function latest(
  deps: TelemetryDeps,
  call: Call<{ readonly useStrictDataTypes?: string | undefined }, unknown>,
): Promise<Response> {
  const { id } = await target(deps, call, call.param("entityType"));
  const keys = keysOf(call);
  await deps.settleLatest?.();
  const points = await readLatest(deps.db, { entityId: id, keys });
  const series = new Map<string, readonly NullablePoint[]>();
  for (const key of keys ?? points.keys()) {
    series.set(key, [points.get(key) ?? { tsMs: deps.clock.nowMs(), value: null }]);
  }
  return rawJson(seriesJson(series, call.query.useStrictDataTypes === "true"));
}

function toHistory(query: z.output<typeof historyQuery>): Omit<HistoryQuery, "entityId" | "keys"> {
  const { startTs, endTs, interval = 0, intervalType, limit = POINTS_DEFAULT, agg = "NONE", orderBy = "DESC" } = query;
  if (intervalType !== undefined && intervalType !== "MILLISECONDS") {
    throw new AppError(
      "INVALID_ARGUMENT",
      `Unsupported interval type '${intervalType.slice(0, 32)}': only MILLISECONDS is offered`,
      {
        field: "intervalType",
      },
    );
  }
  if (limit < 1)
    throw new AppError("INVALID_ARGUMENT", "Incorrect limit: it must be greater than zero", { field: "limit" });
  return { startMs: startTs, endMs: endTs, intervalMs: interval, limit, aggregation: agg, orderBy };
}

interface NullablePoint {
  readonly tsMs: number;
  readonly value: CanonicalJson | null;
}

function seriesJson(
  series: ReadonlyMap<string, readonly (TelemetryPoint | NullablePoint)[]>,
  isStrict: boolean,
): string {
  const members = Array.from(series, ([key, points]) => {
    const list = points.map(({ tsMs, value }) => `{"ts":${tsMs},"value":${valueJson(value, isStrict)}}`);
    return `${JSON.stringify(key)}:[${list.join(",")}]`;
  });
  return `{${members.join(",")}}`;
}

/** By the convention values are texts unless asked for otherwise. */
function valueJson(value: CanonicalJson | null, isStrict: boolean): string {
  if (value === null) return "null";
  return isStrict ? value : JSON.stringify(textOf(value));
}

const deleteQuery = z.object({
  keys: z.string().optional(),
  key: z.string().optional(),
  deleteAllDataForKeys: booleanQuery.optional(),
  startTs: timeText("startTs").optional(),
  endTs: timeText("endTs").optional(),
  deleteLatest: booleanQuery.optional(),
  rewriteLatestIfDeleted: booleanQuery.optional(),
});

function addTelemetryWriteRoutes(routes: RouteTable, deps: TelemetryDeps): void {
  const save = async (call: Call<unknown, unknown>): Promise<void> => {
    const { id } = await ownTarget(deps, call, call.param("entityType"));
    const text = await call.text();
    const nowMs = deps.clock.nowMs();
    const readings = readPayload(text, "Unable to parse time series payload: Invalid JSON body!", () =>
      readTelemetry(text, { nowMs, nulls: "reject" }),
    );
    if (readings.length === 0) throw new AppError("INVALID_PAYLOAD", "No time series data found in request body!");
    await deps.saveTelemetry(readings.map((reading) => ({ entityId: id, ...reading })));
  };
  const entity = `${prefix}/{entityType}/{entityId}/timeseries` as const;
  const spec = { method: "post", tag, access: EVERY_ROLE, textBody: TELEMETRY_EXAMPLE } as const;
  routes.add({ ...spec, path: `${entity}/{scope}`, summary: "Save telemetry" }, save);
  routes.add(
    { ...spec, path: `${entity}/{scope}/{ttl}`, summary: "Save telemetry; the time to live is not used" },
    save,
  );
  routes.add(
    {
      method: "delete",
      path: `${entity}/delete`,
      tag,
      summary: "Delete telemetry",
      access: EVERY_ROLE,
      query: deleteQuery,
    },
    async (call) => {
      const { id } = await ownTarget(deps, call, call.param("entityType"));
      const keys = keysOf(call);
      if (keys === undefined) throw new AppError("INVALID_ARGUMENT", "Empty keys: []", { field: "keys" });
      const range = deleteRange(call.query);
      await deps.settleLatest?.();
      const { deleteLatest = true, rewriteLatestIfDeleted = false } = call.query;
      await deps.unitOfWork.run(async (tx) => {
        await deleteTelemetry(tx, { entityId: id, keys, range, deleteLatest, rewriteLatest: rewriteLatestIfDeleted });
        return { result: undefined, changes: [] };
      });
    },
  );
}

function deleteRange(query: z.output<typeof deleteQuery>): { startMs: number; endMs: number } | undefined {
  if (query.deleteAllDataForKeys === true) return undefined;
  const { startTs, endTs } = query;
  if (startTs === undefined || endTs === undefined) {
    throw new AppError(
      "INVALID_ARGUMENT",
      "When deleteAllDataForKeys is false, start and end timestamp values shall not be empty",
    );
  }
  return { startMs: startTs, endMs: endTs };
}
