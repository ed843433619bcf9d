import process from "node:process";
import { readArguments, readEnv, readTextFile, writeLine, writeLog } from "../shared/runtime/env.ts";
import { runCommandLine } from "./cli/commands.ts";
import { runEdge } from "./run-edge.ts";
import { formatTime } from "./runtime/format-time.ts";
import { sendLocalRequest } from "./runtime/local-request.ts";
import { privateFiles } from "./runtime/private-files.ts";
import { RUNTIME_NAME } from "./runtime/runtime-name.ts";
import { EDGE_VERSION } from "./version.ts";

if (import.meta.main) {
  process.exitCode = await runCommandLine({
    argv: readArguments(),
    env: readEnv(),
    readFile: readTextFile,
    files: privateFiles,
    send: sendLocalRequest,
    formatTime,
    versions: { program: EDGE_VERSION, runtime: RUNTIME_NAME },
    runEdge,
    print: writeLine,
    printError: (line) => writeLog(`${line}\n`),
  });
}
