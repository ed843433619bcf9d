// Starts a database server in argv[2], reports one JSON line, and stops it when its input ends. Runs on Bun and Deno.
import process from "node:process";
import { silentLog } from "../../shared/observe/log.ts";
import { startPostgresServer } from "../../shared/postgres/server.ts";
import { systemClock } from "../../shared/runtime/system-clock.ts";

const [dataDir = "", packageDir = ""] = process.argv.slice(2);
try {
  const server = await startPostgresServer(
    { clock: systemClock, log: silentLog, source: { kind: "package", dir: packageDir } },
    { dataDir, profile: "edge" },
  );
  console.log(
    JSON.stringify({
      ready: { connection: server.connection, homeDir: server.homeDir, serverPid: server.status().pid },
    }),
  );
  await new Promise<void>((resolve) => process.stdin.once("end", () => resolve()).resume());
  await server[Symbol.asyncDispose]();
  process.exit(0);
} catch (error) {
  const code = error instanceof Error && "code" in error ? String(error.code) : "NONE";
  console.log(JSON.stringify({ error: { code, message: String(error) } }));
  process.exit(1);
}
