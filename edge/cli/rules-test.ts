import type { CommandCall } from "../../shared/config/command-line.ts";
import { AppError } from "../../shared/core/errors.ts";
import type { SettingsCommand } from "./command.ts";

export const rulesTestCommand: SettingsCommand = {
  name: "rules test",
  positionals: [],
  options: [
    { flag: "chain", placeholder: "FILE", description: "Rule chains as they are exported, JSON" },
    {
      flag: "alarms",
      placeholder: "FILE",
      description: "Instead of chains: a device profile with alarm rules, or the rules, JSON",
    },
    {
      flag: "data",
      placeholder: "CSV",
      description: "Recorded telemetry of a device: a column ts or date, others are keys",
    },
    { flag: "profile", placeholder: "NAME", description: "Of which profile the device is [default]" },
  ],
  summary:
    "Print as JSON lines what rule chains or alarm rules would have done with recorded telemetry; nothing is stored or sent",
  readsSettings: true,
  run: async (call, { print, readFile, openScriptSandbox }) => {
    if ((call.options.get("chain") === undefined) === (call.options.get("alarms") === undefined)) {
      throw new AppError("CONFIG_INVALID", "rules test needs either --chain or --alarms");
    }
    const recorded = {
      csvText: readNamed(call, "data", readFile),
      profileName: call.options.get("profile") ?? "default",
    };
    // An edge that runs never needs these.
    if (call.options.get("alarms") !== undefined) {
      const { testAlarmRules } = await import("./alarm-rules-replay.ts");
      const rulesText = readNamed(call, "alarms", readFile);
      for await (const line of testAlarmRules({ ...recorded, rulesText })) print(JSON.stringify(line));
      return;
    }
    const { testRules } = await import("./rules-replay.ts");
    const chainText = readNamed(call, "chain", readFile);
    for await (const line of testRules({ ...recorded, chainText }, openScriptSandbox)) print(JSON.stringify(line));
  },
};

function readNamed(call: CommandCall, flag: "chain" | "alarms" | "data", readFile: (path: string) => string): string {
  const path = call.options.get(flag);
  if (path === undefined) throw new AppError("CONFIG_INVALID", `rules test needs --${flag}`);
  try {
    return readFile(path);
  } catch (cause) {
    throw new AppError("CONFIG_INVALID", `--${flag}: ${path} can't be read`, { cause });
  }
}
