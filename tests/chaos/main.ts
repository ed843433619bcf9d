/**
 * `bun run chaos [--minutes M] [--seed S] [--faults N] [--verbose]`: real processes under load and faults. The last line is
 * the verdict as JSON; docs/proofs.md tells what its fields mean. The exit code is 1 unless it is `pass`.
 *
 * `bun run chaos --mutants [--minutes M] [--seed S]`: the same against versions that are broken on purpose; a line for each,
 * and exit code 1 unless each was caught.
 */
import { parseArgs } from "node:util";
import { startPowerDisk } from "../power/power-disk.ts";
import { createPatchedTree } from "../support/patched-tree.ts";
import { createTestBed } from "../support/test-bed.ts";
import { runChaos, type ChaosOptions, type ChaosVerdict } from "./chaos-run.ts";
import { MUTANTS, POWER_MUTANTS, type Mutant } from "./mutants.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string" },
    seed: { type: "string" },
    faults: { type: "string" },
    verbose: { type: "boolean", default: false },
    mutants: { type: "boolean", default: false },
    power: { type: "boolean", default: false },
  },
});

const MINUTES = 5;
const MUTANT_MINUTES = 0.25;
const MUTANT_CONVERGE_MS = 20_000;
/** Whether a fault meets the weak moment is chance. */
const MUTANT_ATTEMPTS_MAX = 5;

async function main(): Promise<void> {
  const minutes = Number(values.minutes ?? (values.mutants ? MUTANT_MINUTES : MINUTES));
  const seed = Number(values.seed ?? Math.floor(Math.random() * 1_000_000));
  const faultsMax = values.faults === undefined ? undefined : Number(values.faults);
  if (!(minutes > 0) || !Number.isSafeInteger(seed) || !(faultsMax === undefined || faultsMax > 0)) {
    console.error("Usage: bun run chaos [--minutes M] [--seed S] [--faults N] [--verbose] [--mutants]");
    process.exitCode = 2;
    return;
  }
  // The hooks for the exit end all processes and unmount the disk.
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));
  console.log(`Seed ${seed}`);
  const options = { seed, durationMs: minutes * 60_000, faultsMax };
  process.exitCode = (values.mutants ? await runMutants(options) : await runProduct(options)) ? 0 : 1;
}

async function runProduct(options: ChaosOptions): Promise<boolean> {
  const { verdict, report } = await run(options);
  if (verdict.verdict === "fail") console.error(report());
  console.log(JSON.stringify(verdict));
  return verdict.verdict === "pass";
}

async function runMutants(options: ChaosOptions): Promise<boolean> {
  let missed = 0;
  const mutants = values.power ? POWER_MUTANTS : MUTANTS;
  for (const mutant of mutants) if (!(await isCaught(mutant, options))) missed += 1;
  console.log(JSON.stringify({ verdict: missed === 0 ? "pass" : "fail", mutants: mutants.length, missed }));
  return missed === 0;
}

async function isCaught(mutant: Mutant, options: ChaosOptions): Promise<boolean> {
  const { faults, mayNotStart = false, name, patches, places, shows } = mutant;
  await using tree = await createPatchedTree(patches);
  for (let attempt = 0; attempt < MUTANT_ATTEMPTS_MAX; attempt += 1) {
    const seed = options.seed + attempt;
    const where = { places, faults, convergeWithinMs: MUTANT_CONVERGE_MS, sourceDir: tree.dir };
    const { verdict } = await run({ ...options, ...where, seed });
    const found = verdict[shows] ?? 0;
    const isDead = mayNotStart && verdict.error?.includes("did not get ready") === true;
    const caught = verdict.verdict === "fail" && (found > 0 || isDead);
    console.log(
      JSON.stringify({ mutant: name, caught, seed, faults: verdict.faults, [shows]: isDead ? "all" : found }),
    );
    if (caught) return true;
  }
  return false;
}

interface Run {
  readonly verdict: Partial<ChaosVerdict> & { readonly error?: string };
  /** The last lines of all processes, then what happened. */
  readonly report: () => string;
}

async function run(options: ChaosOptions): Promise<Run> {
  await using bed = await createTestBed();
  const disk = values.power ? bed.use(await startPowerDisk(await bed.createFolder("power"))) : undefined;
  const lines: string[] = [];
  const onLine = (line: string): void => {
    lines.push(line);
    if (values.verbose) console.log(line);
  };
  const report = (logs: string) => (): string => [logs, ...lines.slice(-60)].join("\n");
  try {
    const verdict = await runChaos(bed, { ...options, disk, onLine });
    return { verdict, report: report(bed.logs()) };
  } catch (error) {
    return { verdict: { verdict: "fail", seed: options.seed, error: String(error) }, report: report(bed.logs()) };
  }
}

await main();
