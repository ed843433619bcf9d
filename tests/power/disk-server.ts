/**
 * A process of its own that serves VolatileFiles to the kernel through /dev/fuse; power-disk.ts starts it and tells it by
 * messages when the power fails. A process of its own, because whoever uses the files waits for it.
 */
import { spawnSync } from "node:child_process";
import { closeSync, openSync, read, writeSync } from "node:fs";
import { Dice } from "../sim/dice.ts";
import { answerRequest } from "./disk-requests.ts";
import { readRequest, REQUEST_BYTES_MAX } from "./fuse-protocol.ts";
import { VolatileFiles } from "./volatile-files.ts";

/** mount: the machine is on. lose-power: from now on no request is answered, and what was not synced is lost. */
export type DiskCommand =
  | { readonly kind: "mount"; readonly dir: string }
  | { readonly kind: "lose-power"; readonly seed: number };

export interface DiskAnswer {
  /** Bytes that were written, but not synced, when the power failed. */
  readonly unsyncedBytes: number;
  readonly error?: string;
}

class DiskServer {
  readonly #files = new VolatileFiles();
  /** Counts changes of power: what was asked under an earlier one is not answered. */
  #era = 0;

  execute(command: DiskCommand): DiskAnswer {
    this.#era += 1;
    switch (command.kind) {
      case "mount":
        return this.#mount(command.dir);
      case "lose-power": {
        const { bytes } = this.#files.unsynced;
        this.#files.losePower(new Dice(command.seed));
        return { unsyncedBytes: bytes };
      }
      default:
        return command satisfies never;
    }
  }

  #mount(dir: string): DiskAnswer {
    const device = openSync("/dev/fuse", "r+");
    const options = "fd=3,rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions";
    const { status, stderr } = spawnSync("mount", ["-i", "-t", "fuse", "-o", options, "skerry-power", dir], {
      stdio: ["ignore", "ignore", "pipe", device],
    });
    if (status !== 0) return { unsyncedBytes: 0, error: `Mounting ${dir} failed: ${stderr.toString()}` };
    this.#serve(device, this.#era);
    return { unsyncedBytes: 0 };
  }

  /** One request at a time, for as long as the disk is mounted. */
  #serve(device: number, era: number): void {
    const buffer = Buffer.alloc(REQUEST_BYTES_MAX);
    const next = (): void =>
      read(device, buffer, 0, buffer.length, null, (error, length) => {
        if (error !== null || era !== this.#era) {
          // Unmounted; or the power is off, and who waits for an answer is ended by the unmount.
          closeSync(device);
          return;
        }
        const answer = answerRequest(this.#files, readRequest(buffer, length));
        if (answer !== undefined) send(device, answer);
        next();
      });
    next();
  }
}

function send(device: number, answer: Buffer): void {
  try {
    writeSync(device, answer);
  } catch {
    // Who asked is gone.
  }
}

const server = new DiskServer();
process.on("message", (command: DiskCommand) => process.send?.(server.execute(command)));
process.on("disconnect", () => process.exit(0));
