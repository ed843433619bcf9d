import type { Uuid } from "../../core/ids.ts";
import type { AlarmData } from "../../entities/alarm-query.ts";
import { countAlarmsOf, findAlarmData } from "../../store/alarm-query.ts";
import type { Page } from "../../store/entity-store.ts";
import { alarmContext } from "../entity-queries.ts";
import { validate } from "../route.ts";
import type { CommandContext, CommandHandler, LiveDeps } from "./command-context.ts";
import { commandSchemas } from "./commands.ts";
import type { NewsListener } from "./data-watch.ts";
import { tellRepeated } from "./repeated.ts";

// Commands about the alarms of entities: a page of them, then the alarms of it that changed, or the page anew once others are on it.

const LOOK_EVERY_MS = 1_000;
/** Where a word tells of changes: for words that were lost, and for time windows that move on. */
const LOOK_AT_TOLD_EVERY_MS = 5_000;

const alarmData: CommandHandler = (context, session, given) => {
  const { cmdId, query } = validate(commandSchemas.ALARM_DATA, given);
  const { deps } = context;
  return tellRepeated(context, session, {
    cmdId,
    everyMs: lookEveryMs(deps),
    listen: (page, wake) => {
      const entities = (query.latestValues ?? []).length === 0 ? [] : page.data.map(({ entityId }) => entityId);
      return listenTo(context, { entities, wake });
    },
    read: () => findAlarmData(deps.db, alarmContext(deps, session.principal), query),
    toText: (now, before) => changeText(cmdId, now, before),
  });
};

const alarmCount: CommandHandler = (context, session, given) => {
  const { cmdId, query } = validate(commandSchemas.ALARM_COUNT, given);
  const { deps } = context;
  return tellRepeated(context, session, {
    cmdId,
    everyMs: lookEveryMs(deps),
    listen: (_, wake) => listenTo(context, { entities: [], wake }),
    read: () => countAlarmsOf(deps.db, alarmContext(deps, session.principal), query),
    toText: (count, before) =>
      count === before
        ? null
        : JSON.stringify({ cmdId, cmdUpdateType: "ALARM_COUNT_DATA", count, errorCode: 0, errorMsg: null }),
  });
};

const unsubscribe: CommandHandler = (_context, session, { cmdId }) => Promise.resolve(session.unsubscribe(cmdId));

export const alarmCommands: Readonly<Record<string, CommandHandler>> = {
  ALARM_DATA: alarmData,
  ALARM_DATA_UNSUBSCRIBE: unsubscribe,
  ALARM_COUNT: alarmCount,
  ALARM_COUNT_UNSUBSCRIBE: unsubscribe,
};

function lookEveryMs({ elsewhere }: LiveDeps): number {
  return elsewhere === undefined ? LOOK_EVERY_MS : LOOK_AT_TOLD_EVERY_MS;
}

/** Alarms, and the values of entities that are shown beside them. */
function listenTo(
  { alarms, watch }: CommandContext,
  { entities, wake }: { readonly entities: readonly AlarmData["entityId"][]; readonly wake: () => void },
): () => void {
  const stops = [alarms.watch(wake)];
  const ids = new Map(entities.map(({ id, entityType }) => [id as Uuid, entityType])); // of stored entities
  for (const [id, type] of ids) {
    // The first word is of what was read just now.
    let isFirst = true;
    const listener: NewsListener = () => {
      if (!isFirst) wake();
      isFirst = false;
      return Promise.resolve();
    };
    try {
      stops.push(watch.watch({ type, id }, listener));
    } catch {
      // Too many entities are watched: what changes of these is seen with the next look.
      break;
    }
  }
  return () => {
    for (const stop of stops) stop();
  };
}

function changeText(cmdId: number, now: Page<AlarmData>, before: Page<AlarmData> | null): string | null {
  if (before === null || idsOf(now) !== idsOf(before)) return dataText(cmdId, { data: now, update: null }, now);
  const known = new Set(before.data.map((alarm) => JSON.stringify(alarm)));
  const update = now.data.filter((alarm) => !known.has(JSON.stringify(alarm)));
  return update.length === 0 ? null : dataText(cmdId, { data: null, update }, now);
}

function idsOf({ data, totalElements }: Page<AlarmData>): string {
  return `${totalElements} ${data.map(({ id }) => id.id).join()}`;
}

function dataText(
  cmdId: number,
  change: { readonly data: unknown; readonly update: unknown },
  page: Page<AlarmData>,
): string {
  const { totalElements } = page;
  const allowed = { allowedEntities: totalElements, totalEntities: totalElements };
  return JSON.stringify({ cmdId, cmdUpdateType: "ALARM_DATA", ...change, errorCode: 0, errorMsg: null, ...allowed });
}
