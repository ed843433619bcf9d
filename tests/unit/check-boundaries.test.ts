import { describe, expect, test } from "bun:test";
import { findViolations } from "../support/check-boundaries.ts";

const FORBIDDEN: ReadonlyArray<readonly [file: string, source: string]> = [
  ["edge/sync/a.ts", `import { x } from "../../cloud/store/edges.ts";`],
  ["cloud/api/a.ts", `import type { X } from "../../edge/config.ts";`],
  ["edge/sync/index.ts", `export { x } from "./a.ts";`],
  ["edge/sync/index.ts", `export * from "./a.ts";`],
  ["edge/sync/index.ts", `export type { X } from "./a.ts";`],
  ["shared/entities/a.ts", `const x = await import("../../cloud/config.ts");`],
  ["edge/sync/a.ts", `import { createServer } from "node:http2";`],
  ["edge/api/a.ts", `import {\n  readFile,\n} from "node:fs/promises";`],
  ["shared/observe/a.ts", `import process from "node:process";`],
  ["cloud/jobs/a.ts", `import { Database } from "bun:sqlite";`],
  ["cloud/jobs/a.ts", `import "bun";`],
  ["edge/devices/a.ts", `import postgres from "postgres";`],
  ["cloud/api/a.ts", `import { eq } from "drizzle-orm";`],
  ["cloud/api/a.ts", `import type { PgTable } from "drizzle-orm/pg-core";`],
  ["cloud/api/a.ts", `import { outbox } from "../../shared/postgres/outbox.ts";`],
  ["edge/devices/a.ts", `import { device } from "../store/schema.ts";`],
  ["edge/sync/driver.ts", `import { Hello } from "../../shared/wire/gen/skerry/sync/v1/frames_pb.ts";`],
  ["edge/sync/a.ts", `import { x } from "../../tests/support/proxy.ts";`],
  ["shared/core/a.ts", `import { x } from "../sync/state.ts";`],
  ["shared/sync/a.ts", `import { x } from "../wire/frames.ts";`],
  ["shared/sync/a.ts", `import * as z from "zod";`],
  ["edge/sync/a.ts", `import { x } from "/shared/core/ids.ts";`],
];

const ALLOWED: ReadonlyArray<readonly [file: string, source: string]> = [
  ["edge/sync/transport.ts", `import { Hello } from "../../shared/wire/gen/skerry/sync/v1/frames_pb.ts";`],
  ["cloud/sync/service.ts", `import { EdgeSync } from "../../shared/wire/gen/skerry/sync/v1/sync_pb.ts";`],
  ["edge/runtime/files.ts", `import { readFile } from "node:fs/promises";`],
  ["edge/sync/a.ts", `import type { Socket } from "node:net";`],
  ["edge/sync/a.ts", `import { Duplex } from "node:stream";`],
  ["edge/store/a.ts", `import { eq } from "drizzle-orm";`],
  ["shared/postgres/connect.ts", `import postgres from "postgres";`],
  ["edge/sync/a.ts", `// import { x } from "../../cloud/config.ts";`],
  ["edge/sync/a.ts", `/**\n * import { x } from "../../cloud/config.ts";\n */\nimport { y } from "../config.ts";`],
  ["edge/api/a.ts", `export const x = read();\nexport type Y = string;\nconst from = "node:fs";`],
  ["edge/api/a.ts", `const text = 'reads "x" from "node:fs"';`],
];

describe("findViolations()", () => {
  test.each(FORBIDDEN)("finds the import that %s must not have: %s", (file, source) => {
    expect(findViolations(file, source)).toHaveLength(1);
  });

  test.each(ALLOWED)("lets %s keep %s", (file, source) => {
    expect(findViolations(file, source)).toEqual([]);
  });

  test("names file, line and rule", () => {
    const source = `import { a } from "./a.ts";\n\n/* why */\nimport { b } from "../../cloud/b.ts";\n`;
    expect(findViolations("edge/sync/c.ts", source)).toEqual([
      {
        file: "edge/sync/c.ts",
        line: 4,
        specifier: "../../cloud/b.ts",
        message: "edge/ and cloud/ never import each other",
      },
    ]);
  });
});
