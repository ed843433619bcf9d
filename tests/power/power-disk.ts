import { fork, spawnSync, type ChildProcess } from "node:child_process";
import { accessSync, constants, mkdirSync } from "node:fs";
import { join } from "node:path";
import { findProcessesBelow, killAll } from "../support/server-processes.ts";
import { waitFor, within } from "../support/wait-for.ts";
import type { DiskAnswer, DiskCommand } from "./disk-server.ts";

/** A folder on a disk whose power can fail, with all programs that work in it. */
export interface PowerDisk extends AsyncDisposable {
  readonly dir: string;
  /**
   * Ends every program below `dir` and loses what was not synced, at one moment: no request is answered between the two.
   * Then the disk is there again, as a machine finds it that is switched on.
   *
   * @returns bytes that were written, but not synced
   */
  losePower(pids: readonly number[], seed: number): Promise<number>;
}

const ANSWER_WITHIN_MS = 20_000;

/** Why there can be no such disk on this machine; undefined when there can. */
export function whyNoPowerDisk(): string | undefined {
  if (process.geteuid?.() !== 0) return "mounting needs root";
  try {
    accessSync("/dev/fuse", constants.R_OK | constants.W_OK);
    return undefined;
  } catch (error) {
    return `/dev/fuse can't be opened: ${String(error)}`;
  }
}

/** @param parent an existing folder in which the disk is mounted. @throws Error when it can't be mounted */
export async function startPowerDisk(parent: string): Promise<PowerDisk> {
  const reason = whyNoPowerDisk();
  if (reason !== undefined) throw new Error(`A disk that loses power needs Linux with FUSE: ${reason}`);
  const dir = join(parent, "disk");
  mkdirSync(dir, { recursive: true });
  const server = fork(join(import.meta.dirname, "disk-server.ts"), { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const unmount = (): void => void spawnSync("umount", ["--force", "--lazy", dir]);
  process.on("exit", unmount);
  await ask(server, { kind: "mount", dir });
  return {
    dir,
    async losePower(pids, seed) {
      const { unsyncedBytes } = await ask(server, { kind: "lose-power", seed });
      // Nothing here may touch the disk until it is mounted again: it would wait for ever.
      killAll(pids);
      killAll(findProcessesBelow(dir));
      unmount();
      await waitFor("the programs to end", () => [...pids, ...findProcessesBelow(dir)].every((pid) => !isAlive(pid)));
      await ask(server, { kind: "mount", dir });
      return unsyncedBytes;
    },
    async [Symbol.asyncDispose]() {
      killAll(findProcessesBelow(dir));
      unmount();
      process.off("exit", unmount);
      const ended = new Promise<void>((resolve) => server.once("exit", () => resolve()));
      server.disconnect();
      await ended;
    },
  };
}

async function ask(server: ChildProcess, command: DiskCommand): Promise<DiskAnswer> {
  const { promise, reject, resolve } = Promise.withResolvers<DiskAnswer>();
  const onExit = (code: number | null): void => reject(new Error(`The disk's server ended with code ${code}`));
  // Messages are typed by disk-server.ts.
  server.once("message", (message) => resolve(message as DiskAnswer));
  server.once("exit", onExit);
  server.send(command);
  try {
    const answer = await within(`the disk to ${command.kind}`, ANSWER_WITHIN_MS, promise);
    if (answer.error !== undefined) throw new Error(answer.error);
    return answer;
  } finally {
    server.off("exit", onExit);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
