import { DEFAULT_COMMAND, parseCommandLine } from "../../shared/config/command-line.ts";
import { flagsOf } from "../../shared/config/read-settings.ts";
import { AppError, ERROR_CODES } from "../../shared/core/errors.ts";
import type { PrivateFiles } from "../api/local-access.ts";
import { readLocalAccess } from "../api/local-access.ts";
import { readEdgeConfig } from "../config.ts";
import { EDGE_FORM } from "../settings.ts";
import type { Command, CommandContext, ProgramVersions, RunEdge } from "./command.ts";
import { EXIT_CODES } from "./command.ts";
import { configCommand } from "./config.ts";
import { devicesAddCommand } from "./devices-add.ts";
import { devicesListCommand } from "./devices-list.ts";
import type { EdgeClientDeps } from "./edge-client.ts";
import { createEdgeClient } from "./edge-client.ts";
import { enrollCommand } from "./enroll.ts";
import { eventsCommand } from "./events.ts";
import { helpCommand } from "./help.ts";
import { parkedDiscardCommand, parkedListCommand, parkedReplayCommand } from "./parked.ts";
import { rulesTestCommand } from "./rules-test.ts";
import { runCommand } from "./run.ts";
import { statusCommand } from "./status.ts";
import { versionCommand } from "./version.ts";

/** All sub-commands, in the order of the help. */
export const COMMANDS: readonly Command[] = [
  runCommand,
  enrollCommand,
  statusCommand,
  devicesAddCommand,
  devicesListCommand,
  eventsCommand,
  parkedListCommand,
  parkedReplayCommand,
  parkedDiscardCommand,
  rulesTestCommand,
  configCommand,
  versionCommand,
  helpCommand,
];

export interface CommandLineDeps {
  /** What stands behind the program's name. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly readFile: (path: string) => string;
  readonly files: Pick<PrivateFiles, "read">;
  readonly send: EdgeClientDeps["send"];
  readonly formatTime: (timeMs: number) => string;
  readonly versions: ProgramVersions;
  readonly runEdge: RunEdge;
  readonly readStdin: CommandContext["readStdin"];
  readonly enroll: CommandContext["enroll"];
  readonly openScriptSandbox: CommandContext["openScriptSandbox"];
  /** A line on standard output. */
  readonly print: (line: string) => void;
  /** A line on standard error. */
  readonly printError: (line: string) => void;
}

/** Runs the command that `argv` names, to its end. @returns the exit code, see EXIT_CODES; it never throws */
export async function runCommandLine(deps: CommandLineDeps): Promise<number> {
  const { call, problems } = parseCommandLine(deps.argv, COMMANDS, flagsOf(EDGE_FORM));
  try {
    const command = COMMANDS.find(({ name }) => name === call.name);
    const basics = { versions: deps.versions, print: deps.print, commands: COMMANDS };
    if (command?.readsSettings === false && problems.length === 0) {
      await command.run(call, basics);
      return EXIT_CODES.ok.code;
    }
    // Reports the problems of the command line together with those of the settings.
    const { argv, env, readFile } = deps;
    const reloadSettings = () => readEdgeConfig({ argv, env, readFile, commands: COMMANDS });
    const settings = reloadSettings();
    if (command?.readsSettings !== true) throw new AppError("INTERNAL", `Command ${call.name} is not known`);
    if (command.name !== DEFAULT_COMMAND) {
      for (const warning of settings.warnings) deps.printError(`Warning: ${warning}`);
    }
    const { runEdge, formatTime, send, readStdin, enroll, openScriptSandbox } = deps;
    const client = createEdgeClient({ readAccess: () => readLocalAccess(deps.files, settings.config.dataDir), send });
    const programs = { runEdge, reloadSettings, env, readStdin, enroll, formatTime, readFile, openScriptSandbox };
    await command.run(call, { ...basics, ...programs, settings, client });
    return EXIT_CODES.ok.code;
  } catch (thrown) {
    return reportFailure(AppError.from(thrown), call.name, deps.printError);
  }
}

function reportFailure({ code, message }: AppError, commandName: string, printError: (line: string) => void): number {
  if (code === "CONFIG_INVALID") {
    printError(`skerry-edge: ${message}`);
    return EXIT_CODES.usage.code;
  }
  printError(`skerry-edge: ${message} (${code})`);
  // What the manual says is about the running edge; the other commands say by themselves what to do.
  if (commandName === DEFAULT_COMMAND) printError(ERROR_CODES[code]);
  return EXIT_CODES.failure.code;
}
