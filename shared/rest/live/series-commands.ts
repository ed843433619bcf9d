import { AppError } from "../../core/errors.ts";
import { isAttributeScope, type AttributeScope } from "../../entities/attributes.ts";
import type { EntityRef } from "../../entities/change.ts";
import { textOf } from "../../entities/values.ts";
import type { AttributeRow } from "../../store/attribute-store.ts";
import type { LatestRow } from "../../store/live-data.ts";
import { findSeriesSource, readLatestSeen, seriesKeys, type SeriesSource } from "../../store/series-source.ts";
import { readHistory, type HistoryQuery } from "../../store/telemetry-history.ts";
import { checkReadable, readAttributesOf } from "../data-target.ts";
import { validate } from "../route.ts";
import type { CommandContext, CommandHandler } from "./command-context.ts";
import { commandSchemas, type Command } from "./commands.ts";
import type { LiveSession } from "./live-session.ts";
import { Sent } from "./sent.ts";
import { readSince, toHistory, type Series } from "./series.ts";

// Commands about one entity: newest values, attributes, history. Their answers are {"subscriptionId":…,"data":{"key":[[ts,"text"]]}}.

const timeseries: CommandHandler = async (context, session, given) => {
  const command = validate(commandSchemas.TIMESERIES, given);
  if (command.unsubscribe === true) return session.unsubscribe(command.cmdId);
  const { deps, watch } = context;
  const entity = await target(context, session, command);
  const source = await findSeriesSource(deps.db, entity);
  if (source === null) return void session.send(updateText(command.cmdId, new Map()));
  const { endMs, entityId, startMs } = source;
  const sent = new Sent();
  const isWindow = typeof command.startTs === "number" && (command.timeWindow ?? 0) > 0;
  const first = await (isWindow ? readWindow : readNewest)(context, source, command);
  for (const [key, points] of first) for (const { tsMs, value } of points) sent.note(key, tsMs, value);
  session.send(updateText(command.cmdId, first));
  const isSeen = ({ key, tsMs }: LatestRow): boolean =>
    isWanted(command.keys, key) && isWanted(source.keys, key) && tsMs >= startMs && tsMs < endMs;
  const stop = watch.watch({ ...entity, id: entityId }, async ({ latest }) => {
    const rows = latest.filter((row) => isSeen(row) && sent.isNew(row.key, row.tsMs, row.value));
    if (rows.length === 0) return;
    const series = isWindow
      ? await readSince(deps.db, { entity: { ...entity, id: entityId }, rows, sent })
      : new Map(rows.map((row) => [row.key, [row]]));
    for (const { key, tsMs, value } of rows) sent.note(key, tsMs, value);
    session.send(updateText(command.cmdId, series));
  });
  session.subscribe(command.cmdId, { stop, refresh: () => checkReadable(deps, session.principal, entity) });
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
  let isFirst = true;
  const tell = (rows: readonly AttributeRow[]): void => {
    const news = rows.filter((row) => isAsked(row) && sent.isNew(`${row.scope} ${row.key}`, row.updatedMs, row.value));
    for (const { key, scope, updatedMs, value } of news) sent.note(`${scope} ${key}`, updatedMs, value);
    if (news.length > 0 || isFirst) session.send(updateText(cmdId, attributeSeries(news)));
    isFirst = false;
  };
  tell(await readAttributesOf(deps, entity, { scopes, keys: keys ?? undefined }));
  const stop = watch.watch(entity, ({ attributes: rows }) => Promise.resolve(tell(rows)));
  session.subscribe(cmdId, { stop, refresh: () => checkReadable(deps, session.principal, entity) });
};

const history: CommandHandler = async (context, session, given) => {
  const command = validate(commandSchemas.TIMESERIES_HISTORY, given);
  const source = await findSeriesSource(context.deps.db, await target(context, session, command));
  const range = { ...toHistory(command), startMs: command.startTs, endMs: command.endTs };
  session.send(updateText(command.cmdId, await readSeen(context, source, { range, keys: command.keys })));
};

export const seriesCommands: Readonly<Record<string, CommandHandler>> = {
  TIMESERIES: timeseries,
  ATTRIBUTES: attributes,
  TIMESERIES_HISTORY: history,
};

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

async function readNewest(
  { deps }: CommandContext,
  source: SeriesSource,
  { keys }: Command<"TIMESERIES">,
): Promise<Series> {
  await deps.settleLatest?.();
  const points = await readLatestSeen(deps.db, source, keys ?? undefined);
  return new Map(Array.from(points, ([key, point]) => [key, [point]]));
}

function readWindow(context: CommandContext, source: SeriesSource, command: Command<"TIMESERIES">): Promise<Series> {
  const startMs = command.startTs ?? 0;
  const range = { ...toHistory(command), startMs, endMs: startMs + (command.timeWindow ?? 0) };
  return readSeen(context, source, { range, keys: command.keys });
}

async function readSeen(
  { deps }: CommandContext,
  source: SeriesSource | null,
  { keys, range }: { readonly range: Omit<HistoryQuery, "entityId" | "keys">; readonly keys: readonly string[] | null },
): Promise<Series> {
  if (source === null) return new Map();
  const startMs = Math.max(range.startMs, source.startMs);
  const endMs = Math.min(range.endMs, source.endMs);
  const seen = await seriesKeys(deps.db, source, keys ?? undefined);
  return readHistory(deps.db, { ...range, startMs, endMs, entityId: source.entityId, keys: seen });
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
