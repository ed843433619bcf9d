import { readdirSync, readFileSync, readlinkSync, realpathSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Pids of everything that works inside the database home of a data directory, whoever its parent is: a program that was
 * killed leaves its PostgreSQL behind.
 */
export function findDatabaseProcesses(dataDir: string): number[] {
  const home = realpathOf(join(dataDir, "postgres"));
  return home === undefined ? [] : findProcessesBelow(home);
}

/** Pids of everything whose working directory is `dir`, which has no symbolic links, or below; looks at /proc only. */
export function findProcessesBelow(dir: string): number[] {
  return listPids().filter((pid) => {
    const workDir = readLink(`/proc/${pid}/cwd`);
    return workDir !== undefined && (workDir === dir || workDir.startsWith(`${dir}/`));
  });
}

/** `pid`, its children, their children and so on. */
export function findDescendants(pid: number): number[] {
  const parents = new Map(listPids().map((child) => [child, parentOf(child)]));
  const family = new Set([pid]);
  for (let size = 0; size !== family.size;) {
    size = family.size;
    for (const [child, parent] of parents) if (parent !== undefined && family.has(parent)) family.add(child);
  }
  return [...family];
}

/** Kills without a chance to clean up; processes that are gone are no error. */
export function killAll(pids: readonly number[], signal: NodeJS.Signals = "SIGKILL"): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch {
      // Gone in the meantime.
    }
  }
}

/** Proportional share of the memory that a process uses, in bytes; 0 when it is gone. */
export function readPssBytes(pid: number): number {
  try {
    const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
    return Number(/^Pss:\s+(\d+) kB$/m.exec(rollup)?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

/** A tick of the figures in /proc. */
const TICK_MS = 10;

/** Processor time of a process and of its children that have ended, in ms; 0 when it is gone. */
export function readProcessorMs(pid: number): number {
  try {
    // Behind the name, which may hold anything: fields 14 to 17.
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ").slice(11, 15) ?? [];
    return fields.reduce((sum, ticks) => sum + Number(ticks) * TICK_MS, 0);
  } catch {
    return 0;
  }
}

/** Bytes that a process has caused to be written to storage; 0 when it is gone. */
export function readWrittenBytes(pid: number): number {
  try {
    const io = readFileSync(`/proc/${pid}/io`, "utf8");
    return Number(/^write_bytes: (\d+)$/m.exec(io)?.[1] ?? 0);
  } catch {
    return 0;
  }
}

/** The most memory that the process held since its start or the last reset, in bytes. */
export function readPeakRssBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? Number.NaN) * 1024;
}

export function resetPeakRss(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, "5");
}

/** Other processes that run the program of `pid`, by what is on disk: they share its memory pages. */
export function findSameProgram(pid: number): number[] {
  const program = fileOf(pid);
  return program === undefined ? [] : listPids().filter((other) => other !== pid && fileOf(other) === program);
}

/** Device and inode: a path would miss what was rebuilt, and a name would find what is only called the same. */
function fileOf(pid: number): string | undefined {
  try {
    const { dev, ino } = statSync(`/proc/${pid}/exe`);
    return `${dev}:${ino}`;
  } catch {
    // Gone meanwhile, or a process that not even root may look at.
    return undefined;
  }
}

function listPids(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

function parentOf(pid: number): number | undefined {
  try {
    // The name in parentheses may hold spaces and parentheses itself.
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
      .replace(/^.*\) /s, "")
      .split(" ");
    return Number(fields[1]);
  } catch {
    return undefined;
  }
}

function readLink(path: string): string | undefined {
  try {
    return readlinkSync(path).replace(/ \(deleted\)$/, "");
  } catch {
    return undefined;
  }
}

function realpathOf(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}
