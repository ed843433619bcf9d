import type { CommandCall } from "../../shared/config/command-line.ts";
import { AppError } from "../../shared/core/errors.ts";
import type { SettingsCommand } from "./command.ts";

export const rulesTestCommand: SettingsCommand = {
  name: "rules test",
  positionals: [],
  options: [
    { flag: "chain", placeholder: "FILE", description: "Rule chains as they are exported, JSON" },
    {
      flag: "data",
      placeholder: "CSV",
      description: "Recorded telemetry of a device: a column ts or date, others are keys",
    },
    { flag: "profile", placeholder: "NAME", description: "Of which profile the device is [default]" },
  ],
  summary: "Print as JSON lines what rule chains would have done with recorded telemetry; nothing is stored or sent",
  readsSettings: true,
  run: async (call, { print, readFile, openScriptSandbox }) => {
    // An edge that runs never needs it.
    const { testRules } = await import("./rules-replay.ts");
    const recorded = {
      chainText: readNamed(call, "chain", readFile),
      csvText: readNamed(call, "data", readFile),
      profileName: call.options.get("profile") ?? "default",
    };
    for await (const line of testRules(recorded, openScriptSandbox)) print(JSON.stringify(line));
  },
};

function readNamed(call: CommandCall, flag: "chain" | "data", readFile: (path: string) => string): string {
  const path = call.options.get(flag);
  if (path === undefined) throw new AppError("CONFIG_INVALID", `rules test needs --${flag}`);
  try {
    return readFile(path);
  } catch (cause) {
    throw new AppError("CONFIG_INVALID", `--${flag}: ${path} can't be read`, { cause });
  }
}
