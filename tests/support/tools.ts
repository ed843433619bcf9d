import { delimiter, dirname, join, resolve } from "node:path";

/** The folder of package.json. */
export const PROJECT_ROOT = resolve(import.meta.dir, "../..");

export interface ToolResult {
  readonly exitCode: number;
  /** Standard output, then standard error, without colours. */
  readonly output: string;
  readonly durationMs: number;
}

export interface ToolOptions {
  /** Folder to run in, from the root of the project. @default "." */
  readonly folder?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Whether the output goes to the terminal instead of the result. @default false */
  readonly inherit?: boolean;
  /** The tool is killed after this time. @default 600_000 */
  readonly timeoutMs?: number;
}

/** Runs a program of node_modules/.bin, or `bun` itself. */
export async function runTool(command: readonly string[], options: ToolOptions = {}): Promise<ToolResult> {
  const { folder = ".", env = {}, inherit = false, timeoutMs = 600_000 } = options;
  const startedMs = performance.now();
  const [name = "", ...args] = command;
  const child = Bun.spawn([name === "bun" ? process.execPath : name, ...args], {
    cwd: join(PROJECT_ROOT, folder),
    env: { ...process.env, PATH: toolPath(), ...env },
    stdin: "ignore",
    stdout: inherit ? "inherit" : "pipe",
    stderr: inherit ? "inherit" : "pipe",
    timeout: timeoutMs,
    killSignal: "SIGKILL",
  });
  const [stdout, stderr, exitCode] = await Promise.all([readAll(child.stdout), readAll(child.stderr), child.exited]);
  return { exitCode, output: Bun.stripANSI(stdout + stderr), durationMs: performance.now() - startedMs };
}

function toolPath(): string {
  const inherited = process.env["PATH"] ?? "";
  return [join(PROJECT_ROOT, "node_modules/.bin"), inherited, dirname(process.execPath)].join(delimiter);
}

function readAll(stream: ReadableStream<Uint8Array> | undefined): Promise<string> {
  return stream === undefined ? Promise.resolve("") : new Response(stream).text();
}

/** `12.3 s`, for people. */
export function formatDuration(durationMs: number): string {
  return `${(durationMs / 1000).toFixed(1)} s`;
}
