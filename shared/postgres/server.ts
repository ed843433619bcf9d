import { accessSync, constants, rmdirSync, rmSync, statSync } from "node:fs";
import { open, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../core/clock.ts";
import { AppError } from "../core/errors.ts";
import type { Log } from "../observe/log.ts";
import { closeSql, databaseError, openSql, sqlStateOf, type PostgresConnection } from "./connect.ts";
import {
  createClusterWorkDir,
  directoryError,
  openDataDirectory,
  removeWorkDirs,
  type ServerHome,
} from "./data-directory.ts";
import { DatabaseStateHolder, type Database, type DatabaseStatus } from "./database.ts";
import { acquireDirectoryLock, type DirectoryLock } from "./directory-lock.ts";
import { installDistribution, packageVersion, type DistributionSource } from "./distribution.ts";
import { stopLeftovers } from "./leftovers.ts";
import { createServerLog, type ServerLog } from "./server-log.ts";
import { classifyServerOutput, launch, type ServerProcess } from "./server-process.ts";
import { HBA_CONFIG, initdbArguments, serverConfig, SERVER_USER, type ServerProfile } from "./settings.ts";
import { fitsSocketAddress, openShortDirectory } from "./short-directory.ts";

export interface PostgresServerDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly source: DistributionSource;
}

export interface PostgresServerOptions {
  /** The program's data directory; the server's files are in `postgres` below it. */
  readonly dataDir: string;
  readonly profile: ServerProfile;
  /** What the log of the database may take before a checkpoint sets some of it free, in MB. @default by profile */
  readonly walMaxMb?: number | undefined;
  /** Gives up the start; later it has no effect. */
  readonly signal?: AbortSignal;
  /** How often the server is asked whether it answers. @default 10_000 */
  readonly probeIntervalMs?: number;
  /** How long it may take to answer. @default 5_000 */
  readonly probeTimeoutMs?: number;
  /** How long a stop may write its checkpoint; then it is cut off, and the next start recovers. @default 10_000 */
  readonly stopTimeoutMs?: number;
  /** Holds the server's files when its uid can't reach `dataDir`. @default "/var/lib/skerry" */
  readonly relocationDir?: string;
}

/**
 * A PostgreSQL of our own as a child process on a unix socket, kept running until it is disposed.
 *
 * Modes are those of `DatabaseState`: starting -> ready; ready -> recovering -> ready when PostgreSQL restarts its own processes;
 * any -> restarting -> starting when the main process ended or did not answer three probes. A restart never gives up: the wait between
 * attempts grows to 30 s and the last error is in the status.
 */
export interface PostgresServer extends Database {
  /** Where the server's files are, without symbolic links. */
  readonly homeDir: string;
}

/**
 * Prepares the data directory, takes its lock, ends what an earlier process left running, unpacks and initialises on the first start, and
 * starts the server. Resolves when it accepts connections.
 *
 * @throws AppError UNSUPPORTED_PLATFORM, DATABASE_FOREIGN, DATABASE_WRONG_VERSION, DIRECTORY_UNWRITABLE, DATABASE_IN_USE, DISK_FULL,
 *   DATABASE_UNAVAILABLE (the text carries the server's last line), CANCELLED. Nothing keeps running, and no temporary file stays.
 */
export async function startPostgresServer(
  deps: PostgresServerDeps,
  options: PostgresServerOptions,
): Promise<PostgresServer> {
  if (deps.source.kind === "package") packageVersion(deps.source.dir);
  const home = openDataDirectory(deps.log, options);
  const lock = await acquireDirectoryLock(join(home.path, "lock")).catch((error: unknown) => {
    throw directoryError(error, `lock ${home.path}`);
  });
  try {
    return await startLocked(deps, options, { home, lock });
  } catch (error) {
    await lock.release();
    throw directoryError(error, `start the database in ${home.dataDir}`);
  }
}

interface LockedHome {
  readonly home: ServerHome;
  readonly lock: DirectoryLock;
}

async function startLocked(
  deps: PostgresServerDeps,
  options: PostgresServerOptions,
  locked: LockedHome,
): Promise<PostgresServer> {
  const { home } = locked;
  const serverLog = createServerLog(join(home.path, "server.log"));
  const socketDir = openSocketDir(home);
  await stopLeftovers(deps.clock, deps.log, { home, socketDir });
  removeWorkDirs(home);
  options.signal?.throwIfAborted();
  const distributionDir = await installDistribution(deps.source, home.path);
  options.signal?.throwIfAborted();
  const place: ServerPlace = { home, socketDir, distributionDir, serverLog };
  if (statSync(home.clusterDir, { throwIfNoEntry: false }) === undefined) await createCluster(deps, options, place);
  await writeConfig(place, options);
  const supervisor = new Supervisor(deps, options, { ...place, lock: locked.lock });
  await supervisor.start();
  return supervisor;
}

interface ServerPlace {
  readonly home: ServerHome;
  readonly socketDir: string;
  readonly distributionDir: string;
  readonly serverLog: ServerLog;
}

const PORT = 5432;

/** `run` in the home, unless its path is too long for a socket's address. */
function openSocketDir(home: ServerHome): string {
  const preferred = join(home.path, "run");
  // The server binds the name with ".lock" too, but that is a plain file.
  return fitsSocketAddress(`${preferred}/.s.PGSQL.${PORT}`) ? preferred : openShortDirectory(home.path, home.identity);
}

/** initdb works in a directory of its own and the result is renamed, so that a cluster is complete if it is there. */
async function createCluster(
  deps: PostgresServerDeps,
  options: PostgresServerOptions,
  place: ServerPlace,
): Promise<void> {
  const { home, serverLog } = place;
  const workDir = createClusterWorkDir(home);
  const lines: string[] = [];
  try {
    const initdb = await launch({
      program: "initdb",
      arguments: initdbArguments(options.profile, workDir),
      distributionDir: place.distributionDir,
      workDir: home.path,
      identity: home.identity,
      onLine: (line) => {
        lines.push(line);
        serverLog.write(line);
      },
    });
    const exit = await untilExit(initdb, options.signal);
    if (exit.code !== 0) throw classifyServerOutput(lines, `initialise the database in ${home.dataDir}`);
    await rename(workDir, home.clusterDir);
    await syncDirectory(home.path);
  } catch (error) {
    // Until all of it is gone.
    await stopLeftovers(deps.clock, deps.log, { home, socketDir: place.socketDir });
    rmSync(workDir, { recursive: true, force: true });
    throw error;
  }
}

async function untilExit(
  child: ServerProcess,
  signal: AbortSignal | undefined,
): Promise<{ readonly code: number | null }> {
  signal?.addEventListener("abort", child.killGroup, { once: true });
  if (signal?.aborted === true) child.killGroup();
  try {
    const exit = await child.exited;
    // A server that it started can be left.
    if (exit.code !== 0) child.killGroup();
    signal?.throwIfAborted();
    return exit;
  } finally {
    signal?.removeEventListener("abort", child.killGroup);
  }
}

async function writeConfig(place: ServerPlace, { profile, walMaxMb }: PostgresServerOptions): Promise<void> {
  const { home, socketDir } = place;
  const hbaFile = join(home.path, "pg_hba.conf");
  await replaceFile(hbaFile, HBA_CONFIG);
  const sharedMemory = canUseDevShm() ? "posix" : "mmap";
  const config = serverConfig({ profile, walMaxMb, socketDir, hbaFile, sharedMemory });
  await replaceFile(join(home.path, "postgresql.conf"), config);
}

async function replaceFile(path: string, text: string): Promise<void> {
  const workPath = `${path}.new`;
  await writeFile(workPath, text, { mode: 0o644, flush: true });
  await rename(workPath, path);
}

function canUseDevShm(): boolean {
  try {
    accessSync("/dev/shm", constants.W_OK | constants.X_OK);
    return (statSync("/dev/shm").mode & 0o002) !== 0;
  } catch {
    return false;
  }
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

const READY_LINE = /database system is ready to accept connections/;
const REINITIALIZING_LINE =
  /all server processes terminated; reinitializing|terminating any other active server processes/;
const NO_ROOM_LINE = /No space left on device|Disk quota exceeded/;
const PROBE_FAILURES_MAX = 3;
const RESTART_DELAY_MAX_MS = 30_000;
/** A server that ran this long failed for a new reason: the delays begin anew. */
const STABLE_MS = 60_000;
const QUIT_TIMEOUT_MS = 3_000;

class Supervisor implements PostgresServer {
  readonly connection: PostgresConnection;
  readonly homeDir: string;
  readonly #deps: PostgresServerDeps;
  readonly #options: PostgresServerOptions;
  readonly #place: ServerPlace;
  readonly #lock: DirectoryLock;
  readonly #state: DatabaseStateHolder;
  readonly #stopping = new AbortController();
  #process: ServerProcess | undefined;
  #supervision: Promise<void> = Promise.resolve();
  #disposal: Promise<void> | undefined;

  constructor(
    deps: PostgresServerDeps,
    options: PostgresServerOptions,
    place: ServerPlace & { readonly lock: DirectoryLock },
  ) {
    this.#deps = deps;
    this.#options = options;
    this.#place = place;
    this.#lock = place.lock;
    this.#state = new DatabaseStateHolder("embedded", () => deps.clock.nowMs());
    this.homeDir = place.home.path;
    this.connection = { host: place.socketDir, port: PORT, user: SERVER_USER, database: "postgres" };
  }

  status(): DatabaseStatus {
    return this.#state.status();
  }

  subscribe(listener: (status: DatabaseStatus) => void): () => void {
    return this.#state.subscribe(listener);
  }

  /** @throws AppError when the server ends before it is ready */
  async start(): Promise<void> {
    const child = await this.#launch(this.#options.signal);
    this.#supervision = this.#supervise(child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#stop();
    await this.#disposal;
  }

  async #supervise(first: ServerProcess): Promise<void> {
    const { clock, log } = this.#deps;
    const stopping = this.#stopping.signal;
    let child: ServerProcess | undefined = first;
    for (let attempt = 0; !stopping.aborted; attempt += 1) {
      const startedMs = clock.monotonicMs();
      try {
        child ??= await this.#launch(stopping);
        const error = await this.#watchUntilExit(child);
        if (stopping.aborted) return;
        throw error;
      } catch (thrown) {
        if (stopping.aborted) return;
        const error = directoryError(thrown, "restart the database");
        child = undefined;
        this.#process = undefined;
        if (clock.monotonicMs() - startedMs > STABLE_MS) attempt = 0;
        const delayMs = attempt === 0 ? 0 : Math.min(RESTART_DELAY_MAX_MS, 100 * 2 ** Math.min(attempt, 20));
        log.error("The database server ended and is started again", {
          code: error.code,
          error: error.message,
          attempt,
          delayMs,
        });
        const restarts = this.status().restarts + 1;
        this.#state.move("restarting", {
          pid: undefined,
          restarts,
          lastError: { code: error.code, message: error.message },
        });
        await clock.sleep(delayMs, stopping).catch(() => undefined);
      }
    }
  }

  /** Starts the server and waits until it is ready. */
  async #launch(signal: AbortSignal | undefined): Promise<ServerProcess> {
    const { home, socketDir, distributionDir, serverLog } = this.#place;
    // After a crash its children may hold the shared memory a moment longer.
    if (this.status().restarts > 0) await stopLeftovers(this.#deps.clock, this.#deps.log, { home, socketDir });
    this.#state.move("starting");
    const lines: string[] = [];
    const ready = Promise.withResolvers<"ready">();
    const child = await launch({
      program: "postgres",
      arguments: ["-D", home.clusterDir, "-c", `config_file=${join(home.path, "postgresql.conf")}`],
      distributionDir,
      workDir: home.path,
      identity: home.identity,
      onLine: (line) => {
        serverLog.write(line);
        if (lines.length < 200) lines.push(line);
        if (READY_LINE.test(line)) {
          ready.resolve("ready");
          // A line that comes before `launch` has returned is seen by `ready` alone.
          if (this.#process !== undefined) this.#state.move("ready", { pid: this.#process.pid });
        } else if (REINITIALIZING_LINE.test(line)) {
          this.#state.move("recovering");
          if (this.#stopping.signal.aborted) this.#process?.kill("SIGQUIT");
        } else if (NO_ROOM_LINE.test(line)) {
          this.#state.move(this.status().state, { lastError: { code: "DISK_FULL", message: line } });
        }
      },
    });
    this.#process = child;
    const onAbort = (): void => child.kill("SIGINT");
    signal?.addEventListener("abort", onAbort, { once: true });
    if (signal?.aborted === true) onAbort();
    const outcome = await Promise.race([ready.promise, child.exited]);
    signal?.removeEventListener("abort", onAbort);
    if (signal?.aborted === true) {
      await child.exited;
      throw new AppError("CANCELLED", "The start of the database was given up", { cause: signal.reason });
    }
    if (outcome !== "ready") throw classifyServerOutput(lines, `start the database in ${home.dataDir}`);
    if (this.status().state === "starting") this.#state.move("ready", { pid: child.pid });
    return child;
  }

  /** Probes a running server until its process ended, and ends it when it stopped answering. */
  async #watchUntilExit(child: ServerProcess): Promise<AppError> {
    const { probeIntervalMs = 10_000 } = this.#options;
    const { clock, log } = this.#deps;
    let failures = 0;
    const ended = new AbortController();
    void child.exited.then(() => ended.abort(new AppError("CANCELLED", "The database server ended")));
    for (;;) {
      // Not in a race with the exit: each would be kept until the server ends.
      await clock.sleep(probeIntervalMs, ended.signal).catch(() => undefined);
      if (ended.signal.aborted) {
        const exit = await child.exited;
        await this.#place.serverLog.flush();
        const message = `The database server ended with ${exit.signal ?? `exit code ${exit.code}`}`;
        const seen = classifyServerOutput(this.#place.serverLog.tail(), message);
        return seen.code === "DISK_FULL" ? seen : new AppError("DATABASE_UNAVAILABLE", message);
      }
      const failure = await this.#probe();
      if (failure === undefined || this.#stopping.signal.aborted) {
        failures = 0;
        continue;
      }
      failures += 1;
      log.warn("The database server did not answer a probe", { failures, error: failure.message });
      if (failures >= PROBE_FAILURES_MAX) await this.#endHung(child);
    }
  }

  /** A new session and one query; undefined when the server answered, be it with a refusal. */
  async #probe(): Promise<AppError | undefined> {
    const { probeTimeoutMs = 5_000 } = this.#options;
    const sql = openSql(
      this.connection,
      { applicationName: "skerry-probe", max: 1, arrays: false, connectTimeoutMs: probeTimeoutMs },
      this.#deps.log,
    );
    const deadline = new AbortController();
    try {
      const timeout = this.#deps.clock.sleep(probeTimeoutMs, deadline.signal).then(() => {
        throw new AppError("DATABASE_UNAVAILABLE", `The database server did not answer within ${probeTimeoutMs} ms`);
      });
      await Promise.race([sql`select 1`, timeout]);
      return undefined;
    } catch (error) {
      return sqlStateOf(error) === undefined ? databaseError(error) : undefined;
    } finally {
      deadline.abort();
      void closeSql(sql, 0).catch(() => undefined);
    }
  }

  async #endHung(child: ServerProcess): Promise<void> {
    child.kill("SIGQUIT");
    if (!(await this.#exitsWithin(child, QUIT_TIMEOUT_MS))) child.kill("SIGKILL");
    await child.exited;
  }

  async #stop(): Promise<void> {
    const { stopTimeoutMs = 10_000 } = this.#options;
    this.#stopping.abort(new AppError("CANCELLED", "The database is being stopped"));
    const child = this.#process;
    if (child !== undefined) {
      // A fast shutdown during the recovery from a crash never ends in PostgreSQL 18.4; nothing is lost by cutting the recovery off.
      child.kill(this.status().state === "recovering" ? "SIGQUIT" : "SIGINT");
      if (!(await this.#exitsWithin(child, stopTimeoutMs))) {
        this.#deps.log.warn("The database server is stopped without a checkpoint", { stopTimeoutMs });
        await this.#endHung(child);
      }
    }
    await this.#supervision;
    await this.#place.serverLog.flush();
    this.#state.move("stopped", { pid: undefined });
    if (!this.#place.socketDir.startsWith(this.homeDir)) removeEmptyDirectory(this.#place.socketDir);
    await this.#lock.release();
  }

  async #exitsWithin(child: ServerProcess, timeoutMs: number): Promise<boolean> {
    const wait = new AbortController();
    const timeout = this.#deps.clock.sleep(timeoutMs, wait.signal).then(
      () => false,
      () => false,
    );
    const ended = await Promise.race([child.exited.then(() => true), timeout]);
    wait.abort();
    return ended;
  }
}

function removeEmptyDirectory(path: string): void {
  try {
    rmdirSync(path);
  } catch {
    // The server that was cut off left its socket; the next start uses the directory again.
  }
}
