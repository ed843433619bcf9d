import type { Clock } from "../../core/clock.ts";
import type { EntityDataQuery, QueryKey } from "../../entities/entity-query.ts";
import type { Log } from "../../observe/log.ts";
import type { Metrics } from "../../observe/metrics.ts";
import type { EntityQueryDeps } from "../entity-queries.ts";
import type { Authenticator } from "../principal.ts";
import type { TelemetryDeps } from "../telemetry.ts";
import type { AnyCommand, Command } from "./commands.ts";
import type { DataWatch } from "./data-watch.ts";
import type { LiveSession } from "./live-session.ts";

export interface LiveDeps extends TelemetryDeps, EntityQueryDeps {
  readonly authenticators: readonly Authenticator[];
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
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
  /** The entity queries of each connection, by number. */
  readonly queries: WeakMap<LiveSession, Map<number, EntitySubscription>>;
}

/** Answers by itself; what it throws becomes an answer with the number of the command. */
export type CommandHandler = (context: CommandContext, session: LiveSession, command: AnyCommand) => Promise<void>;
