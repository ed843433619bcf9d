import { expect, test } from "bun:test";
import { startPowerDisk, whyNoPowerDisk } from "../power/power-disk.ts";
import { applyPatches } from "../support/patched-tree.ts";
import { withTestBed } from "../support/test-bed.ts";
import { runChaos, type ChaosOptions, type ChaosVerdict } from "./chaos-run.ts";
import { MUTANTS, POWER_MUTANTS } from "./mutants.ts";

/** Even: telemetry interleaved, as by default; odd: oldest first, which the checker can follow into the cloud. */
const SEED = 6;
const POWER_SEED = 1;
const DURATION_MS = 22_000;
const POWER_LOSSES = 10;
/** A run that had hardly a chance to fail proves nothing. */
const FAULTS_MIN = 15;
const MESSAGES_MIN = 500;

/** Prints what happened when the verdict is not "pass". */
async function chaos(
  bed: Parameters<Parameters<typeof withTestBed>[0]>[0],
  options: ChaosOptions,
): Promise<ChaosVerdict> {
  const lines: string[] = [];
  const verdict = await runChaos(bed, { ...options, onLine: (line) => lines.push(line) });
  if (verdict.verdict === "fail") throw new Error([...lines, JSON.stringify(verdict)].join("\n"));
  return verdict;
}

test("nothing is lost, doubled or disordered while both ends, their databases, links and devices fail", async () => {
  const verdict = await withTestBed((bed) => chaos(bed, { seed: SEED, durationMs: DURATION_MS }));
  expect(verdict.faults).toBeGreaterThan(FAULTS_MIN);
  expect(verdict.acknowledged).toBeGreaterThan(MESSAGES_MIN);
});

// Where CI can't mount the disk this has to fail, not to be passed over.
test.skipIf(whyNoPowerDisk() !== undefined && process.env["CI"] === undefined)(
  "nothing acknowledged is lost when the edge's machine loses its power and all that was not synced",
  async () => {
    const verdict = await withTestBed(async (bed) => {
      const disk = bed.use(await startPowerDisk(await bed.createFolder("power")));
      return await chaos(bed, { seed: POWER_SEED, durationMs: 60_000, faultsMax: POWER_LOSSES, disk });
    });
    expect(verdict.faults).toBe(POWER_LOSSES);
    expect(verdict.acknowledged).toBeGreaterThan(MESSAGES_MIN);
  },
);

test("every mutant fits the sources of now", async () => {
  for (const { patches } of [...MUTANTS, ...POWER_MUTANTS])
    expect((await applyPatches(patches)).size).toBeGreaterThan(0);
});
