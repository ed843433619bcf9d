import { readdirSync, readFileSync, readlinkSync, rmSync, statSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import type { Clock } from "../core/clock.ts";
import { AppError } from "../core/errors.ts";
import type { Log } from "../observe/log.ts";
import type { ServerHome } from "./data-directory.ts";

const STOP_DEADLINES_MS = { SIGINT: 10_000, SIGQUIT: 3_000, SIGKILL: 10_000 } as const;
const POLL_MS = 10;

/**
 * Ends what an earlier process left running in `home`: a server whose supervisor was killed, or children of a killed server,
 * which still hold its shared memory. Then removes postmaster.pid and the socket's files, so that a pid in them that belongs to an
 * unrelated process by now does not keep the new server from starting.
 *
 * Call it under the directory lock. Processes count as ours by their working directory and program, never by a number in a file.
 *
 * @throws AppError DATABASE_IN_USE when a server that can't be seen or ended still runs here
 */
export async function stopLeftovers(
  clock: Clock,
  log: Log,
  options: { readonly home: ServerHome; readonly socketDir: string },
): Promise<void> {
  const { home, socketDir } = options;
  const found = findProcesses(home.path);
  if (found.length > 0) {
    const postmaster = readPostmasterPid(home.clusterDir);
    const orphan = found.find((pid) => pid === postmaster);
    log.warn("Stopping a database server that an earlier process left running", { pids: found, orphan });
    await stopProcesses(clock, home.path, orphan);
  }
  const socketPath = join(socketDir, ".s.PGSQL.5432");
  if (await isListening(socketPath)) {
    throw new AppError(
      "DATABASE_IN_USE",
      `Expected no server on ${socketPath}, but one answers that this process can't see, as in another container; stop that one`,
    );
  }
  for (const path of [join(home.clusterDir, "postmaster.pid"), socketPath, `${socketPath}.lock`])
    rmSync(path, { force: true });
}

/** Pids of the server's programs that work inside `homePath`. */
export function findProcesses(homePath: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => programOf(pid, homePath) !== undefined);
}

type Program = "postgres" | "initdb";

/** What of the server's programs a process is, if it works inside `homePath`. */
function programOf(pid: number, homePath: string): Program | undefined {
  try {
    if (!worksInside(pid, homePath)) return undefined;
    // Not /proc/PID/exe: under an emulator that is the emulator.
    const program = /\/bin\/(postgres|initdb)(?: \(deleted\))?$/m.exec(readFileSync(`/proc/${pid}/maps`, "utf8"))?.[1];
    return program === "postgres" || program === "initdb" ? program : undefined;
  } catch {
    // Gone, a zombie, or of another user.
    return undefined;
  }
}

const DELETED = " (deleted)";

/** By the directory itself: in a container that shares our pids, another one may have the same path. */
function worksInside(pid: number, homePath: string): boolean {
  const link = `/proc/${pid}/cwd`;
  const text = readlinkSync(link);
  const path = text.endsWith(DELETED) ? text.slice(0, -DELETED.length) : text;
  if (path !== homePath && !path.startsWith(`${homePath}/`)) return false;
  if (path !== text) return true;
  const [theirs, ours] = [statSync(link, { bigint: true }), statSync(path, { bigint: true })];
  return theirs.dev === ours.dev && theirs.ino === ours.ino;
}

function readPostmasterPid(clusterDir: string): number | undefined {
  try {
    const pid = Number.parseInt(readFileSync(join(clusterDir, "postmaster.pid"), "utf8"), 10);
    return pid > 1 ? pid : undefined;
  } catch {
    return undefined;
  }
}

async function stopProcesses(clock: Clock, homePath: string, orphan: number | undefined): Promise<void> {
  if (orphan !== undefined) {
    // Fast shutdown: sessions are cut, a checkpoint is written, nothing has to be recovered.
    sendSignal(orphan, "SIGINT");
    if (await areGone(clock, homePath, STOP_DEADLINES_MS.SIGINT)) return;
  }
  for (const signal of ["SIGQUIT", "SIGKILL"] as const) {
    for (const pid of findProcesses(homePath)) {
      // initdb leads a group, in which shells start servers.
      if (programOf(pid, homePath) === "initdb") sendSignal(-pid, "SIGKILL");
      else sendSignal(pid, signal);
    }
    if (await areGone(clock, homePath, STOP_DEADLINES_MS[signal])) return;
  }
  throw new AppError(
    "DATABASE_IN_USE",
    `Can't end the database processes ${findProcesses(homePath).join(", ")} of ${homePath}`,
  );
}

function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone in the meantime.
  }
}

async function areGone(clock: Clock, homePath: string, deadlineMs: number): Promise<boolean> {
  const endMs = clock.monotonicMs() + deadlineMs;
  while (findProcesses(homePath).length > 0) {
    if (clock.monotonicMs() >= endMs) return false;
    await clock.sleep(POLL_MS);
  }
  return true;
}

async function isListening(path: string): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect(path);
    socket.on("connect", () => {
      resolve(true);
      socket.destroy();
    });
    socket.on("error", () => resolve(false));
  });
}
