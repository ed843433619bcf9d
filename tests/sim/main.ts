/**
 * `bun run sim --seeds N [--seed S] [--verbose]`: N runs of the simulation from seed S (1) on. The last line is the verdict,
 * `{"sim":"ok","seeds":N,"steps":…}`; on a failure seed, broken invariant and the last events come before it.
 */
import { parseArgs } from "node:util";
import { runSeed } from "./simulation.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "500" },
    seed: { type: "string", default: "1" },
    verbose: { type: "boolean", default: false },
  },
});

function main(): void {
  const seeds = Number(values.seeds);
  const first = Number(values.seed);
  if (!Number.isSafeInteger(seeds) || seeds < 1 || !Number.isSafeInteger(first) || first < 0) {
    console.error("Usage: bun run sim --seeds N [--seed S] [--verbose]");
    process.exitCode = 2;
    return;
  }
  const startMs = performance.now();
  const failed: number[] = [];
  let steps = 0;
  console.log(`Seeds ${first} to ${first + seeds - 1}`);
  for (let seed = first; seed < first + seeds; seed += 1) {
    const result = runSeed(seed);
    steps += result.steps;
    if (values.verbose) console.log(JSON.stringify({ seed, steps: result.steps, applied: result.applied }));
    if (result.failure === null) continue;
    failed.push(seed);
    console.log(`Seed ${seed} failed: ${result.failure.text}`);
    for (const line of result.failure.trace) console.log(`  ${line}`);
    if (failed.length >= 5) break;
  }
  const seconds = (performance.now() - startMs) / 1_000;
  const verdict = {
    sim: failed.length === 0 ? "ok" : "failed",
    seeds,
    steps,
    ...(failed.length === 0 ? {} : { failed }),
  };
  console.log(JSON.stringify({ ...verdict, seconds: Number(seconds.toFixed(1)) }));
  process.exitCode = failed.length === 0 ? 0 : 1;
}

main();
