import type { CommandOption, CommandSyntax } from "../../shared/config/command-line.ts";
import { flagText, helpRows } from "../../shared/config/settings-text.ts";
import { AppError } from "../../shared/core/errors.ts";
import { EDGE_FORM } from "../settings.ts";
import type { BasicCommand } from "./command.ts";
import { EXIT_CODES } from "./command.ts";
import { alignColumns } from "./format.ts";

export const helpCommand: BasicCommand = {
  name: "help",
  positionals: [],
  options: [],
  summary: "Print this, or with the name of a command behind it what that command takes",
  readsSettings: false,
  run: async ({ positionals }, { commands, print }) => {
    const name = positionals.join(" ");
    const command = commands.find((candidate) => candidate.name === name);
    if (name !== "" && command === undefined)
      throw new AppError("CONFIG_INVALID", `Unknown command ${name}; see --help`);
    for (const line of command === undefined ? overview(commands) : details(command)) print(line);
  },
};

function overview(commands: readonly CommandSyntax[]): readonly string[] {
  return [
    "Usage: skerry-edge [COMMAND] [FLAGS]",
    "",
    "Commands:",
    ...indent(alignColumns(commands.map((command) => [usage(command), command.summary]))),
    "",
    "Settings of all commands, by flag, variable or key of the JSON file, in this order of precedence:",
    ...indent(alignColumns(helpRows(EDGE_FORM))),
    "",
    "Exit codes:",
    ...indent(Object.values(EXIT_CODES).map(({ code, meaning }) => `${code}  ${meaning}`)),
  ];
}

function details(command: CommandSyntax): readonly string[] {
  const options = command.options.map((option) => [flagText(option.flag, option.placeholder), option.description]);
  return [
    `Usage: skerry-edge ${usage(command)} [FLAGS]`,
    "",
    command.summary,
    ...(options.length === 0 ? [] : ["", "Flags:", ...indent(alignColumns(options))]),
    "",
    "Settings: see skerry-edge --help",
  ];
}

function usage({ name, positionals, options }: CommandSyntax): string {
  return [name, ...positionals, ...options.map(optionUsage)].join(" ");
}

function optionUsage({ flag, placeholder }: CommandOption): string {
  return `[${flagText(flag, placeholder)}]`;
}

function indent(lines: readonly string[]): readonly string[] {
  return lines.map((line) => `  ${line}`);
}
