import { AppError } from "../../core/errors.ts";
import { isAttributeScope, type AttributeScope } from "../../entities/attributes.ts";
import type { EntityRef } from "../../entities/change.ts";
import type { CanonicalJson, TelemetryPoint } from "../../entities/telemetry.ts";
import { textOf } from "../../entities/values.ts";
import { readAttributeRows, type AttributeRow } from "../../store/attribute-store.ts";
import { readHistory, type HistoryQuery, type Interval } from "../../store/telemetry-history.ts";
import { listTelemetryKeys, readLatest } from "../../store/telemetry-store.ts";
import { checkReadable } from "../data-target.ts";
import { validate } from "../route.ts";
import { commandSchemas, type Command } from "./commands.ts";
import type { CommandContext, CommandHandler } from "./live-api.ts";
import type { LiveSession } from "./live-session.ts";

// Commands about one entity: newest values, attributes, history. Their answers are {"subscriptionId":…,"data":{"key":[[ts,"text"]]}}.

const timeseries: CommandHandler = async (context, session, given) => {
  const command = validate(commandSchemas.TIMESERIES, given);
  if (command.unsubscribe === true) return session.unsubscribe(command.cmdId);
  const { deps, watch } = context;
  const entity = await target(context, session, command);
  const sent = new Sent();
  const isWindow = typeof command.startTs === "number" && (command.timeWindow ?? 0) > 0;
  const first = isWindow ? await readWindow(context, entity, command) : await readNewest(context, entity, command.keys);
  for (const [key, points] of first) for (const { tsMs, value } of points) sent.note(key, tsMs, value);
  session.send(updateText(command.cmdId, first));
  const stop = watch.watch(entity, async ({ latest }) => {
    const rows = latest.filter(({ key, tsMs, value }) => isWanted(command.keys, key) && sent.isNew(key, tsMs, value));
    if (rows.length === 0) return;
    const series = isWindow
      ? await readSince(deps, { entity, rows, sent })
      : new Map(rows.map((row) => [row.key, [row]]));
    for (const { key, tsMs, value } of rows) sent.note(key, tsMs, value);
    session.send(updateText(command.cmdId, series));
  });
  session.subscribe(command.cmdId, stop);
};

const attributes: CommandHandler = async (context, session, given) => {
  const command = validate(commandSchemas.ATTRIBUTES, given);
  if (command.unsubscribe === true) return session.unsubscribe(command.cmdId);
  const { cmdId, keys } = command;
  const { deps, watch } = context;
  const entity = await target(context, session, command);
  const scopes = scopesOf(command.scope);
  const isAsked = ({ key, scope }: AttributeRow): boolean => isWanted(keys, key) && (scopes?.includes(scope) ?? true);
  const sent = new Sent();
  const tell = (rows: readonly AttributeRow[]): void => {
    const news = rows.filter((row) => isAsked(row) && sent.isNew(`${row.scope} ${row.key}`, row.updatedMs, row.value));
    for (const { key, scope, updatedMs, value } of news) sent.note(`${scope} ${key}`, updatedMs, value);
    if (news.length > 0 || !sent.hasBegun) session.send(updateText(cmdId, attributeSeries(news)));
    sent.hasBegun = true;
  };
  const other = deps.others?.[entity.type];
  tell(
    await (other?.attributes(entity.id) ??
      readAttributeRows(deps.db, { entityId: entity.id, scopes, keys: keys ?? undefined })),
  );
  const stop = watch.watch(entity, ({ attributes: rows }) => Promise.resolve(tell(rows)));
  session.subscribe(cmdId, stop);
};

const history: CommandHandler = async (context, session, given) => {
  const command = validate(commandSchemas.TIMESERIES_HISTORY, given);
  const entity = await target(context, session, command);
  const keys = command.keys ?? (await listTelemetryKeys(context.deps.db, entity.id));
  const query = { ...toHistory(command), entityId: entity.id, keys, startMs: command.startTs, endMs: command.endTs };
  session.send(updateText(command.cmdId, await readHistory(context.deps.db, query)));
};

export const seriesCommands: Readonly<Record<string, CommandHandler>> = {
  TIMESERIES: timeseries,
  ATTRIBUTES: attributes,
  TIMESERIES_HISTORY: history,
};

/** What was sent last of each key: a later time, or another value of the same time, is new. */
class Sent {
  hasBegun = false;
  readonly #times = new Map<string, { readonly tsMs: number; readonly value: CanonicalJson }>();

  isNew(key: string, tsMs: number, value: CanonicalJson): boolean {
    const last = this.#times.get(key);
    return last === undefined || tsMs > last.tsMs || (tsMs === last.tsMs && value !== last.value);
  }

  note(key: string, tsMs: number, value: CanonicalJson): void {
    const last = this.#times.get(key);
    if (last === undefined || tsMs >= last.tsMs) this.#times.set(key, { tsMs, value });
  }

  /** @returns -1 when nothing was sent */
  lastMs(key: string): number {
    return this.#times.get(key)?.tsMs ?? -1;
  }
}

async function target(
  { deps }: CommandContext,
  session: LiveSession,
  { entityId, entityType }: { readonly entityId: EntityRef["id"]; readonly entityType: string },
): Promise<EntityRef> {
  const entity = { type: entityType, id: entityId };
  await checkReadable(deps, session.principal, entity);
  return entity;
}

function isWanted(keys: readonly string[] | null, key: string): boolean {
  return keys === null || keys.includes(key);
}

/** @throws AppError INVALID_ARGUMENT */
function scopesOf(scope: string | null | undefined): readonly AttributeScope[] | undefined {
  if (scope === null || scope === undefined || scope === "" || scope === "ANY_SCOPE") return undefined;
  if (isAttributeScope(scope)) return [scope];
  throw new AppError("INVALID_ARGUMENT", `Invalid scope: ${scope.slice(0, 64)}`, { field: "scope" });
}

export type Series = ReadonlyMap<string, readonly TelemetryPoint[]>;

async function readNewest(
  { deps }: CommandContext,
  { id }: EntityRef,
  keys: readonly string[] | null,
): Promise<Series> {
  await deps.settleLatest?.();
  const points = await readLatest(deps.db, { entityId: id, keys: keys ?? undefined });
  return new Map(Array.from(points, ([key, point]) => [key, [point]]));
}

async function readWindow(
  { deps }: CommandContext,
  { id }: EntityRef,
  command: Command<"TIMESERIES">,
): Promise<Series> {
  const startMs = command.startTs ?? 0;
  const keys = command.keys ?? (await listTelemetryKeys(deps.db, id));
  const endMs = startMs + (command.timeWindow ?? 0);
  return readHistory(deps.db, { ...toHistory(command), entityId: id, keys, startMs, endMs });
}

/** Points of one update that came between two looks. */
const POINTS_SINCE_MAX = 1_000;

/** Every point since the last that was sent, not the newest alone: what is drawn must have no holes. */
async function readSince(
  { db }: CommandContext["deps"],
  {
    entity,
    rows,
    sent,
  }: { readonly entity: EntityRef; readonly rows: readonly (TelemetryPoint & { key: string })[]; readonly sent: Sent },
): Promise<Series> {
  const series = new Map<string, readonly TelemetryPoint[]>();
  for (const row of rows) {
    const { key, tsMs } = row;
    const afterMs = sent.lastMs(key);
    const query = { entityId: entity.id, keys: [key], startMs: afterMs + 1, endMs: tsMs + 1 };
    const read = afterMs < 0 || afterMs >= tsMs ? null : await readHistory(db, { ...RAW, ...query });
    series.set(key, read?.get(key) ?? [row]);
  }
  return series;
}

const RAW = {
  aggregation: "NONE",
  interval: { type: "MILLISECONDS", lengthMs: 0 },
  limit: POINTS_SINCE_MAX,
  orderBy: "DESC",
} as const;

/** As over REST, but with a limit of its own. */
const POINTS_DEFAULT = 100;

interface RangeCommand {
  readonly agg?: HistoryQuery["aggregation"] | null | undefined;
  readonly interval?: number | null | undefined;
  readonly intervalType?: Interval["type"] | null | undefined;
  readonly limit?: number | null | undefined;
  readonly timeZoneId?: string | null | undefined;
}

export function toHistory({
  agg,
  interval,
  intervalType,
  limit,
  timeZoneId,
}: RangeCommand): Pick<HistoryQuery, "aggregation" | "interval" | "limit" | "orderBy"> {
  const type = intervalType ?? "MILLISECONDS";
  return {
    aggregation: agg ?? "NONE",
    interval: type === "MILLISECONDS" ? { type, lengthMs: interval ?? 0 } : { type, timeZone: timeZoneId ?? "UTC" },
    limit: limit === null || limit === undefined || limit === 0 ? POINTS_DEFAULT : limit,
    orderBy: "DESC",
  };
}

function attributeSeries(rows: readonly AttributeRow[]): Series {
  return new Map(rows.map(({ key, updatedMs, value }) => [key, [{ tsMs: updatedMs, value }]]));
}

function updateText(subscriptionId: number, series: Series): string {
  const data: Record<string, readonly (readonly [number, string])[]> = {};
  const latestValues: Record<string, number> = {};
  for (const [key, points] of series) {
    data[key] = points.map(({ tsMs, value }) => [tsMs, textOf(value)]);
    latestValues[key] = points.reduce((newest, { tsMs }) => Math.max(newest, tsMs), 0);
  }
  return JSON.stringify({ subscriptionId, errorCode: 0, errorMsg: null, data, latestValues });
}
