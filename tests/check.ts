/** `bun run check`: every check of the repository; all of them run even when one fails. */
import { availableParallelism } from "node:os";
import { formatDuration, PROJECT_ROOT, runTool } from "./support/tools.ts";

interface Step {
  readonly name: string;
  readonly command: readonly string[];
}

interface StepResult {
  readonly name: string;
  readonly passed: boolean;
  readonly output: string;
  readonly durationMs: number;
}

const STEPS: readonly Step[] = [
  { name: "types", command: ["tsc", "--project", "tsconfig.json"] },
  { name: "types of pages", command: ["tsc", "--project", "shared/ui/tsconfig.json"] },
  { name: "lint", command: ["oxlint", "--type-aware", "--deny-warnings"] },
  { name: "boundaries", command: ["bun", "tests/support/check-boundaries.ts"] },
  { name: "format", command: ["oxfmt", "--check", "."] },
  { name: "unused", command: ["knip", "--no-progress", "--treat-config-hints-as-errors"] },
  { name: "protocol lint", command: ["buf", "lint", "proto"] },
  { name: "protocol breaking", command: ["buf", "breaking", "proto", "--against", ".git#ref=HEAD,subdir=proto"] },
  { name: "generated code", command: ["bun", "tests/generate.ts", "--check"] },
];

async function main(): Promise<void> {
  const results = await runSteps(await selectSteps());
  const width = Math.max(...results.map(({ name }) => name.length));
  for (const { name, passed, durationMs } of results) {
    console.log(`${passed ? "ok  " : "FAIL"}  ${name.padEnd(width)}  ${formatDuration(durationMs)}`);
  }
  const failed = results.filter(({ passed }) => !passed).map(({ name }) => name);
  console.log(failed.length === 0 ? "All checks passed" : `Failed: ${failed.join(", ")}`);
  process.exitCode = failed.length === 0 ? 0 : 1;
}

/** The steps named on the command line, or all; a tree without history has nothing that it could break. */
async function selectSteps(): Promise<Step[]> {
  const wanted = process.argv.slice(2);
  const hasHistory = (await runTool(["git", "cat-file", "-e", "HEAD:proto"]).catch(() => undefined))?.exitCode === 0;
  return STEPS.filter(({ name }) => wanted.length === 0 || wanted.includes(name)).filter(
    ({ name }) => name !== "protocol breaking" || hasHistory,
  );
}

async function runSteps(steps: readonly Step[]): Promise<StepResult[]> {
  const results = new Map<string, StepResult>();
  const waiting = [...steps];
  const work = async (): Promise<void> => {
    for (let step = waiting.shift(); step !== undefined; step = waiting.shift()) {
      const result = await runStep(step);
      results.set(step.name, result);
      if (!result.passed) console.log(`--- ${result.name}: ${step.command.join(" ")}\n${result.output.trimEnd()}\n`);
    }
  };
  await Promise.all(Array.from({ length: Math.min(2, availableParallelism()) }, work));
  return steps.flatMap(({ name }) => results.get(name) ?? []);
}

async function runStep({ name, command }: Step): Promise<StepResult> {
  try {
    const { exitCode, output, durationMs } = await runTool(command, { timeoutMs: 300_000 });
    return { name, passed: exitCode === 0, output: output.replaceAll(`${PROJECT_ROOT}/`, ""), durationMs };
  } catch (thrown) {
    return { name, passed: false, output: String(thrown), durationMs: 0 };
  }
}

await main();
