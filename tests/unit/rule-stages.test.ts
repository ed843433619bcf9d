import { describe, expect, test } from "bun:test";
import { composeRules } from "../../edge/rules/rule-stages.ts";
import { NOTHING_DECIDED, type CommitRules, type Decision, type Stored } from "../../edge/store/commit-rules.ts";
import { AppError } from "../../shared/core/errors.ts";
import { createUuid } from "../../shared/core/ids.ts";
import { createSeededRandom } from "../../shared/core/random.ts";
import type { Change } from "../../shared/entities/change.ts";
import type { CanonicalJson, TelemetryRecord } from "../../shared/entities/telemetry.ts";
import { silentLog } from "../../shared/observe/log.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";

const entityId = createUuid({ nowMs: () => 0 }, createSeededRandom(1));
const db = {} as Queryable; // nothing of it is asked
const record = (tsMs: number): TelemetryRecord => ({ entityId, tsMs, values: "{}" as CanonicalJson, keySet: "" });
const change = (id: string): Change => ({ kind: "entity-wanted", entity: { type: id, id: entityId } });
const stored = (...tsMs: number[]): Stored => ({ records: tsMs.map(record), changes: [], unsettled: () => [] });

interface Stage extends CommitRules {
  readonly saw: { readonly times: number[]; readonly changes: string[] }[];
  readonly wroteAfter: string[][];
  committed: number;
}

/** Derives a record at `tsMs`, and writes a change of its name. */
function stageOf(name: string, decide: Partial<Decision> | (() => never) = {}): Stage {
  const stage: Stage = {
    isIdle: false,
    isUrgent: () => false,
    saw: [],
    wroteAfter: [],
    committed: 0,
    decide: (_, { changes, records }) => {
      stage.saw.push({ times: records.map(({ tsMs }) => tsMs), changes: changes.map(({ entity }) => entity.type) });
      if (typeof decide === "function") return decide();
      return Promise.resolve({
        ...NOTHING_DECIDED,
        isEmpty: false,
        write: (_tx, earlier) => {
          stage.wroteAfter.push(earlier.map(({ entity }) => entity.type));
          return Promise.resolve({ changes: [change(name)], records: [] });
        },
        committed: () => void (stage.committed += 1),
        ...decide,
      });
    },
  };
  return stage;
}

describe("composeRules()", () => {
  test("shows a stage what those before it derived and wrote, and those before it what it did in the next commit", async () => {
    const [first, second] = [stageOf("first", { records: [record(2)] }), stageOf("second", { records: [record(3)] })];
    let asked = 0;
    const rules = composeRules({ log: silentLog, onUnseen: () => (asked += 1) }, [first, second]);
    const decision = await rules.decide(db, stored(1));
    expect(decision.records.map(({ tsMs }) => tsMs)).toEqual([2, 3]);
    const written = await decision.write(db, []);
    expect(written.changes.map(({ entity }) => entity.type)).toEqual(["first", "second"]);
    decision.committed();
    await rules.decide(db, stored(4));
    expect(second.wroteAfter).toEqual([["first"]]);
    expect(first.saw).toEqual([
      { times: [1], changes: [] },
      { times: [3, 4], changes: ["second"] },
    ]);
    expect(second.saw.map(({ times }) => times)).toEqual([
      [1, 2],
      [4, 2],
    ]);
    expect([asked, first.committed, second.committed]).toEqual([1, 1, 1]);
  });

  test("shows it again when the commit of it failed", async () => {
    const [first, second] = [stageOf("first", { isEmpty: true }), stageOf("second", { records: [record(3)] })];
    const rules = composeRules({ log: silentLog, onUnseen: () => undefined }, [first, second]);
    (await rules.decide(db, stored(1))).committed();
    await rules.decide(db, stored(4));
    await rules.decide(db, stored(5));
    expect(first.saw.map(({ times }) => times)).toEqual([[1], [3, 4], [3, 5]]);
  });

  test("lets a stage that fails decide nothing, and a database that is away end the commit", async () => {
    const failing = stageOf("failing", () => {
      throw new TypeError("a mistake");
    });
    const rules = composeRules({ log: silentLog, onUnseen: () => undefined }, [failing, stageOf("other")]);
    const decision = await rules.decide(db, stored(1));
    expect((await decision.write(db, [])).changes.map(({ entity }) => entity.type)).toEqual(["other"]);
    const away = stageOf("away", () => {
      throw new AppError("DATABASE_UNAVAILABLE", "It is away");
    });
    const deciding = composeRules({ log: silentLog, onUnseen: () => undefined }, [away]).decide(db, stored(1));
    await expect(deciding).rejects.toThrow("It is away");
  });
});
