import { expect, test } from "bun:test";
import {
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { AppError } from "../../shared/core/errors.ts";
import { packDistribution } from "../../shared/postgres/distribution.ts";
import { findProcesses } from "../../shared/postgres/leftovers.ts";
import {
  CAN_RUN_AS_STRANGER,
  connectTo,
  createTestDir,
  failureOf,
  kill,
  until,
  IS_ROOT,
  PACKAGE_DIR,
  startChild,
  startServer,
  STRANGER,
} from "./postgres-support.ts";

test("startPostgresServer() makes a database with checksums, a byte order of text and no network port", async () => {
  await using dir = createTestDir();
  await using server = await startServer(join(dir.path, "data"));
  await using client = connectTo(server.connection);
  const settings = await client.sql<{ name: string; setting: string }[]>`
    select name, setting from pg_settings
    where name in ('data_checksums', 'fsync', 'full_page_writes', 'synchronous_commit', 'listen_addresses', 'server_encoding')`;
  expect(Object.fromEntries(settings.map((row) => [row.name, row.setting]))).toEqual({
    data_checksums: "on",
    fsync: "on",
    full_page_writes: "on",
    synchronous_commit: "on",
    listen_addresses: "",
    server_encoding: "UTF8",
  });
  const [locale] = await client.sql<
    { n: string }[]
  >`select datlocprovider::text || ' ' || datlocale as n from pg_database where datname = current_database()`;
  expect(locale).toEqual({ n: "b C.UTF-8" });
  expect(await client.sql`select upper('ä') as upper`).toMatchObject([{ upper: "Ä" }]);
  expect(statSync(server.connection.host).mode & 0o777).toBe(0o700);
  expect(statSync(join(server.homeDir, "data")).mode & 0o777).toBe(0o700);
});

test("startPostgresServer() has no collations of ICU, says so, and goes on", async () => {
  await using dir = createTestDir();
  await using server = await startServer(join(dir.path, "data"));
  await using client = connectTo(server.connection);
  expect(await client.sql`select collname from pg_collation where collprovider = 'i'`).toHaveLength(0);
  const failure = await failureOf(client.sql`create collation german (provider = icu, locale = 'de')`);
  expect(failure.message).toContain("ICU is not part of this PostgreSQL");
  expect(await client.sql`select '<a>ä</a>'::xml::text as document`).toMatchObject([{ document: "<a>ä</a>" }]);
});

test("startPostgresServer() keeps the data and the unpacked files over a restart", async () => {
  await using dir = createTestDir();
  const dataDir = join(dir.path, "data");
  let unpackedAt: number;
  {
    await using server = await startServer(dataDir);
    await using client = connectTo(server.connection);
    await client.sql`create table kept as select 7 as n`;
    unpackedAt = statSync(serverDir(server.homeDir)).ctimeMs;
  }
  await using server = await startServer(dataDir);
  await using client = connectTo(server.connection);
  expect(await client.sql`select n from kept`).toMatchObject([{ n: 7 }]);
  expect(statSync(serverDir(server.homeDir)).ctimeMs).toBe(unpackedAt);
});

test("startPostgresServer() runs from an archive and replaces the files of another version", async () => {
  await using dir = createTestDir();
  const dataDir = join(dir.path, "data");
  await (await startServer(dataDir))[Symbol.asyncDispose]();
  const { version, archive } = packDistribution(PACKAGE_DIR, { level: 1 });
  await using server = await startServer(
    dataDir,
    {},
    { kind: "archive", version, open: () => Readable.from([archive]) },
  );
  expect(readdirSync(server.homeDir).filter((name) => name.startsWith("server-"))).toEqual([`server-${version}`]);
  await using client = connectTo(server.connection);
  expect(await client.sql`select 1 as n`).toMatchObject([{ n: 1 }]);
});

test("startPostgresServer() begins anew after a first start that was killed half-way", async () => {
  await using dir = createTestDir();
  const dataDir = join(dir.path, "data");
  const home = join(dataDir, "postgres");
  mkdirSync(join(home, ".unpack-1.99/bin"), { recursive: true, mode: 0o711 });
  mkdirSync(join(home, ".init-abc/base"), { recursive: true });
  writeFileSync(join(dataDir, "skerry.json"), "{}");
  await using server = await startServer(dataDir);
  expect(server.status().state).toBe("ready");
  expect(readdirSync(home).filter((name) => name.startsWith("."))).toEqual([]);
});

test("startPostgresServer() puts the socket elsewhere when the path is too long for it, and cleans up", async () => {
  await using dir = createTestDir();
  const dataDir = join(dir.path, "a-very-long-name-".repeat(5), "b-very-long-name-".repeat(5));
  let socketDir: string;
  {
    await using server = await startServer(dataDir);
    await using client = connectTo(server.connection);
    expect(await client.sql`select 1 as n`).toMatchObject([{ n: 1 }]);
    socketDir = server.connection.host;
    expect(socketDir.startsWith(dataDir)).toBe(false);
    expect(statSync(socketDir).mode & 0o777).toBe(0o700);
  }
  expect(existsSync(socketDir)).toBe(false);
});

test("startPostgresServer() gives up when its signal aborts, and leaves nothing behind", async () => {
  await using dir = createTestDir();
  const dataDir = join(dir.path, "data");
  const controller = new AbortController();
  const start = failureOf(startServer(dataDir, { signal: controller.signal }));
  // As soon as initdb runs.
  await until(() => findProcesses(dir.path).length > 0, "initdb to run");
  controller.abort(new AppError("CANCELLED", "Enough"));
  expect(await start).toEqual({ code: "CANCELLED", message: "Enough" });
  expect(findProcesses(dir.path)).toEqual([]);
  expect(readdirSync(join(dataDir, "postgres")).filter((name) => name.startsWith("."))).toEqual([]);
  await using server = await startServer(dataDir);
  expect(server.status().state).toBe("ready");
});

test("startPostgresServer() runs on Deno, restarts its server, and frees the directory when it is killed", async () => {
  await using dir = createTestDir();
  const dataDir = join(dir.path, "data");
  await using first = startChild(dataDir, { runtime: "deno" });
  const { ready } = await first.report;
  if (ready === undefined) throw new Error("Expected a server");
  await using second = startChild(dataDir, { runtime: "deno" });
  expect((await second.report).error?.code).toBe("DATABASE_IN_USE");
  // Nothing but the server's own files and sockets may be open in it.
  const open = readdirSync(`/proc/${ready.serverPid}/fd`).map((fd) =>
    readlinkSync(`/proc/${ready.serverPid}/fd/${fd}`),
  );
  expect(open.filter((target) => target.startsWith("socket:"))).toHaveLength(1);
  kill(ready.serverPid, "SIGKILL");
  const pidFile = join(ready.homeDir, "data/postmaster.pid");
  const isRestarted = (): boolean => existsSync(pidFile) && /^ready/m.test(readFileSync(pidFile, "utf8"));
  await until(
    () => isRestarted() && !readFileSync(pidFile, "utf8").startsWith(`${ready.serverPid}\n`),
    "another server",
  );
  await first.kill("SIGKILL");
  await using third = startChild(dataDir, { runtime: "deno" });
  const report = await third.report;
  expect(report.error).toBeUndefined();
  {
    await using client = connectTo(ready.connection);
    expect(await client.sql`select 1 as n`).toMatchObject([{ n: 1 }]);
  }
  await third.stop();
  expect(findProcesses(dir.path)).toEqual([]);
});

// Only root has privileges to drop.
test.skipIf(!IS_ROOT)(
  "startPostgresServer() as root gives the server a uid, gid and groups without privileges",
  async () => {
    await using dir = createTestDir();
    await using server = await startServer(join(dir.path, "data"));
    for (const pid of findProcesses(server.homeDir)) {
      const status = readFileSync(`/proc/${pid}/status`, "utf8");
      expect(/^Uid:\t(\d+)\t\1\t\1\t\1$/m.exec(status)?.[1]).toBe("60871");
      expect(/^Gid:\t(\d+)\t\1\t\1\t\1$/m.exec(status)?.[1]).toBe("60871");
      expect(/^Groups:[ \t]*(.*?)[ \t]*$/m.exec(status)?.[1]).toBe("");
      expect(/^CapEff:\s*(\w+)/m.exec(status)?.[1]).toBe("0000000000000000");
    }
    const owners = ["data", "run", "lock", "server.log"].map((name) => statSync(join(server.homeDir, name)).uid);
    expect(owners).toEqual([60_871, 60_871, 0, 0]);
    // The server must not be able to replace its own program.
    expect(statSync(join(serverDir(server.homeDir), "bin/postgres")).uid).toBe(0);
  },
);

// Only root can hand a directory to another user.
test.skipIf(!IS_ROOT)("startPostgresServer() as root runs the server as the directory's owner", async () => {
  await using dir = createTestDir();
  const dataDir = join(dir.path, "data");
  mkdirSync(dataDir);
  chownSync(dataDir, STRANGER, STRANGER);
  {
    await using server = await startServer(dataDir);
    expect(statSync(`/proc/${server.status().pid}`).uid).toBe(STRANGER);
    expect(statSync(server.homeDir).uid).toBe(STRANGER);
  }
  if (!CAN_RUN_AS_STRANGER) return;
  // Everything was left so that the owner can go on without root.
  await using child = startChild(dataDir, { uid: STRANGER });
  expect((await child.report).error).toBeUndefined();
});

// Starting a process of another uid takes root and a checkout that this uid can read.
test.skipIf(!CAN_RUN_AS_STRANGER)("startPostgresServer() works for a uid without a passwd entry", async () => {
  await using dir = createTestDir(0o777);
  await using child = startChild(join(dir.path, "data"), { uid: STRANGER });
  const report = await child.report;
  expect(report.error).toBeUndefined();
  expect(statSync(`/proc/${report.ready?.serverPid}`).uid).toBe(STRANGER);
});

function serverDir(homeDir: string): string {
  const name = readdirSync(homeDir).find((candidate) => candidate.startsWith("server-"));
  if (name === undefined) throw new Error(`Expected server-* in ${homeDir}`);
  return join(homeDir, name);
}
