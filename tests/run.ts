/**
 * `bun run test [GROUP|PATH...]`: all tests, or the groups and files named.
 * The last line is `N passed, N failed`, with `, N skipped` behind it where there are any.
 */
import { chmod, constants, copyFile, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureEdgeBinary } from "./support/edge-binary.ts";
import { formatDuration, PROJECT_ROOT, runTool } from "./support/tools.ts";

interface Group {
  readonly name: string;
  /** Ceiling of one test. */
  readonly testTimeoutMs: number;
  /** Ceiling of the whole group: a hanging test must not hold up the run. */
  readonly groupTimeoutMs: number;
  /** Files at a time; what starts servers and measures times goes one by one. */
  readonly filesAtOnce: number;
  /** Whether the tests start the compiled edge. */
  readonly needsBinary: boolean;
}

interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

const GROUPS: readonly Group[] = [
  { name: "unit", testTimeoutMs: 20_000, groupTimeoutMs: 90_000, filesAtOnce: 2, needsBinary: false },
  { name: "model", testTimeoutMs: 60_000, groupTimeoutMs: 90_000, filesAtOnce: 2, needsBinary: false },
  { name: "sim", testTimeoutMs: 90_000, groupTimeoutMs: 120_000, filesAtOnce: 2, needsBinary: false },
  { name: "integration", testTimeoutMs: 60_000, groupTimeoutMs: 300_000, filesAtOnce: 2, needsBinary: false },
  { name: "e2e", testTimeoutMs: 120_000, groupTimeoutMs: 480_000, filesAtOnce: 2, needsBinary: true },
  { name: "browser", testTimeoutMs: 40_000, groupTimeoutMs: 90_000, filesAtOnce: 2, needsBinary: true },
  { name: "timing", testTimeoutMs: 120_000, groupTimeoutMs: 130_000, filesAtOnce: 1, needsBinary: true },
  { name: "chaos", testTimeoutMs: 120_000, groupTimeoutMs: 240_000, filesAtOnce: 1, needsBinary: true },
];

/** Of one file, where its tests say that they can run at once. */
const CONCURRENT_TESTS_MAX = 3;

const RESULTS_FOLDER = ".cache/test-results";

async function main(): Promise<void> {
  const wanted = process.argv.slice(2);
  await rm(join(PROJECT_ROOT, RESULTS_FOLDER), { recursive: true, force: true });
  await mkdir(join(PROJECT_ROOT, RESULTS_FOLDER), { recursive: true });
  let total: Counts = { passed: 0, failed: 0, skipped: 0 };
  await using bun = await provideBun();
  for (const group of GROUPS) {
    const paths = selectPaths(group.name, wanted);
    if (paths.length === 0 || !(await hasTests(group.name))) continue;
    total = add(total, await runGroup(group, bun.path, paths));
  }
  const skipped = total.skipped === 0 ? "" : `, ${total.skipped} skipped`;
  console.log(`${total.passed} passed, ${total.failed} failed${skipped}`);
  process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1;
}

interface ProvidedBun extends AsyncDisposable {
  readonly path: string;
}

/**
 * This Bun where every user can run it: tests that run as root start programs as somebody else, and what npx fetched for
 * root lies in root's home.
 */
async function provideBun(): Promise<ProvidedBun> {
  if (process.getuid?.() !== 0) return { path: process.execPath, [Symbol.asyncDispose]: () => Promise.resolve() };
  const folder = await mkdtemp(join(tmpdir(), "skerry-bun-"));
  const path = join(folder, "bun");
  await copyFile(process.execPath, path, constants.COPYFILE_FICLONE);
  await Promise.all([chmod(folder, 0o755), chmod(path, 0o755)]);
  return { path, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
}

/** What `bun test` is given for a group: its folder, the files of it that were named, or nothing. */
function selectPaths(group: string, wanted: readonly string[]): string[] {
  const folder = `tests/${group}`;
  if (wanted.length === 0 || wanted.includes(group)) return [`./${folder}`];
  return wanted
    .filter((path) => path.replace(/^\.\//, "").startsWith(`${folder}/`))
    .map((path) => `./${path.replace(/^\.\//, "")}`);
}

async function hasTests(group: string): Promise<boolean> {
  for await (const _ of new Bun.Glob(`tests/${group}/**/*.test.ts`).scan({ cwd: PROJECT_ROOT })) return true;
  return false;
}

async function runGroup(group: Group, bun: string, paths: readonly string[]): Promise<Counts> {
  if (group.needsBinary) await ensureEdgeBinary();
  const report = `${RESULTS_FOLDER}/${group.name}.xml`;
  const command = [bun, "test", "--no-orphans", "--only-failures", `--timeout=${group.testTimeoutMs}`];
  command.push(group.filesAtOnce === 1 ? "--isolate" : `--parallel=${group.filesAtOnce}`);
  command.push(
    `--max-concurrency=${CONCURRENT_TESTS_MAX}`,
    "--reporter=junit",
    `--reporter-outfile=${report}`,
    ...paths,
  );
  console.log(`=== ${group.name}`);
  const { exitCode, durationMs } = await runTool(command, { inherit: true, timeoutMs: group.groupTimeoutMs });
  const counts = await readCounts(join(PROJECT_ROOT, report));
  console.log(`=== ${group.name}: ${counts.passed} passed, ${counts.failed} failed, ${formatDuration(durationMs)}\n`);
  const ranTests = counts.passed + counts.failed + counts.skipped > 0;
  if (counts.failed > 0 || (exitCode === 0 && ranTests)) return counts;
  // A module that doesn't load, an exit in the middle or a group out of time is in no count.
  console.log(
    `=== ${group.name} ended with code ${exitCode} after ${formatDuration(durationMs)}, counted as one failure`,
  );
  return { ...counts, failed: 1 };
}

/** Sums of the JUnit report; none at all if the run didn't live to write it. */
async function readCounts(path: string): Promise<Counts> {
  const file = Bun.file(path);
  if (!(await file.exists())) return { passed: 0, failed: 0, skipped: 0 };
  const root = /<testsuites\b[^>]*>/.exec(await file.text())?.[0] ?? "";
  const attribute = (name: string): number => Number(new RegExp(`\\b${name}="(\\d+)"`).exec(root)?.[1] ?? 0);
  const failed = attribute("failures") + attribute("errors");
  const skipped = attribute("skipped");
  return { passed: attribute("tests") - failed - skipped, failed, skipped };
}

function add(one: Counts, other: Counts): Counts {
  return {
    passed: one.passed + other.passed,
    failed: one.failed + other.failed,
    skipped: one.skipped + other.skipped,
  };
}

await main();
