import { expect, test } from "bun:test";
import { spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { AppError } from "../../shared/core/errors.ts";
import { databaseError } from "../../shared/postgres/connect.ts";
import { findProcesses } from "../../shared/postgres/leftovers.ts";
import { systemClock } from "../../shared/runtime/system-clock.ts";
import {
  CAN_RUN_AS_STRANGER,
  connectTo,
  createTestDir,
  expectFailure,
  failureOf,
  IS_ROOT,
  kill,
  listTree,
  startChild,
  startServer,
  STRANGER,
  until,
  untilStatus,
} from "./postgres-support.ts";

test("startPostgresServer() refuses a directory with other files and touches nothing", async () => {
  await using dir = createTestDir();
  writeFileSync(join(dir.path, "holiday.jpg"), "x");
  const before = statSync(dir.path).mtimeMs;
  const failure = await failureOf(startServer(dir.path));
  expect(failure.code).toBe("DATABASE_FOREIGN");
  expect(failure.message).toContain("holiday.jpg");
  expect(listTree(dir.path)).toEqual(["holiday.jpg"]);
  expect(statSync(dir.path).mtimeMs).toBe(before);
});

test("startPostgresServer() refuses a file in the place of the directory", async () => {
  await using dir = createTestDir();
  writeFileSync(join(dir.path, "data"), "");
  expect((await failureOf(startServer(join(dir.path, "data")))).code).toBe("DATABASE_FOREIGN");
});

test("startPostgresServer() takes a directory that holds only dotfiles, lost+found and config.json", async () => {
  await using dir = createTestDir();
  mkdirSync(join(dir.path, "lost+found"));
  writeFileSync(join(dir.path, "config.json"), "{}");
  writeFileSync(join(dir.path, ".keep"), "");
  await using server = await startServer(dir.path);
  expect(server.status().state).toBe("ready");
});

test("startPostgresServer() refuses a database of another major version and touches nothing", async () => {
  await using dir = createTestDir();
  mkdirSync(join(dir.path, "postgres/data"), { recursive: true });
  writeFileSync(join(dir.path, "skerry.json"), "{}");
  writeFileSync(join(dir.path, "postgres/data/PG_VERSION"), "17\n");
  const before = listTree(dir.path);
  const failure = await failureOf(startServer(dir.path));
  expectFailure(failure, "DATABASE_WRONG_VERSION", "PostgreSQL 17");
  expect(listTree(dir.path)).toEqual(before);
});

test("startPostgresServer() names the missing package of an unsupported platform before it creates anything", async () => {
  await using dir = createTestDir();
  const source = { kind: "package", dir: join(dir.path, "none") } as const;
  const failure = await failureOf(startServer(join(dir.path, "data"), {}, source));
  expectFailure(failure, "UNSUPPORTED_PLATFORM", "DATABASE_URL");
  expect(listTree(dir.path)).toEqual([]);
});

// Root may write everywhere; another uid needs root to start it, and a checkout that it can read.
test.skipIf(!CAN_RUN_AS_STRANGER)("startPostgresServer() refuses a directory that it may not write", async () => {
  await using dir = createTestDir(0o755);
  mkdirSync(join(dir.path, "empty"), { mode: 0o755 });
  for (const dataDir of [join(dir.path, "data"), join(dir.path, "empty")]) {
    await using child = startChild(dataDir, { uid: STRANGER });
    const { error } = await child.report;
    expectFailure(error, "DIRECTORY_UNWRITABLE", `uid ${STRANGER}`);
  }
  expect(listTree(dir.path)).toEqual(["empty"]);
});

// Only as root the server has another uid than the program.
test.skipIf(!IS_ROOT)(
  "startPostgresServer() puts the server where its uid can reach it, and finds it again",
  async () => {
    await using dir = createTestDir();
    const dataDir = join(dir.path, "private/data");
    mkdirSync(dirname(dataDir));
    chmodSync(dirname(dataDir), 0o700);
    const relocationDir = join(dir.path, "var");
    let homeDir: string;
    {
      await using server = await startServer(dataDir, { relocationDir });
      homeDir = server.homeDir;
      expect(dirname(homeDir)).toBe(relocationDir);
      expect(readlinkSync(join(dataDir, "postgres"))).toBe(homeDir);
      await using client = connectTo(server.connection);
      await client.sql`create table kept as select 5 as n`;
    }
    // The link survives a move of the data directory.
    renameSync(dataDir, join(dir.path, "private/moved"));
    await using server = await startServer(join(dir.path, "private/moved"), { relocationDir });
    expect(server.homeDir).toBe(homeDir);
    await using client = connectTo(server.connection);
    expect(await client.sql`select n from kept`).toMatchObject([{ n: 5 }]);
  },
);

// Only as root the server has another uid than the program, for which its database is moved.
test.skipIf(!IS_ROOT)(
  "startPostgresServer() never gives the old database to a new directory at the same path",
  async () => {
    await using dir = createTestDir();
    const dataDir = join(dir.path, "private/data");
    mkdirSync(dataDir, { recursive: true });
    chmodSync(dirname(dataDir), 0o700);
    const relocationDir = join(dir.path, "var");
    await (await startServer(dataDir, { relocationDir }))[Symbol.asyncDispose]();
    renameSync(dataDir, join(dir.path, "private/old"));
    await (await startServer(dataDir, { relocationDir }))[Symbol.asyncDispose]();
    expect(readdirSync(relocationDir)).toHaveLength(2);
  },
);

// Only as root the server has another uid than the program, for which its database is moved.
test.skipIf(!IS_ROOT)(
  "startPostgresServer() says what to do when no place can be reached by the server's uid",
  async () => {
    await using dir = createTestDir();
    const dataDir = join(dir.path, "private/data");
    mkdirSync(dataDir, { recursive: true });
    chmodSync(dirname(dataDir), 0o700);
    const failure = await failureOf(startServer(dataDir, { relocationDir: join(dirname(dataDir), "var") }));
    expectFailure(failure, "DIRECTORY_UNWRITABLE", "chmod o+x");
    expect(() => lstatSync(join(dataDir, "postgres"))).toThrow("ENOENT");
  },
);

// A small file system takes root and a kernel that lets it mount; containers often refuse.
const CAN_MOUNT = IS_ROOT && canMount();

test.skipIf(!CAN_MOUNT)(
  "findProcesses() leaves out servers of a container in which another directory has the path",
  async () => {
    await using dir = createTestDir();
    const [home = "", theirs = "", programs = ""] = ["home", "theirs", "bin"].map((name) => join(dir.path, name));
    for (const path of [home, theirs, programs]) mkdirSync(path);
    const program = join(programs, "postgres");
    copyFileSync("/bin/sleep", program);
    const enter = 'mount --bind "$1" "$2" && cd "$2" && exec "$3" 60';
    const stranger = spawn("/usr/bin/unshare", ["--mount", "/bin/sh", "-c", enter, "sh", theirs, home, program]);
    const own = spawn(program, ["60"], { cwd: home });
    try {
      const isThere = (pid: number | undefined): boolean => workDirOf(pid) === home && programOf(pid) === program;
      await until(() => isThere(stranger.pid) && isThere(own.pid), "both to work at the path");
      expect(findProcesses(home)).toEqual([own.pid ?? 0]);
    } finally {
      for (const { pid } of [stranger, own]) kill(pid ?? 0, "SIGKILL");
    }
  },
);

test.skipIf(!CAN_MOUNT)(
  "startPostgresServer() reports a full disk on the first start and leaves no temporary files",
  async () => {
    await using dir = createTestDir();
    // Too small for the files (10 MB), then for the cluster (40 MB).
    for (const megabytes of [10, 40]) {
      using disk = mountDisk(dir.path, megabytes);
      const failure = await failureOf(startServer(disk.path));
      expect(failure).toMatchObject({ code: "DISK_FULL" });
      const left = readdirSync(join(disk.path, "postgres"));
      expect(left.filter((name) => name.startsWith(".") || name === "data")).toEqual([]);
      expect(findProcesses(disk.path)).toEqual([]);
    }
  },
);

test.skipIf(!CAN_MOUNT)(
  "startPostgresServer() keeps what was stored when the disk fills up, and goes on when there is room",
  async () => {
    await using dir = createTestDir();
    using disk = mountDisk(dir.path, 120);
    await using server = await startServer(disk.path);
    await using client = connectTo(server.connection, 1);
    await client.sql`create table kept as select 6 as n`;
    const ballast = join(disk.path, ".ballast");
    spawnSync("/bin/dd", ["if=/dev/zero", `of=${ballast}`, "bs=1M"]);
    const bulk = client.sql`create table bulk as select repeat(md5(n::text), 20) as text from generate_series(1, 400000) as n`;
    expect(await bulk.then(() => undefined, databaseError)).toMatchObject({ code: "DISK_FULL", retryable: true });
    // The log has no room either, which the server can't survive.
    const noted = untilStatus(server, (status) => status.lastError?.code === "DISK_FULL");
    const logging = client.sql`select pg_logical_emit_message(false, 'x', repeat('a', 1000000)) from generate_series(1, 20)`;
    expect(await logging.then(() => undefined, databaseError)).toBeInstanceOf(AppError);
    await noted;
    spawnSync("/bin/rm", [ballast]);
    await using after = connectTo(server.connection, 1);
    expect(await untilAnswer(() => after.sql`select n from kept`)).toMatchObject([{ n: 6 }]);
  },
);

/** Asks again while the server recovers, as every client of it does. */
async function untilAnswer<T>(ask: () => PromiseLike<T>): Promise<T> {
  const endMs = systemClock.monotonicMs() + 20_000;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (databaseError(error).code !== "DATABASE_UNAVAILABLE" || systemClock.monotonicMs() > endMs) throw error;
      await systemClock.sleep(20);
    }
  }
}

interface Disk extends Disposable {
  readonly path: string;
}

function mountDisk(parent: string, megabytes: number): Disk {
  const path = join(parent, `disk-${megabytes}`);
  mkdirSync(path);
  const mounted = spawnSync("/bin/mount", ["-t", "tmpfs", "-o", `size=${megabytes}m,mode=711`, "tmpfs", path]);
  if (mounted.status !== 0) throw new Error(`Can't mount a tmpfs: ${mounted.stderr.toString()}`);
  return {
    path,
    [Symbol.dispose]: () => {
      for (const pid of findProcesses(path)) kill(pid, "SIGKILL");
      spawnSync("/bin/umount", ["-l", path]);
    },
  };
}

function workDirOf(pid: number | undefined): string {
  return readlinkSync(`/proc/${pid}/cwd`);
}

function programOf(pid: number | undefined): string {
  return readlinkSync(`/proc/${pid}/exe`);
}

function canMount(): boolean {
  const dir = `/tmp/skerry-mount-${process.pid}`;
  mkdirSync(dir);
  const mounted = spawnSync("/bin/mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", dir]).status === 0;
  if (mounted) spawnSync("/bin/umount", [dir]);
  spawnSync("/bin/rmdir", [dir]);
  return mounted;
}
