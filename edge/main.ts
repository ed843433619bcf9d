import process from "node:process";
import { readArguments, readEnv, readStdin, readTextFile, writeLine, writeLog } from "../shared/runtime/env.ts";
import { systemClock } from "../shared/runtime/system-clock.ts";
import { systemRandom } from "../shared/runtime/system-random.ts";
import { runCommandLine } from "./cli/commands.ts";
import { enroll } from "./enrollment.ts";
import { runEdge } from "./run-edge.ts";
import { formatTime } from "./runtime/format-time.ts";
import { sendLocalRequest } from "./runtime/local-request.ts";
import { privateFiles } from "./runtime/private-files.ts";
import { RUNTIME_NAME } from "./runtime/runtime-name.ts";
import { callEnroll } from "./sync/transport.ts";
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
    readStdin,
    enroll: (enrollment) =>
      enroll({ files: privateFiles, clock: systemClock, random: systemRandom, call: callEnroll }, enrollment),
    openScriptSandbox: async (inputs) =>
      (await import("../shared/runtime/script-sandbox.ts")).openScriptSandbox(inputs),
    print: writeLine,
    printError: (line) => writeLog(`${line}\n`),
  });
}
