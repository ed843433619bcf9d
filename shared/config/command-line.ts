/** An option of one command, beside the settings that all commands take. */
export interface CommandOption {
  /** Without the dashes. */
  readonly flag: string;
  /** What stands for the value in the help; null: the option takes none. */
  readonly placeholder: string | null;
  readonly description: string;
}

/** What a command looks like on the command line. */
export interface CommandSyntax {
  /** One or two words, e.g. `devices add`. */
  readonly name: string;
  /** Names of what follows the command, all required, e.g. `NAME`. */
  readonly positionals: readonly string[];
  readonly options: readonly CommandOption[];
  readonly summary: string;
}

/** A command as it was called. */
export interface CommandCall {
  readonly name: string;
  readonly positionals: readonly string[];
  /** Flag to value; "true" for an option without one. */
  readonly options: ReadonlyMap<string, string>;
}

/** A setting as a flag. */
export interface SettingFlag {
  readonly flag: string;
  readonly takesValue: boolean;
}

export interface ParsedCommandLine {
  readonly call: CommandCall;
  /** Flag to value, settings only. */
  readonly settings: ReadonlyMap<string, string>;
  /** Every fault, one sentence each; values are never repeated, because they may be secrets. */
  readonly problems: readonly string[];
}

/** Without a command, as a service manager would start it. */
export const DEFAULT_COMMAND = "run";

const HELP_FLAGS: ReadonlySet<string> = new Set(["-h", "--help"]);
const VERSION_FLAGS: ReadonlySet<string> = new Set(["-V", "--version"]);

/**
 * `COMMAND POSITIONALS` and flags in any order: `--flag value`, `--flag=value`; a flag without a value also as `--flag=false`.
 * `--help` and `--version` anywhere turn the call into that command; behind `--` nothing is a flag.
 */
export function parseCommandLine(
  argv: readonly string[],
  commands: readonly CommandSyntax[],
  settings: readonly SettingFlag[],
): ParsedCommandLine {
  const { flags, words, asks, problems } = splitArguments(argv, commands, settings);
  const { command, positionals } = findCommand(words, commands);
  const call = { name: command?.name ?? DEFAULT_COMMAND, positionals, options: new Map<string, string>() };
  const own = new Map<string, string>();
  for (const { flag, value } of flags) {
    const target = settings.some((setting) => setting.flag === flag) ? own : call.options;
    if (target === call.options && command !== undefined && !command.options.some((option) => option.flag === flag)) {
      problems.push(`Command ${command.name} takes no --${flag}`);
    }
    if (target.has(flag)) problems.push(`--${flag} is given twice`);
    target.set(flag, value);
  }
  if (asks === "help") {
    const about = words.length === 0 || command === undefined ? [] : [command.name];
    return { call: { ...call, name: "help", positionals: about }, settings: own, problems: [] };
  }
  if (asks === "version") return { call: { ...call, name: "version", positionals: [] }, settings: own, problems: [] };
  // The word behind an unknown flag may be its value, and a secret.
  if (problems.length === 0) problems.push(...checkWords(words, command, positionals));
  return { call, settings: own, problems };
}

interface SplitArguments {
  readonly flags: readonly { readonly flag: string; readonly value: string }[];
  readonly words: readonly string[];
  readonly asks: "help" | "version" | null;
  readonly problems: string[];
}

function splitArguments(
  argv: readonly string[],
  commands: readonly CommandSyntax[],
  settings: readonly SettingFlag[],
): SplitArguments {
  const takesValue = new Map(settings.map((setting) => [setting.flag, setting.takesValue]));
  for (const { options } of commands) {
    for (const { flag, placeholder } of options) takesValue.set(flag, placeholder !== null);
  }
  const flags: { flag: string; value: string }[] = [];
  const words: string[] = [];
  const problems: string[] = [];
  let asks: SplitArguments["asks"] = null;
  for (let index = 0; index < argv.length; index += 1) {
    const word = argv[index] ?? "";
    if (word === "--") {
      words.push(...argv.slice(index + 1));
      break;
    }
    if (HELP_FLAGS.has(word) || VERSION_FLAGS.has(word)) {
      asks ??= HELP_FLAGS.has(word) ? "help" : "version";
      continue;
    }
    if (!word.startsWith("-") || word === "-") {
      words.push(word);
      continue;
    }
    const equals = word.indexOf("=");
    const name = equals === -1 ? word : word.slice(0, equals);
    const flag = name.replace(/^--/, "");
    const wantsValue = name.startsWith("--") ? takesValue.get(flag) : undefined;
    if (wantsValue === undefined) {
      problems.push(`Unknown flag ${name}; see --help`);
    } else if (equals !== -1) {
      flags.push({ flag, value: word.slice(equals + 1) });
    } else if (!wantsValue) {
      flags.push({ flag, value: "true" });
    } else {
      const value = argv[index + 1];
      if (value === undefined || value.startsWith("--")) {
        problems.push(`${name} needs a value`);
      } else {
        flags.push({ flag, value });
        index += 1;
      }
    }
  }
  return { flags, words, asks, problems };
}

/** The command with the most words that the line begins with. */
function findCommand(
  words: readonly string[],
  commands: readonly CommandSyntax[],
): { readonly command: CommandSyntax | undefined; readonly positionals: readonly string[] } {
  const line = words.length === 0 ? [DEFAULT_COMMAND] : words;
  for (const length of [2, 1]) {
    const name = line.slice(0, length).join(" ");
    const command = commands.find((candidate) => candidate.name === name);
    if (command !== undefined) return { command, positionals: line.slice(command.name.split(" ").length) };
  }
  return { command: undefined, positionals: [] };
}

function checkWords(
  words: readonly string[],
  command: CommandSyntax | undefined,
  positionals: readonly string[],
): readonly string[] {
  if (command === undefined) return [`Unknown command ${words.slice(0, 2).join(" ")}; see --help`];
  // `help` takes any words: the command that is asked about.
  if (command.name === "help") return [];
  const missing = command.positionals.slice(positionals.length);
  const surplus = positionals.length - command.positionals.length;
  if (missing.length > 0) return [`Command ${command.name} needs ${missing.join(" and ")}`];
  return surplus > 0
    ? [`Command ${command.name} takes ${command.positionals.length} arguments, got ${positionals.length}`]
    : [];
}
