import type { Clock } from "../../shared/core/clock.ts";
import { WakeUp } from "../../shared/core/deferred.ts";
import { isBackfillOpen } from "../../shared/entities/backfill.ts";
import type { Change } from "../../shared/entities/change.ts";
import type { Log } from "../../shared/observe/log.ts";
import { databaseError } from "../../shared/postgres/connect.ts";
import { findOpenBackfill } from "../../shared/store/backfill-store.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { PORTION_RECORDS, takePortion } from "../store/backfill-portion.ts";
import type { GroupCommit } from "../store/group-commit.ts";
import type { Outbox } from "../store/outbox.ts";

// Sends history that the cloud asked for: one request after the other, a portion at a time, each in the commit that notes how far that is.
// A portion is taken only while little waits for the cloud. So whatever is measured meanwhile waits behind one portion at most, a backlog
// goes first, and nothing grows while the link is down.

/** More than this waits in the lane: the next portion has to. */
const PENDING_MAX = PORTION_RECORDS;
const LOOK_AGAIN_MS = 100;
/** The cloud hears so often how far it came. */
const TELL_EVERY_MS = 5_000;
const RETRY_MS = 5_000;

export interface BackfillDeps {
  readonly db: Queryable;
  readonly groupCommit: Pick<GroupCommit, "run">;
  readonly outbox: Pick<Outbox, "range">;
  readonly clock: Clock;
  readonly log: Log;
}

export interface Backfill {
  /** Changes were committed, by whomever. */
  note(changes: readonly Change[]): void;
  run(signal: AbortSignal): Promise<void>;
}

export function createBackfill(deps: BackfillDeps): Backfill {
  const { clock, db, groupCommit, log, outbox } = deps;
  const wakeUp = new WakeUp();
  let toldMs = -Infinity;

  const isCalm = async (): Promise<boolean> => {
    const { ackedSeq, nextSeq } = await outbox.range("telemetry");
    return nextSeq - 1 - ackedSeq <= PENDING_MAX;
  };

  /** @returns how long nothing is to be done; null: until somebody asks for something */
  const step = async (): Promise<number | null> => {
    const open = await findOpenBackfill(db);
    if (open === null) return null;
    if (!(await isCalm())) return LOOK_AGAIN_MS;
    const isTold = clock.monotonicMs() - toldMs >= TELL_EVERY_MS;
    const record = await groupCommit.run((tx) => takePortion(tx, deps, { id: open.id, isTold }));
    if (isTold) toldMs = clock.monotonicMs();
    if (record !== null && !isBackfillOpen(record))
      log.info("A request for history has ended", { id: record.id, state: record.state, records: record.records });
    return 0;
  };

  return {
    note: (changes) => {
      if (changes.some(({ kind }) => kind === "backfill-saved")) wakeUp.signal();
    },
    run: async (signal) => {
      while (!signal.aborted) {
        let waitMs: number | null;
        try {
          waitMs = await step();
        } catch (thrown) {
          log.warn("History that the cloud asked for could not be sent; it is tried again", {
            error: databaseError(thrown),
          });
          waitMs = RETRY_MS;
        }
        const wait = waitMs === null ? wakeUp.wait(signal) : clock.sleep(waitMs, signal);
        await wait.catch(() => undefined);
      }
    },
  };
}
