import * as z from "zod";
import { AppError } from "../core/errors.ts";
import type { Uuid } from "../core/ids.ts";
import type { CanonicalJson, TelemetryPoint, TelemetryRecord } from "../entities/telemetry.ts";
import { readTelemetry, textOf } from "../entities/values.ts";
import { findSeriesSource, readLatestSeen, seriesKeys } from "../store/series-source.ts";
import {
  AGGREGATIONS,
  CALENDAR_INTERVALS,
  readHistory,
  type HistoryQuery,
  type Interval,
} from "../store/telemetry-history.ts";
import { deleteTelemetry } from "../store/telemetry-store.ts";
import type { Queryable } from "../store/unit-of-work.ts";
import {
  DATA_PATH,
  DATA_TAG,
  dataTarget,
  keysAnswer,
  keysOf,
  rawJson,
  readPayload,
  writableTarget,
  type DataDeps,
} from "./data-target.ts";
import { booleanQuery } from "./pages.ts";
import { EVERY_ROLE, validate, type Call, type RouteTable } from "./route.ts";

export interface TelemetryDeps extends DataDeps {
  /** Resolves after the commit. */
  readonly saveTelemetry: (records: readonly TelemetryRecord[]) => Promise<void>;
  /** Resolves when the newest values of what was saved can be read. @default at once */
  readonly settleLatest?: () => Promise<void>;
  /** Writes down, in the transaction, what was deleted. @default nobody does */
  readonly noteDeleted?: (tx: Queryable, deleted: DeletedSeries) => Promise<void>;
}

export interface DeletedSeries {
  readonly entityId: Uuid;
  readonly keys: readonly string[];
  /** undefined: all of it. */
  readonly range: { readonly startMs: number; readonly endMs: number } | undefined;
}

const TELEMETRY_EXAMPLE = '{"ts":1700000000000,"values":{"temperature":21.5}}';
const seriesAnswer = z.record(z.string(), z.array(z.object({ ts: z.int(), value: z.unknown() })));

const INTERVAL_TYPES = ["MILLISECONDS", ...CALENDAR_INTERVALS] as const;

const historyQuery = z.object({
  keys: z.string().optional(),
  key: z.string().optional(),
  useStrictDataTypes: booleanQuery.optional(),
  startTs: timeText("startTs"),
  endTs: timeText("endTs"),
  intervalType: z
    .enum(INTERVAL_TYPES, { error: `Unsupported interval type: expected one of ${INTERVAL_TYPES.join(", ")}` })
    .optional(),
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
  routes.add(
    {
      method: "get",
      path: `${DATA_PATH}/keys/timeseries`,
      tag: DATA_TAG,
      summary: "Keys of telemetry",
      access: EVERY_ROLE,
      answer: keysAnswer,
    },
    async (call) => {
      const source = await findSeriesSource(deps.db, await dataTarget(deps, call, call.param("entityType")));
      await deps.settleLatest?.();
      return source === null ? [] : seriesKeys(deps.db, source, undefined);
    },
  );
  const history = async (call: Call<unknown, unknown>, query: unknown): Promise<Response> => {
    const source = await findSeriesSource(deps.db, await dataTarget(deps, call, call.param("entityType")));
    const wanted = validate(historyQuery, query);
    const range = toHistory(wanted);
    if (source === null) return rawJson("{}");
    await deps.settleLatest?.();
    const keys = await seriesKeys(deps.db, source, keysOf(call));
    const startMs = Math.max(range.startMs, source.startMs);
    const endMs = Math.min(range.endMs, source.endMs);
    const points = await readHistory(deps.db, { ...range, startMs, endMs, entityId: source.entityId, keys });
    return rawJson(seriesJson(points, wanted.useStrictDataTypes ?? false));
  };
  routes.add(
    {
      method: "get",
      path: `${DATA_PATH}/values/timeseries`,
      tag: DATA_TAG,
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
      path: `${DATA_PATH}/values/timeseries/history`,
      tag: DATA_TAG,
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
  const source = await findSeriesSource(deps.db, await dataTarget(deps, call, call.param("entityType")));
  const keys = keysOf(call);
  await deps.settleLatest?.();
  const points = source === null ? new Map<string, TelemetryPoint>() : await readLatestSeen(deps.db, source, keys);
  const series = new Map<string, readonly NullablePoint[]>();
  for (const key of keys ?? points.keys()) {
    series.set(key, [points.get(key) ?? { tsMs: deps.clock.nowMs(), value: null }]);
  }
  return rawJson(seriesJson(series, call.query.useStrictDataTypes === "true"));
}

function toHistory(query: z.output<typeof historyQuery>): Omit<HistoryQuery, "entityId" | "keys"> {
  const { startTs, endTs, limit = POINTS_DEFAULT, agg = "NONE", orderBy = "DESC" } = query;
  if (limit < 1)
    throw new AppError("INVALID_ARGUMENT", "Incorrect limit: it must be greater than zero", { field: "limit" });
  return { startMs: startTs, endMs: endTs, interval: toInterval(query), limit, aggregation: agg, orderBy };
}

function toInterval({
  interval = 0,
  intervalType = "MILLISECONDS",
  timeZone = "UTC",
}: z.output<typeof historyQuery>): Interval {
  return intervalType === "MILLISECONDS"
    ? { type: intervalType, lengthMs: interval }
    : { type: intervalType, timeZone };
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
    const { id } = await writableTarget(deps, call, call.param("entityType"));
    const text = await call.text();
    const nowMs = deps.clock.nowMs();
    const readings = readPayload(text, "Unable to parse time series payload: Invalid JSON body!", () =>
      readTelemetry(text, { nowMs, nulls: "reject" }),
    );
    if (readings.length === 0) throw new AppError("INVALID_PAYLOAD", "No time series data found in request body!");
    await deps.saveTelemetry(readings.map((reading) => ({ entityId: id, ...reading })));
  };
  const series = `${DATA_PATH}/timeseries` as const;
  const spec = { method: "post", tag: DATA_TAG, access: EVERY_ROLE, textBody: TELEMETRY_EXAMPLE } as const;
  routes.add({ ...spec, path: `${series}/{scope}`, summary: "Save telemetry" }, save);
  routes.add(
    {
      ...spec,
      path: `${series}/{scope}/{ttl}`,
      summary:
        "Save telemetry; the time to live, in seconds, is checked only: points stay as long as all of their retention",
    },
    async (call) => {
      if (!/^\d{1,15}$/.test(call.param("ttl")))
        throw new AppError("INVALID_ARGUMENT", "Incorrect ttl: a whole number of seconds is expected", {
          field: "ttl",
        });
      await save(call);
    },
  );
  routes.add(
    {
      method: "delete",
      path: `${series}/delete`,
      tag: DATA_TAG,
      summary: "Delete telemetry",
      access: EVERY_ROLE,
      query: deleteQuery,
    },
    async (call) => {
      const { id } = await writableTarget(deps, call, call.param("entityType"));
      const keys = keysOf(call);
      if (keys === undefined) throw new AppError("INVALID_ARGUMENT", "Empty keys: []", { field: "keys" });
      const range = deleteRange(call.query);
      await deps.settleLatest?.();
      const { deleteLatest = true, rewriteLatestIfDeleted = false } = call.query;
      await deps.unitOfWork.run(async (tx) => {
        await deleteTelemetry(tx, { entityId: id, keys, range, deleteLatest, rewriteLatest: rewriteLatestIfDeleted });
        await deps.noteDeleted?.(tx, { entityId: id, keys, range });
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
