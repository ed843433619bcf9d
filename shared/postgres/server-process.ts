import { spawn, type ChildProcess } from "node:child_process";
import { join } from "node:path";
import { AppError } from "../core/errors.ts";
import { SHIM_PATH } from "./distribution.ts";
import type { ServerIdentity } from "./server-identity.ts";

export interface ProcessExit {
  readonly code: number | null;
  readonly signal: string | null;
}

/** A child of the server's distribution: initdb or postgres. */
export interface ServerProcess {
  readonly pid: number;
  /** Resolves when the process ended, and its output was read unless a signal ended it. */
  readonly exited: Promise<ProcessExit>;
  kill(signal: NodeJS.Signals): void;
  /** Ends the process and everything that it started, at once. */
  readonly killGroup: () => void;
}

export interface LaunchOptions {
  readonly program: "initdb" | "postgres";
  readonly arguments: readonly string[];
  readonly distributionDir: string;
  /** Has to lie in the home: leftovers are recognised by it. */
  readonly workDir: string;
  readonly identity: ServerIdentity;
  readonly onLine: (line: string) => void;
}

/** @throws AppError DIRECTORY_UNWRITABLE when the program can't be executed */
export async function launch(options: LaunchOptions): Promise<ServerProcess> {
  const { distributionDir, identity } = options;
  const program = join(distributionDir, "bin", options.program);
  const child = spawn(program, options.arguments, {
    cwd: options.workDir,
    // Its own session: Ctrl-C in a terminal reaches the program, which stops the server after its own work.
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    // A fixed environment: PG* variables or a locale of the caller change nothing.
    env: {
      LC_ALL: "C",
      TZ: "UTC",
      PATH: "",
      LD_PRELOAD: join(distributionDir, SHIM_PATH),
    },
    // With a uid the supplementary groups are dropped as well.
    ...(identity.dropsRoot ? { uid: identity.uid, gid: identity.gid } : {}),
  });
  return await watch(child, program, options.onLine);
}

async function watch(child: ChildProcess, program: string, onLine: (line: string) => void): Promise<ServerProcess> {
  const exited = new Promise<ProcessExit>((resolve) => {
    // Children that outlive a killed server hold its output open; a server that ends by itself has something to say.
    child.once("exit", (code, signal) => {
      if (signal !== null) resolve({ code, signal });
    });
    child.once("close", (code, signal) => resolve({ code, signal }));
  });
  forwardLines(child.stdout, onLine);
  forwardLines(child.stderr, onLine);
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", (error) =>
      reject(
        new AppError(
          "DIRECTORY_UNWRITABLE",
          `Can't execute ${program}: ${error.message}; a file system mounted with noexec can't hold it`,
          {
            cause: error,
          },
        ),
      ),
    );
  });
  const pid = child.pid;
  if (pid === undefined) throw new AppError("INTERNAL", `Expected a pid of ${program}`);
  return { pid, exited, kill: (signal) => void child.kill(signal), killGroup: () => killGroup(pid) };
}

function killGroup(leader: number): void {
  try {
    process.kill(-leader, "SIGKILL");
  } catch {
    // All of it is gone.
  }
}

const LINE_LENGTH_MAX = 64 * 1024;

function forwardLines(stream: ChildProcess["stdout"], onLine: (line: string) => void): void {
  let rest = "";
  stream?.setEncoding("utf8");
  stream?.on("data", (chunk: string) => {
    const lines = (rest + chunk).split("\n");
    rest = (lines.pop() ?? "").slice(0, LINE_LENGTH_MAX);
    for (const line of lines) if (line !== "") onLine(line);
  });
  stream?.on("end", () => {
    if (rest !== "") onLine(rest);
  });
  stream?.on("error", () => undefined);
}

/** What the last lines of initdb or postgres say about why it ended. */
export function classifyServerOutput(lines: readonly string[], action: string): AppError {
  const text = lines.join("\n");
  const lastLine = lines.findLast((line) => /FATAL|PANIC|ERROR|error:/.test(line)) ?? lines.at(-1) ?? "it said nothing";
  const message = `Can't ${action}: ${lastLine}`;
  if (/No space left on device|Disk quota exceeded/.test(text)) return new AppError("DISK_FULL", message);
  if (/database files are incompatible with server/.test(text)) return new AppError("DATABASE_WRONG_VERSION", message);
  if (/lock file ".*" already exists|pre-existing shared memory block/.test(text))
    return new AppError("DATABASE_IN_USE", message);
  if (/Permission denied|Read-only file system|has wrong ownership/.test(text))
    return new AppError("DIRECTORY_UNWRITABLE", message);
  return new AppError("DATABASE_UNAVAILABLE", message);
}
