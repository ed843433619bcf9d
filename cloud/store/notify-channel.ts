import type { PostgresConnection } from "../../shared/postgres/connect.ts";
import { openHeldSession, type HeldSessionDeps } from "../../shared/postgres/held-session.ts";

export interface NotifyChannelOptions {
  readonly connection: PostgresConnection;
  /** Payloads of every process that shares the database, this one included. Must not throw. */
  readonly onPayload: (payload: string) => void;
  /** The channel works again after a loss; what was sent meanwhile never comes. Must not throw. */
  readonly onBack: () => void;
}

export interface NotifyChannel extends AsyncDisposable {
  /** @throws AppError DATABASE_UNAVAILABLE while the channel is lost */
  notify(payload: string): Promise<void>;
}

const CHANNEL = "skerry_edges";

/**
 * LISTEN and NOTIFY over one connection of its own, which is opened again after each loss. A NOTIFY is a transaction by itself: inside
 * one that writes data it would make all of these wait for each other.
 *
 * Limit: PostgreSQL takes payloads below 8,000 bytes.
 */
export async function openNotifyChannel(deps: HeldSessionDeps, options: NotifyChannelOptions): Promise<NotifyChannel> {
  const session = await openHeldSession(deps, {
    connection: options.connection,
    applicationName: "skerry-notify",
    setUp: async (sql) => {
      // Nothing is to be kept of a NOTIFY, so no commit of it has to wait for the disk.
      await sql.unsafe("set synchronous_commit = off");
      await sql.unsafe(`listen ${CHANNEL}`);
    },
    onNotification: options.onPayload,
    onBack: options.onBack,
  });
  return {
    notify: (payload) => session.run(async (sql) => void (await sql`select pg_notify(${CHANNEL}, ${payload})`)),
    [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
  };
}
