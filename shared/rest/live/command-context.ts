import type { Clock } from "../../core/clock.ts";
import type { Uuid } from "../../core/ids.ts";
import type { EntityDataQuery, QueryKey } from "../../entities/entity-query.ts";
import type { Log } from "../../observe/log.ts";
import type { Metrics } from "../../observe/metrics.ts";
import type { EntityQueryDeps } from "../entity-queries.ts";
import type { Authenticator } from "../principal.ts";
import type { TelemetryDeps } from "../telemetry.ts";
import type { AlarmWatch } from "./alarm-watch.ts";
import type { AnyCommand, Command } from "./commands.ts";
import type { DataWatch } from "./data-watch.ts";
import type { LiveSession } from "./live-session.ts";

/** Processes that share the database. */
export interface Elsewhere {
  /** Somebody watches this here from now on. */
  watch(id: Uuid): void;
  /** New values of these were committed here. */
  wake(ids: readonly Uuid[]): void;
}

export interface LiveDeps extends TelemetryDeps, EntityQueryDeps {
  readonly authenticators: readonly Authenticator[];
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Given by who calls `wake` or `note` after each commit: changes are looked for seldom then. @default nobody tells of changes */
  readonly elsewhere?: Elsewhere;
}

/** What a command asked for, which later ones of its number change in parts. */
export interface EntitySubscription {
  readonly query: EntityDataQuery;
  readonly latestKeys: readonly QueryKey[];
  readonly tsCmd: Command<"ENTITY_DATA">["tsCmd"];
}

/** What commands are carried out with. */
export interface CommandContext {
  readonly deps: LiveDeps;
  readonly watch: DataWatch;
  readonly alarms: AlarmWatch;
  /** The entity queries of each connection, by number. */
  readonly queries: WeakMap<LiveSession, Map<number, EntitySubscription>>;
}

/** Answers by itself; what it throws becomes an answer with the number of the command. */
export type CommandHandler = (context: CommandContext, session: LiveSession, command: AnyCommand) => Promise<void>;
