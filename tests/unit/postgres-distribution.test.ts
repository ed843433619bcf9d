import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { findPostgresDistribution } from "../../edge/runtime/postgres-distribution.ts";

test("findPostgresDistribution() finds the package of this machine when run from source", () => {
  const source = findPostgresDistribution();
  expect(source.kind).toBe("package");
  expect(existsSync(`${source.kind === "package" ? source.dir : ""}/native/bin/postgres`)).toBe(true);
});

test("findPostgresDistribution() reads the archive that the build put in", async () => {
  const source = findPostgresDistribution({ version: "18.4-abc", path: import.meta.path });
  expect(source).toMatchObject({ kind: "archive", version: "18.4-abc" });
  const bytes = source.kind === "archive" ? await source.load() : new Uint8Array();
  expect(new TextDecoder().decode(bytes)).toContain("reads the archive that the build put in");
});
