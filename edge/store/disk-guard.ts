import { AppError } from "../../shared/core/errors.ts";
import type { Log } from "../../shared/observe/log.ts";

// Keeps the edge alive on a full disk. A file in the data directory holds some room back; it is given up when the disk is full, so that
// cursors can be written, the backlog sent and room be made, and made again afterwards.
//
// States:
//   roomy  the reserve is there; everything goes on
//   full   the reserve is given up; devices are refused with DISK_FULL, reading, the link and the making of room go on

export interface DiskPorts {
  /** Of the file system that the data is on. */
  freeBytes(): Promise<number>;
  hasReserve(): Promise<boolean>;
  /** Makes the file that holds `bytes` of room; without effect when it is there. @throws when there is no room */
  makeReserve(bytes: number): Promise<void>;
  dropReserve(): Promise<void>;
}

/** Enough for the log of the database, which stops at once when it can't be written, and for dropping partitions. */
export const RESERVE_BYTES = 32 * 1_048_576;
/** Less than this is full: the database needs some to go on. */
const FULL_BELOW_BYTES = 16 * 1_048_576;
/** Beside the reserve, before devices may write again. */
const ROOMY_ABOVE_BYTES = 32 * 1_048_576;
const RETRY_AFTER_MS = 5_000;

export interface DiskGuard {
  readonly isFull: boolean;
  /** Why nothing new is stored; null: it is. */
  refusal(): AppError | null;
  /** A commit failed. */
  noteFailure(error: AppError): void;
  /** Gives up the reserve if the disk is full; before the database starts, which needs some room for it. */
  enterIfFull(): Promise<void>;
  /** Looks at the disk, and makes the reserve where there is room. */
  check(): Promise<void>;
}

export function createDiskGuard(ports: DiskPorts, log: Log): DiskGuard {
  let isFull = false;
  let failed = false;

  const enterIfFull = async (): Promise<void> => {
    const freeBytes = await ports.freeBytes();
    // Room that the reserve would take is none, as after a restart on a full disk.
    const missingBytes = (await ports.hasReserve()) ? 0 : RESERVE_BYTES;
    if (!failed && freeBytes - missingBytes >= FULL_BELOW_BYTES) return;
    failed = false;
    isFull = true;
    log.error("The disk is full: devices are refused until there is room", { freeBytes });
    await ports.dropReserve();
  };
  const leaveFull = async (freeBytes: number): Promise<void> => {
    try {
      await ports.makeReserve(RESERVE_BYTES);
    } catch (error) {
      log.warn("The reserve could not be made again", { error });
      await ports.dropReserve();
      return;
    }
    isFull = false;
    log.info("The disk has room again", { freeBytes });
  };

  return {
    get isFull() {
      return isFull;
    },
    refusal: () =>
      isFull
        ? new AppError("DISK_FULL", "The disk is full; nothing was stored, send again later", {
            retryAfterMs: RETRY_AFTER_MS,
          })
        : null,
    noteFailure: ({ code }) => {
      failed ||= code === "DISK_FULL";
    },
    enterIfFull,
    check: async () => {
      if (!isFull) {
        await enterIfFull();
        if (!isFull) await ports.makeReserve(RESERVE_BYTES);
        return;
      }
      failed = false;
      const freeBytes = await ports.freeBytes();
      if (freeBytes > RESERVE_BYTES + ROOMY_ABOVE_BYTES) await leaveFull(freeBytes);
    },
  };
}
