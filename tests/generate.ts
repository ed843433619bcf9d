/**
 * `bun run generate [--name NAME]`: protobuf messages, SQL migrations, the modules that embed them, pages of docs/.
 * `--check` writes nothing and fails when what is there isn't what would be written.
 */
import { cp, mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { PROJECT_ROOT, runTool } from "./support/tools.ts";

const MESSAGES = "shared/wire/gen";
const GENERATORS = ["shared/postgres/generate-migrations.ts", "tests/generate-docs.ts", "tests/generate-api-types.ts"];

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { check: { type: "boolean", default: false }, name: { type: "string" } } });
  const problems = values.check ? await check() : await generate(values.name);
  for (const problem of problems) console.error(problem);
  process.exitCode = problems.length === 0 ? 0 : 1;
}

async function generate(migrationName: string | undefined): Promise<string[]> {
  const problems = await generateMessages(".");
  for (const side of await sidesWithSchema()) {
    problems.push(...(await generateMigrations(side, `drizzle/${side}`, migrationName)));
  }
  problems.push(...(await runGenerators([])));
  return problems;
}

async function check(): Promise<string[]> {
  await mkdir(join(PROJECT_ROOT, ".cache"), { recursive: true });
  const scratch = await mkdtemp(join(PROJECT_ROOT, ".cache/generate-"));
  const scratchFromRoot = scratch.slice(PROJECT_ROOT.length + 1);
  try {
    const problems = await generateMessages(scratchFromRoot);
    problems.push(...(await compareFolders(join(scratch, MESSAGES), MESSAGES)));
    for (const side of await sidesWithSchema()) {
      const history = `drizzle/${side}`;
      const copy = join(scratch, history);
      await cp(join(PROJECT_ROOT, history), copy, { recursive: true });
      problems.push(...(await generateMigrations(side, `${scratchFromRoot}/${history}`, "check")));
      problems.push(...(await compareFolders(copy, history)));
    }
    problems.push(...(await runGenerators(["--check"])));
    return problems;
  } finally {
    await rm(scratch, { recursive: true });
  }
}

/** The template names its output from the folder proto/; `outputRoot` stands for the root of the project. */
async function generateMessages(outputRoot: string): Promise<string[]> {
  return failure(await runTool(["buf", "generate", "--output", join("..", outputRoot, "proto")], { folder: "proto" }));
}

/** drizzle-kit asks on the terminal when a column may have been renamed; without one it fails and says so. */
async function generateMigrations(side: string, out: string, name: string | undefined): Promise<string[]> {
  const command = ["drizzle-kit", "generate", "--config", `drizzle/${side}.config.ts`];
  if (name !== undefined) command.push("--name", name);
  return failure(await runTool(command, { env: { SKERRY_DRIZZLE_OUT: out } }));
}

/** Generators in TypeScript; each takes `--check`. */
async function runGenerators(args: readonly string[]): Promise<string[]> {
  const problems: string[] = [];
  for (const generator of GENERATORS) problems.push(...failure(await runTool(["bun", generator, ...args])));
  return problems;
}

async function sidesWithSchema(): Promise<string[]> {
  const sides: string[] = [];
  for (const side of ["edge", "cloud"]) {
    if (await exists(`${side}/store/schema.ts`)) sides.push(side);
  }
  return sides;
}

/** What is different between the files just generated and those of the project. */
async function compareFolders(generated: string, committed: string): Promise<string[]> {
  const committedRoot = join(PROJECT_ROOT, committed);
  const paths = new Set([...(await listFiles(generated)), ...(await listFiles(committedRoot))]);
  const problems: string[] = [];
  for (const path of [...paths].toSorted()) {
    const [expected, current] = await Promise.all([
      readOrEmpty(join(generated, path)),
      readOrEmpty(join(committedRoot, path)),
    ]);
    if (expected !== current)
      problems.push(`${committed}/${path} is out of date: run \`bun run generate\` and commit the result`);
  }
  return problems;
}

async function listFiles(folder: string): Promise<string[]> {
  return Array.fromAsync(new Bun.Glob("**/*").scan({ cwd: folder, dot: true })).catch(() => []);
}

async function readOrEmpty(path: string): Promise<string> {
  const file = Bun.file(path);
  return (await file.exists()) ? file.text() : "";
}

function exists(path: string): Promise<boolean> {
  return Bun.file(join(PROJECT_ROOT, path)).exists();
}

function failure(result: { readonly exitCode: number; readonly output: string }): string[] {
  return result.exitCode === 0 ? [] : [result.output.trim()];
}

await main();
