import { describe, expect, test } from "bun:test";
import { MUTANTS } from "./mutants.ts";
import { REGRESSION_SEEDS } from "./regressions.ts";
import { runSeed } from "./simulation.ts";

const SEEDS = 150;
/** Within so many seeds each fault has to show. */
const MUTANT_SEEDS_MAX = 500;

function failureOf(seed: number): string | null {
  const { failure } = runSeed(seed);
  return failure === null ? null : [`Seed ${seed}: ${failure.text}`, ...failure.trace].join("\n");
}

describe("the sync protocol under cuts, crashes and clones", () => {
  test(`keeps every guarantee in seeds 1 to ${SEEDS}`, () => {
    for (let seed = 1; seed <= SEEDS; seed += 1) expect(failureOf(seed)).toBeNull();
  });

  test.each([...REGRESSION_SEEDS])("keeps every guarantee in seed $seed: $found", ({ seed }) => {
    expect(failureOf(seed)).toBeNull();
  });

  test("is the same run for the same seed", () => {
    expect(runSeed(7)).toEqual(runSeed(7));
  });
});

describe("the simulation catches a product that", () => {
  test.each(MUTANTS.map((mutant) => [mutant.name, mutant] as const))("%s", (_name, { build }) => {
    for (let seed = 1; seed <= MUTANT_SEEDS_MAX; seed += 1) {
      if (runSeed(seed, build).failure !== null) return;
    }
    throw new Error(`Not caught in ${MUTANT_SEEDS_MAX} seeds`);
  });
});
