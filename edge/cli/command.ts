import type { CommandCall, CommandSyntax } from "../../shared/config/command-line.ts";
import type { OpenScriptSandbox } from "../../shared/runtime/script-sandbox.ts";
import type { EdgeConfig, EdgeConfigResult } from "../config.ts";
import type { EnrolledAs, Enrollment } from "../enrollment.ts";
import type { EdgeClient } from "./edge-client.ts";

/** Exit codes of the program, with what they mean to a script. */
export const EXIT_CODES = {
  ok: { code: 0, meaning: "the command did what it was asked to; `run` was stopped by a signal and finished its work" },
  failure: { code: 1, meaning: "it failed; the reason is on standard error" },
  usage: { code: 2, meaning: "arguments or settings are wrong; nothing was done, and trying again won't help" },
  /** Given by shared/runtime/signals.ts. */
  forced: {
    code: 143,
    meaning: "a second signal ended `run` before its work was finished; what was acknowledged is stored",
  },
} as const;

/** The version of the program and the runtime that it runs on, e.g. `bun 1.4.5`. */
export interface ProgramVersions {
  readonly program: string;
  readonly runtime: string;
}

export interface BasicContext {
  readonly versions: ProgramVersions;
  /** Standard output, a line. */
  readonly print: (line: string) => void;
  /** All commands, for the help. */
  readonly commands: readonly CommandSyntax[];
}

export interface CommandContext extends BasicContext {
  readonly settings: EdgeConfigResult;
  /** The running edge; its functions throw when there is none. */
  readonly client: EdgeClient;
  readonly runEdge: RunEdge;
  /** The settings once more, as they are after something was stored. */
  readonly reloadSettings: () => EdgeConfigResult;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Standard input to its end. */
  readonly readStdin: () => Promise<string>;
  readonly enroll: (enrollment: Enrollment) => Promise<EnrolledAs>;
  readonly formatTime: (timeMs: number) => string;
  /** @throws what the system says, when the file can't be read */
  readonly readFile: (path: string) => string;
  readonly openScriptSandbox: OpenScriptSandbox;
}

/** Starts the edge and resolves when it has stopped; `warnings` are for its log. */
export type RunEdge = (config: EdgeConfig, warnings: readonly string[]) => Promise<void>;

/** A sub-command. It throws AppError; CONFIG_INVALID for wrong arguments. */
export type Command = SettingsCommand | BasicCommand;

export interface SettingsCommand extends CommandSyntax {
  readonly readsSettings: true;
  run(call: CommandCall, context: CommandContext): Promise<void>;
}

/** One that works whatever the settings are. */
export interface BasicCommand extends CommandSyntax {
  readonly readsSettings: false;
  run(call: CommandCall, context: BasicContext): Promise<void>;
}

/** The option that all commands for scripts share. */
export const JSON_OPTION = { flag: "json", placeholder: null, description: "Print JSON for scripts" } as const;

export function wantsJson(call: CommandCall): boolean {
  return call.options.get(JSON_OPTION.flag) === "true";
}
