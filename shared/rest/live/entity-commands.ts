import { AppError } from "../../core/errors.ts";
import type { EntityData, QueryKey } from "../../entities/entity-query.ts";
import type { CanonicalJson } from "../../entities/telemetry.ts";
import { textOf } from "../../entities/values.ts";
import { countEntities, findEntityData } from "../../store/entity-query.ts";
import type { Page } from "../../store/entity-store.ts";
import { readHistory } from "../../store/telemetry-history.ts";
import { queryContext } from "../entity-queries.ts";
import { validate } from "../route.ts";
import type { CommandContext, CommandHandler, EntitySubscription } from "./command-context.ts";
import { commandSchemas, type Command } from "./commands.ts";
import type { News } from "./data-watch.ts";
import type { LiveSession } from "./live-session.ts";
import { tellRepeated } from "./repeated.ts";
import { Sent } from "./sent.ts";
import { readSince, toHistory, type Series } from "./series.ts";

// Commands about the entities that a query finds: a page of them with their values, then what changes of these.

/** Points of one answer. */
const POINTS_MAX = 200_000;
const COUNT_EVERY_MS = 10_000;

const entityData: CommandHandler = async (context, session, given) => {
  const command = validate(commandSchemas.ENTITY_DATA, given);
  const ofSession = context.queries.get(session) ?? new Map<number, EntitySubscription>();
  context.queries.set(session, ofSession);
  const isChange = command.query === null || command.query === undefined;
  const subscription = merge(command, isChange ? ofSession.get(command.cmdId) : undefined);
  session.unsubscribe(command.cmdId);
  const opening = { command, subscription, isChange };
  await openEntityData(context, session, { ...opening, page: await readPage(context, session, subscription) });
  ofSession.set(command.cmdId, subscription);
};

function readPage(
  { deps }: CommandContext,
  session: LiveSession,
  { latestKeys, query }: EntitySubscription,
): Promise<Page<EntityData>> {
  const wanted = { ...query, latestValues: [...(query.latestValues ?? []), ...latestKeys] };
  return findEntityData(deps.db, queryContext(deps, session.principal), wanted);
}

interface Opening {
  readonly command: Command<"ENTITY_DATA">;
  readonly subscription: EntitySubscription;
  /** Whether the client has the page already. */
  readonly isChange: boolean;
  readonly page: Page<EntityData>;
}

/** Tells the page and watches its entities; once others take their places, for new ones or rights that changed, tells the page anew. */
async function openEntityData(context: CommandContext, session: LiveSession, opening: Opening): Promise<void> {
  const { command, isChange, page, subscription } = opening;
  const { cmdId } = command;
  const data = await withSeries(context, page.data, { command, subscription });
  session.send(dataText(cmdId, isChange ? { update: data } : { data: { ...page, data } }));
  const stops: (() => void)[] = [];
  const stop = (): void => {
    for (const stopOne of stops) stopOne();
  };
  try {
    for (const entity of data) stops.push(watchEntity(context, session, { cmdId, subscription, entity }));
  } catch (error) {
    stop();
    throw error;
  }
  const refresh = async (): Promise<void> => {
    const now = await readPage(context, session, subscription);
    if (idsOf(now) !== idsOf(page)) await openEntityData(context, session, { ...opening, isChange: false, page: now });
  };
  session.subscribe(cmdId, { stop, refresh });
}

function idsOf({ data }: Page<EntityData>): string {
  return data.map(({ entityId }) => entityId.id).join();
}

function merge(
  { latestCmd, query, tsCmd }: Command<"ENTITY_DATA">,
  before: EntitySubscription | undefined,
): EntitySubscription {
  const wanted = query ?? before?.query;
  if (wanted === undefined)
    throw new AppError("INVALID_ARGUMENT", "The query should be specified!", { field: "query" });
  return { query: wanted, latestKeys: latestCmd?.keys ?? before?.latestKeys ?? [], tsCmd: tsCmd ?? before?.tsCmd };
}

async function withSeries(
  { deps }: CommandContext,
  entities: readonly EntityData[],
  { command, subscription }: { readonly command: Command<"ENTITY_DATA">; readonly subscription: EntitySubscription },
): Promise<EntityData[]> {
  const { historyCmd } = command;
  const { tsCmd } = subscription;
  const ranges = [
    ...(historyCmd === null || historyCmd === undefined ? [] : [{ ...historyCmd, endMs: historyCmd.endTs }]),
    ...(tsCmd === null || tsCmd === undefined ? [] : [{ ...tsCmd, endMs: tsCmd.startTs + tsCmd.timeWindow }]),
  ];
  let points = 0;
  const answered: EntityData[] = [];
  for (const entity of entities) {
    const timeseries: EntityData["timeseries"] = {};
    for (const range of ranges) {
      const asked = { ...toHistory(range), keys: range.keys, startMs: range.startTs, endMs: range.endMs };
      const read = await readHistory(deps.db, { ...asked, entityId: idOf(entity) });
      for (const [key, list] of read) {
        timeseries[key] = list.map(({ tsMs, value }) => ({ ts: tsMs, value: textOf(value) }));
        points += list.length;
      }
    }
    if (points > POINTS_MAX)
      throw new AppError("INVALID_ARGUMENT", `Too many points: at most ${POINTS_MAX} are answered`, { field: "limit" });
    answered.push({ ...entity, timeseries });
  }
  return answered;
}

interface Watching {
  readonly cmdId: number;
  readonly subscription: EntitySubscription;
  readonly entity: EntityData;
}

function watchEntity({ deps, watch }: CommandContext, session: LiveSession, watching: Watching): () => void {
  const { cmdId, entity, subscription } = watching;
  const { query, latestKeys, tsCmd } = subscription;
  const ref = { type: entity.entityId.entityType, id: idOf(entity) };
  const keys = [...(query.latestValues ?? []), ...latestKeys].filter(({ type }) => type !== "ENTITY_FIELD");
  const seriesKeys = tsCmd?.keys ?? [];
  const latest = new Sent();
  const series = new Sent();
  for (const { key, type } of keys) {
    const known = entity.latest[type]?.[key];
    // The text is all that was sent, and all that is compared.
    if (known !== undefined && known.ts > 0) latest.note(`${type} ${key}`, known.ts, known.value as CanonicalJson);
  }
  for (const [key, list] of Object.entries(entity.timeseries))
    for (const { ts, value } of list) series.note(key, ts, value as CanonicalJson);
  return watch.watch(ref, async (news) => {
    const changed = latestOf(news, keys, latest);
    const rows = news.latest
      .filter(({ key }) => seriesKeys.includes(key))
      .map((row) => ({ ...row, text: textOf(row.value) as CanonicalJson }))
      .filter(({ key, tsMs }) => tsMs > series.lastMs(key));
    const points: Series =
      rows.length === 0 ? new Map() : await readSince(deps.db, { entity: ref, rows, sent: series });
    for (const { key, text, tsMs } of rows) series.note(key, tsMs, text);
    if (changed === null && points.size === 0) return;
    const timeseries: EntityData["timeseries"] = {};
    for (const [key, list] of points)
      timeseries[key] = list.map(({ tsMs, value }) => ({ ts: tsMs, value: textOf(value) }));
    const update = { entityId: entity.entityId, latest: changed ?? {}, timeseries, aggLatest: {} };
    session.send(dataText(cmdId, { update: [update] }));
  });
}

/** null: nothing of these is new. */
function latestOf(news: News, keys: readonly QueryKey[], sent: Sent): EntityData["latest"] | null {
  const found: EntityData["latest"] = {};
  const note = (type: string, key: string, tsMs: number, value: CanonicalJson): void => {
    const text = textOf(value) as CanonicalJson;
    if (!keys.some((wanted) => wanted.type === type && wanted.key === key)) return;
    if (!sent.isNew(`${type} ${key}`, tsMs, text)) return;
    sent.note(`${type} ${key}`, tsMs, text);
    (found[type] ??= {})[key] = { ts: tsMs, value: text };
  };
  for (const { key, tsMs, value } of news.latest) note("TIME_SERIES", key, tsMs, value);
  for (const { key, scope, updatedMs, value } of news.attributes) {
    note(scope.replace("_SCOPE", "_ATTRIBUTE"), key, updatedMs, value);
    note("ATTRIBUTE", key, updatedMs, value);
  }
  return Object.keys(found).length === 0 ? null : found;
}

const entityCount: CommandHandler = (context, session, given) => {
  const { cmdId, query } = validate(commandSchemas.ENTITY_COUNT, given);
  const { deps } = context;
  return tellRepeated(context, session, {
    cmdId,
    everyMs: COUNT_EVERY_MS,
    read: () => countEntities(deps.db, queryContext(deps, session.principal), query),
    toText: (count, before) => (count === before ? null : countText(cmdId, count)),
  });
};

const unsubscribe: CommandHandler = ({ queries }, session, { cmdId }) => {
  queries.get(session)?.delete(cmdId);
  return Promise.resolve(session.unsubscribe(cmdId));
};

export const entityCommands: Readonly<Record<string, CommandHandler>> = {
  ENTITY_DATA: entityData,
  ENTITY_DATA_UNSUBSCRIBE: unsubscribe,
  ENTITY_COUNT: entityCount,
  ENTITY_COUNT_UNSUBSCRIBE: unsubscribe,
};

function idOf({ entityId }: EntityData): News["latest"][number]["entityId"] {
  return entityId.id as News["latest"][number]["entityId"]; // it came from a uuid column
}

function dataText(
  cmdId: number,
  { data = null, update = null }: { readonly data?: unknown; readonly update?: unknown },
): string {
  return JSON.stringify({
    cmdId,
    cmdUpdateType: "ENTITY_DATA",
    data,
    update,
    errorCode: 0,
    errorMsg: null,
    allowedEntities: ENTITIES_MAX,
  });
}

/** As large as a page may be. */
const ENTITIES_MAX = 1_024;

function countText(cmdId: number, count: number): string {
  return JSON.stringify({ cmdId, cmdUpdateType: "COUNT_DATA", count, errorCode: 0, errorMsg: null });
}
