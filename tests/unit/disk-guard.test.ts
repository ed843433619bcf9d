import { expect, test } from "bun:test";
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createDiskPorts } from "../../edge/runtime/disk-use.ts";
import { createDiskGuard, RESERVE_BYTES } from "../../edge/store/disk-guard.ts";
import { AppError } from "../../shared/core/errors.ts";
import { silentLog } from "../../shared/observe/log.ts";

const MB = 1_048_576;

/** A disk with so much room, of which the reserve takes its part. */
function createDisk(roomBytes: number) {
  const disk = { roomBytes, reserveBytes: 0 };
  const freeBytes = (): number => disk.roomBytes - disk.reserveBytes;
  const guard = createDiskGuard(
    {
      freeBytes: () => Promise.resolve(freeBytes()),
      hasReserve: () => Promise.resolve(disk.reserveBytes > 0),
      makeReserve: (bytes) => {
        if (disk.reserveBytes === 0 && freeBytes() < bytes) return Promise.reject(new Error("ENOSPC"));
        disk.reserveBytes = bytes;
        return Promise.resolve();
      },
      dropReserve: () => {
        disk.reserveBytes = 0;
        return Promise.resolve();
      },
    },
    silentLog,
  );
  return { disk, guard };
}

test("holds room back while there is enough of it", async () => {
  const { disk, guard } = createDisk(500 * MB);
  await guard.check();
  expect(disk.reserveBytes).toBe(RESERVE_BYTES);
  expect([guard.isFull, guard.refusal()]).toEqual([false, null]);
});

test("gives the room up on a full disk, refuses devices, and comes back by itself", async () => {
  const { disk, guard } = createDisk(500 * MB);
  await guard.check();
  disk.roomBytes = 40 * MB;
  await guard.check();
  expect(disk.reserveBytes).toBe(0);
  expect(guard.refusal()).toMatchObject({ code: "DISK_FULL", retryable: true, retryAfterMs: 5_000 });
  disk.roomBytes = 50 * MB;
  await guard.check();
  expect(guard.isFull).toBe(true);
  disk.roomBytes = 200 * MB;
  await guard.check();
  expect([guard.isFull, disk.reserveBytes]).toEqual([false, RESERVE_BYTES]);
});

test("gives the room up before the database starts on a full disk, and makes none before", async () => {
  const { disk, guard } = createDisk(500 * MB);
  await guard.enterIfFull();
  expect([guard.isFull, disk.reserveBytes]).toEqual([false, 0]);
  disk.reserveBytes = RESERVE_BYTES;
  disk.roomBytes = RESERVE_BYTES + MB;
  await guard.enterIfFull();
  expect([guard.isFull, disk.reserveBytes]).toEqual([true, 0]);
});

test("is still full after a restart without the reserve, as long as that would take the room that is left", async () => {
  const { disk, guard } = createDisk(RESERVE_BYTES + 4 * MB);
  await guard.enterIfFull();
  expect([guard.isFull, disk.reserveBytes]).toEqual([true, 0]);
});

test("believes the database when that finds no room, whatever the system says", async () => {
  const { disk, guard } = createDisk(500 * MB);
  await guard.check();
  guard.noteFailure(new AppError("DATABASE_UNAVAILABLE", "gone"));
  await guard.check();
  expect(guard.isFull).toBe(false);
  guard.noteFailure(new AppError("DISK_FULL", "full"));
  await guard.check();
  expect([guard.isFull, disk.reserveBytes]).toEqual([true, 0]);
});

test("stays full when the reserve can't be made, and leaves nothing of it behind", async () => {
  let made = 0;
  const dropped: number[] = [];
  const guard = createDiskGuard(
    {
      freeBytes: () => Promise.resolve(made === 0 ? MB : 500 * MB),
      hasReserve: () => Promise.resolve(false),
      makeReserve: () => Promise.reject(new Error("ENOSPC")),
      dropReserve: () => Promise.resolve(void dropped.push(made)),
    },
    silentLog,
  );
  await guard.check();
  made = 1;
  await guard.check();
  expect(guard.isFull).toBe(true);
  expect(dropped).toEqual([0, 1]);
});

test("the reserve has its full size, is written once, and leaves nothing behind", async () => {
  const dir = await mkdtemp(join(tmpdir(), "skerry-reserve-"));
  try {
    const ports = createDiskPorts(dir);
    const bytes = 3 * MB + 5;
    await ports.makeReserve(bytes);
    const [name = ""] = await readdir(dir);
    const made = await stat(join(dir, name));
    expect([made.size, made.blocks * 512 >= bytes]).toEqual([bytes, true]);
    await ports.makeReserve(bytes);
    expect((await stat(join(dir, name))).ino).toBe(made.ino);
    await ports.dropReserve();
    expect(await readdir(dir)).toEqual([]);
  } finally {
    await rm(dir, { recursive: true });
  }
});
