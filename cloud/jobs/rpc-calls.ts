import type { Clock } from "../../shared/core/clock.ts";
import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { Change } from "../../shared/entities/change.ts";
import { parseRpcRecord, rpcAttempts, rpcStatus, type CallOutcome, type RpcRecord } from "../../shared/entities/rpc.ts";
import type { Log } from "../../shared/observe/log.ts";

// Requests to devices for whose answer a caller of this process waits. The answer may reach another process: each looks for what its
// callers wait for, and a word of an uplink of its own only makes it faster.

export interface RpcCalls {
  /** @throws AppError TOO_MANY_REQUESTS, ALREADY_EXISTS */
  call(record: RpcRecord): Promise<CallOutcome>;
  /** What an edge said was committed. */
  note(changes: readonly Change[]): void;
}

export interface RpcCallStore {
  /** Writes the request for the edges of its device. */
  begin(record: RpcRecord): Promise<void>;
  /** Those of `ids` that are there, as they are now. */
  read(ids: readonly Uuid[]): Promise<readonly RpcRecord[]>;
  end(id: Uuid): Promise<void>;
}

export interface RpcCallsDeps {
  readonly store: RpcCallStore;
  readonly clock: Clock;
  readonly log: Log;
}

/** Callers that wait at once. */
const CALLS_MAX = 1_000;
const POLL_MS = 250;

export function createRpcCalls({ store, clock, log }: RpcCallsDeps): RpcCalls {
  const waiting = new Map<Uuid, (outcome: CallOutcome) => void>();
  let isPolling = false;

  const settle = (record: RpcRecord): void => {
    const outcome = outcomeOf(record);
    if (outcome !== null) waiting.get(record.id)?.(outcome);
  };
  const look = async (): Promise<void> => {
    for (const record of await store.read([...waiting.keys()])) settle(record);
  };
  const poll = async (): Promise<void> => {
    isPolling = true;
    while (waiting.size > 0) {
      await clock.sleep(POLL_MS);
      await look().catch((error: unknown) => log.warn("Answers of devices were not looked for", { error }));
    }
    isPolling = false;
  };

  return {
    call: async (record) => {
      if (waiting.size >= CALLS_MAX)
        throw new AppError("TOO_MANY_REQUESTS", `${CALLS_MAX} requests to devices wait for their answers already`);
      const { promise, resolve } = Promise.withResolvers<CallOutcome | null>();
      const over = new AbortController();
      await store.begin(record);
      waiting.set(record.id, resolve);
      if (!isPolling) void poll();
      try {
        const leftMs = Math.max(0, record.expirationMs - clock.nowMs());
        clock.sleep(leftMs, over.signal).then(
          () => resolve(null),
          () => undefined,
        );
        return (await promise) ?? (await outcomeAtEnd(store, record));
      } finally {
        over.abort();
        waiting.delete(record.id);
        await store.end(record.id).catch((error: unknown) => log.warn("A request stays behind for a while", { error }));
      }
    },
    note: (changes) => {
      if (waiting.size === 0) return;
      for (const change of changes) if (change.kind === "rpc-saved") settle(parseRpcRecord(change.body));
    },
  };
}

/** null: it goes on. */
function outcomeOf(record: RpcRecord): CallOutcome | null {
  switch (rpcStatus(record)) {
    case "DELIVERED":
      return record.isOneway ? { kind: "delivered" } : null;
    case "SUCCESSFUL":
      return record.response === null ? { kind: "unreadable" } : { kind: "answered", response: record.response };
    case "FAILED":
      return { kind: "unreadable" };
    default:
      return null;
  }
}

async function outcomeAtEnd(store: RpcCallStore, { id }: RpcRecord): Promise<CallOutcome> {
  const [record] = await store.read([id]);
  if (record === undefined) return { kind: "no-connection" };
  return outcomeOf(record) ?? { kind: rpcAttempts(record) > 0 ? "no-answer" : "no-connection" };
}
