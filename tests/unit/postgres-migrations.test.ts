import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { migrationModule, readMigrations } from "../../shared/postgres/generate-migrations.ts";
import { checkApplied, type Migration } from "../../shared/postgres/migrate.ts";

const KNOWN: readonly Migration[] = [
  { id: "0000_a", hash: "a", statements: [] },
  { id: "0001_b", hash: "b", statements: [] },
];
const A = { id: "0000_a", hash: "a", kind: "edge", compatible: false };
const B = { id: "0001_b", hash: "b", kind: "edge", compatible: false };

test("checkApplied() returns the first missing migration, or none", () => {
  expect(checkApplied([], KNOWN, "edge")?.id).toBe("0000_a");
  expect(checkApplied([A], KNOWN, "edge")?.id).toBe("0001_b");
  expect(checkApplied([A, B], KNOWN, "edge")).toBeUndefined();
});

test("checkApplied() takes further ones that say that older programs can work with them", () => {
  expect(checkApplied([A, B, { ...B, id: "0002_c", compatible: true }], KNOWN, "edge")).toBeUndefined();
});

test.each([
  ["an unknown migration", [A, { ...B, id: "0001_other" }], "DATABASE_NEWER"],
  ["an unknown one in between, whatever it says", [A, { ...B, id: "0001_other", compatible: true }], "DATABASE_NEWER"],
  ["one more than known", [A, B, { ...B, id: "0002_c" }], "DATABASE_NEWER"],
  ["another hash", [{ ...A, hash: "x" }], "DATABASE_MIGRATION_CHANGED"],
  ["a missing one before", [B], "DATABASE_MIGRATION_CHANGED"],
  ["another end", [{ ...A, kind: "cloud" }], "DATABASE_FOREIGN"],
])("checkApplied() refuses %s", (_, applied, code) => {
  expect(() => checkApplied(applied, KNOWN, "edge")).toThrow(expect.objectContaining({ code }));
});

test("readMigrations() follows the journal, splits statements and hashes the file", () => {
  const folder = mkdtempSync(join(tmpdir(), "migrations-"));
  try {
    expect(readMigrations(folder)).toEqual([]);
    mkdirSync(join(folder, "meta"));
    const entries = [
      { idx: 1, tag: "0001_b" },
      { idx: 0, tag: "0000_a" },
    ];
    writeFileSync(join(folder, "meta/_journal.json"), JSON.stringify({ entries }));
    writeFileSync(
      join(folder, "0000_a.sql"),
      "create table a (n int);\n--> statement-breakpoint\ncreate index on a (n);\n",
    );
    writeFileSync(join(folder, "0001_b.sql"), "drop table a;");
    expect(readMigrations(folder).map(({ isCompatible }) => isCompatible)).toEqual([undefined, undefined]);
    const migrations = readMigrations(folder);
    expect(migrations.map(({ id, statements }) => ({ id, statements }))).toEqual([
      { id: "0000_a", statements: ["create table a (n int);", "create index on a (n);"] },
      { id: "0001_b", statements: ["drop table a;"] },
    ]);
    expect(migrations[1]?.hash).toBe("8acf06eeb05ff67c8bd5a6bb2c93023ebe3714498cb21e4e293c8b94baaeb954");
    writeFileSync(join(folder, "0001_b.sql"), "-- compatible: nothing reads it\ncreate table b (n int);");
    expect(readMigrations(folder)[1]).toMatchObject({ isCompatible: true });
    expect(migrationModule(migrations)).toContain('"id": "0000_a"');
  } finally {
    rmSync(folder, { recursive: true });
  }
});
