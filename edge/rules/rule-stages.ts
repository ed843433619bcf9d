import type { Change } from "../../shared/entities/change.ts";
import type { TelemetryRecord } from "../../shared/entities/telemetry.ts";
import type { Log } from "../../shared/observe/log.ts";
import { databaseError } from "../../shared/postgres/connect.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { NOTHING_DECIDED, type CommitRules, type Decision, type Stored, type Written } from "../store/commit-rules.ts";

// Rules of several kinds in one commit, one after the other: each sees what came and what those before it derived, and when they are
// written what those before it wrote. What the later ones did the earlier ones see in the next commit, for which `onUnseen` asks.
// A stage that fails decides nothing: it must not keep what devices send from the disk.

export interface RuleStagesDeps {
  readonly log: Log;
  /** There is something for a commit to look at. */
  readonly onUnseen: () => void;
}

/** @param stages in their order */
export function composeRules(deps: RuleStagesDeps, stages: readonly CommitRules[]): CommitRules {
  return new RuleStages(deps, stages);
}

interface StageDecision {
  readonly stage: CommitRules;
  readonly decision: Decision;
}

/** What a stage has not seen yet. */
interface Unseen {
  readonly records: TelemetryRecord[];
  readonly changes: Change[];
}

const UNSEEN_MAX = 10_000;

class RuleStages implements CommitRules {
  readonly #deps: RuleStagesDeps;
  readonly #stages: readonly CommitRules[];
  readonly #unseen: ReadonlyMap<CommitRules, Unseen>;

  constructor(deps: RuleStagesDeps, stages: readonly CommitRules[]) {
    this.#deps = deps;
    this.#stages = stages;
    this.#unseen = new Map(stages.map((stage) => [stage, { records: [], changes: [] }]));
  }

  get isIdle(): boolean {
    return this.#stages.every(({ isIdle }) => isIdle);
  }

  get revision(): number {
    return this.#stages.reduce((sum, { revision = 0 }) => sum + revision, 0);
  }

  isUrgent(records: readonly TelemetryRecord[]): boolean {
    return this.#stages.some((stage) => !stage.isIdle && stage.isUrgent(records));
  }

  async decide(db: Queryable, stored: Stored): Promise<Decision> {
    const decided: StageDecision[] = [];
    let { records } = stored;
    for (const stage of this.#stages) {
      if (stage.isIdle) continue;
      const unseen = this.#unseen.get(stage) ?? { records: [], changes: [] };
      const seen = {
        ...stored,
        records: unseen.records.length === 0 ? records : [...unseen.records, ...records],
        changes: unseen.changes.length === 0 ? stored.changes : [...unseen.changes, ...stored.changes],
      };
      const decision = await this.#decide(db, stage, seen);
      if (decision.records.length > 0) records = [...records, ...decision.records];
      decided.push({ stage, decision });
    }
    const [only] = decided;
    if (only === undefined) return NOTHING_DECIDED;
    return this.#join(decided);
  }

  async #decide(db: Queryable, stage: CommitRules, stored: Stored): Promise<Decision> {
    try {
      return await stage.decide(db, stored);
    } catch (thrown) {
      const error = databaseError(thrown);
      if (error.code === "DATABASE_UNAVAILABLE") throw thrown;
      this.#deps.log.error("Rules failed, and decide nothing about this commit", { error });
      return NOTHING_DECIDED;
    }
  }

  #join(decided: readonly StageDecision[]): Decision {
    const done: (Written & { readonly stage: CommitRules })[] = [];
    return {
      records: decided.flatMap(({ decision }) => decision.records),
      isEmpty: decided.every(({ decision }) => decision.isEmpty),
      write: async (tx, earlier) => {
        done.length = 0;
        const changes = [...earlier];
        for (const { decision, stage } of decided) {
          const written = await decision.write(tx, changes);
          changes.push(...written.changes);
          done.push({ ...written, stage });
        }
        return { changes: changes.slice(earlier.length), records: done.flatMap(({ records }) => records) };
      },
      committed: () => {
        for (const { decision, stage } of decided) {
          const unseen = this.#unseen.get(stage);
          if (unseen === undefined) continue;
          unseen.records.length = 0;
          unseen.changes.length = 0;
          decision.committed();
        }
        this.#showEarlier(decided, done);
      },
    };
  }

  /** What a stage did those before it have not seen. */
  #showEarlier(decided: readonly StageDecision[], done: readonly (Written & { readonly stage: CommitRules })[]): void {
    let isAny = false;
    for (const [index, { decision, stage }] of decided.entries()) {
      const written = done.find((one) => one.stage === stage);
      const records = [...decision.records, ...(written?.records ?? [])];
      const changes = written?.changes ?? [];
      if (records.length + changes.length === 0) continue;
      for (const earlier of this.#stages.slice(0, this.#stages.indexOf(stage))) {
        const unseen = this.#unseen.get(earlier);
        if (earlier.isIdle || unseen === undefined || index === 0) continue;
        if (unseen.records.length + unseen.changes.length > UNSEEN_MAX) continue;
        unseen.records.push(...records);
        unseen.changes.push(...changes);
        isAny = true;
      }
    }
    if (isAny) this.#deps.onUnseen();
  }
}
