import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { findPostgresDistribution } from "../../edge/runtime/postgres-distribution.ts";

test("findPostgresDistribution() finds the package of this machine when run from source", () => {
  const source = findPostgresDistribution();
  expect(source.kind).toBe("package");
  expect(existsSync(`${source.kind === "package" ? source.dir : ""}/native/bin/postgres`)).toBe(true);
});

test("findPostgresDistribution() reads the archive at the end of the program", async () => {
  const END = "// The end of the program.\n";
  const source = findPostgresDistribution({ version: "18.4-abc", bytes: END.length }, import.meta.path);
  expect(source).toMatchObject({ kind: "archive", version: "18.4-abc" });
  const chunks = source.kind === "archive" ? await Array.fromAsync(source.open()) : [];
  expect(Buffer.concat(chunks).toString()).toBe(END);
});
// The end of the program.
