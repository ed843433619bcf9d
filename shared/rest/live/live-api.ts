import type { Uuid } from "../../core/ids.ts";
import { repeat } from "../../core/lifecycle.ts";
import type { SocketOffer, SocketOpener } from "../../core/server-socket.ts";
import type { Change, EntityRef } from "../../entities/change.ts";
import { readAttributesOf, readLatestOf } from "../../store/live-data.ts";
import type { UnitOfWork } from "../../store/unit-of-work.ts";
import { withMade } from "../data-target.ts";
import { authenticationFailed } from "../principal.ts";
import { alarmCommands } from "./alarm-commands.ts";
import { ALARMS, AlarmWatch } from "./alarm-watch.ts";
import type { CommandContext, CommandHandler, LiveDeps } from "./command-context.ts";
import type { AnyCommand, ClientMessage } from "./commands.ts";
import { createDataWatch, type DataWatch } from "./data-watch.ts";
import { entityCommands } from "./entity-commands.ts";
import { createLiveSession, errorText, type LiveSession } from "./live-session.ts";
import { seriesCommands } from "./series-commands.ts";

/** What the caller is told of values while they change: the WebSocket side of the REST API. */
export interface LiveApi {
  /** null: the request is for nothing of this. */
  openSocket(request: Request): SocketOffer | null;
  /** These entities may have new values: whoever watches them hears of it within a moment, wherever it does. */
  readonly wake: (ids: readonly Uuid[]) => void;
  /** The same for what these changed. */
  readonly note: (changes: readonly Change[]) => void;
  /** Another process says so of these. */
  readonly hear: (ids: readonly Uuid[]) => void;
  /** What is watched here. */
  readonly watched: () => readonly Uuid[];
  run(signal: AbortSignal): Promise<void>;
  /** Ends all connections. */
  close(): void;
}

const PATHS: ReadonlySet<string> = new Set(["/api/ws", "/api/ws/plugins/telemetry"]);
/** Connections of one process; more are told to try again later. */
const CONNECTIONS_MAX = 5_000;
const RECHECK_EVERY_MS = 60_000;
const GOING_AWAY = 1001;
const TRY_LATER = 1013;

const HANDLERS: Readonly<Record<string, CommandHandler>> = { ...seriesCommands, ...entityCommands, ...alarmCommands };

export function createLiveApi(deps: LiveDeps): LiveApi {
  const { clock, log, metrics } = deps;
  const sessions = new Set<LiveSession>();
  const connections = metrics.gauge("skerry_websockets");
  metrics.onRender(() => connections.set(sessions.size));
  const watch = createWatch(deps);
  const alarms = new AlarmWatch(() => deps.elsewhere?.watch(ALARMS));
  const hear = (ids: readonly Uuid[]): void => {
    watch.wake(ids);
    alarms.wake(ids);
  };
  const wake = (ids: readonly Uuid[]): void => {
    hear(ids);
    deps.elsewhere?.wake(ids);
  };
  const context: CommandContext = { deps, watch, alarms, queries: new WeakMap() };
  const authenticate = (credentials: NonNullable<ClientMessage["credentials"]>) => {
    const authenticator = deps.authenticators.find(({ scheme }) => scheme === credentials.scheme);
    return authenticator === undefined
      ? Promise.reject(authenticationFailed())
      : authenticator.authenticate(credentials.value);
  };
  const execute = (session: LiveSession, command: AnyCommand): Promise<void> =>
    executeCommand(context, session, command);
  const recheck = async (): Promise<void> => {
    for (const session of sessions) await session.recheck();
  };
  return {
    wake,
    note: (changes) => {
      const ids = changes.flatMap((change) => (isOfAttributes(change) ? change.entity.id : []));
      if (changes.some(({ kind }) => kind === "alarm-saved" || kind === "alarm-removed")) ids.push(ALARMS);
      if (ids.length > 0) wake(ids);
    },
    hear,
    watched: () => [...watch.watched(), ...alarms.watched()],
    openSocket: (request) => {
      const url = new URL(request.url);
      if (!PATHS.has(url.pathname)) return null;
      // The request is gone once the socket is open.
      const credentials = credentialsOf(request, url);
      const open: SocketOpener = (socket) => {
        const onClose = (): void => void sessions.delete(session);
        const sleep = (delayMs: number, signal: AbortSignal): Promise<void> => clock.sleep(delayMs, signal);
        const session = createLiveSession({ socket, authenticate, execute, sleep, onClose }, credentials);
        if (sessions.size >= CONNECTIONS_MAX) session.close(TRY_LATER, "Too many connections");
        else sessions.add(session);
        return session;
      };
      return { open };
    },
    run: async (signal) => {
      const sleep = (delayMs: number, abort: AbortSignal): Promise<void> => clock.sleep(delayMs, abort);
      const onError = (error: unknown): void => log.warn("Connections were not looked at", { error });
      await Promise.all([watch.run(signal), repeat(recheck, { intervalMs: RECHECK_EVERY_MS, sleep, onError }, signal)]);
    },
    close: () => {
      for (const session of sessions) session.close(GOING_AWAY, "The server stops");
    },
  };
}

/** `save`, after which those who watch hear of it at once. */
export function wakingSave(
  save: LiveDeps["saveTelemetry"],
  { wake }: { readonly wake: (ids: readonly Uuid[]) => void },
): LiveDeps["saveTelemetry"] {
  return async (records) => {
    await save(records);
    wake([...new Set(records.map(({ entityId }) => entityId))]);
  };
}

/** `unitOfWork`, after whose commits those who watch what changed hear of it at once. */
export function wakingWork<T extends UnitOfWork>(unitOfWork: T, note: LiveApi["note"]): T {
  const run: UnitOfWork["run"] = async (work) => {
    let changes: readonly Change[] = [];
    const result = await unitOfWork.run(async (tx) => {
      const outcome = await work(tx);
      ({ changes } = outcome);
      return outcome;
    });
    note(changes);
    return result;
  };
  return { ...unitOfWork, run };
}

function isOfAttributes({ kind }: Change): boolean {
  return kind === "attributes-saved" || kind === "attributes-deleted";
}

/** What answers to commands with a query are called, errors too; others go by `subscriptionId`. */
const UPDATE_TYPES: Readonly<Record<string, string | undefined>> = {
  ENTITY_DATA: "ENTITY_DATA",
  ENTITY_COUNT: "COUNT_DATA",
  ALARM_DATA: "ALARM_DATA",
  ALARM_COUNT: "ALARM_COUNT_DATA",
};

async function executeCommand(context: CommandContext, session: LiveSession, command: AnyCommand): Promise<void> {
  const { cmdId, type } = command;
  const handler = HANDLERS[type];
  try {
    if (handler !== undefined) return await handler(context, session, command);
    session.send(
      JSON.stringify({ cmdId, subscriptionId: cmdId, errorCode: 2, errorMsg: `Unsupported command ${type}` }),
    );
  } catch (error) {
    const cmdUpdateType = UPDATE_TYPES[type];
    session.send(
      errorText(cmdUpdateType === undefined ? { cmdId, subscriptionId: cmdId } : { cmdId, cmdUpdateType }, error),
    );
  }
}

function createWatch(deps: LiveDeps): DataWatch {
  const { clock, db, elsewhere, log, others = {}, settleLatest } = deps;
  const readMade = async (entities: readonly EntityRef[]) =>
    (await Promise.all(entities.map(({ id, type }) => others[type]?.made?.(id) ?? Promise.resolve([])))).flat();
  // Of what is not stored as an entity no change is told.
  const isTold = ({ type }: EntityRef): boolean => others[type] === undefined;
  return createDataWatch({
    clock,
    log,
    ...(elsewhere === undefined ? {} : { isTold, onWatch: (id) => elsewhere.watch(id) }),
    readLatest: async (ids) => {
      await settleLatest?.();
      return readLatestOf(db, ids);
    },
    readAttributes: async (entities) => {
      const ids = entities.map(({ id }) => id);
      return withMade(await readAttributesOf(db, ids), await readMade(entities));
    },
  });
}

/** By header, as for the REST API, or by `?token=`. */
function credentialsOf({ headers }: Request, url: URL): ClientMessage["credentials"] {
  const header = headers.get("x-authorization") ?? headers.get("authorization");
  const match = /^(\S+)\s+(\S+)\s*$/.exec(header ?? "");
  if (match?.[1] !== undefined && match[2] !== undefined) return { scheme: match[1].toLowerCase(), value: match[2] };
  const token = url.searchParams.get("token");
  return token === null ? null : { scheme: "bearer", value: token };
}
