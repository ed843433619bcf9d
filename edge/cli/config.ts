import type { SettingsCommand } from "./command.ts";
import { JSON_OPTION, wantsJson } from "./command.ts";
import { alignColumns } from "./format.ts";

export const configCommand: SettingsCommand = {
  name: "config",
  positionals: [],
  options: [JSON_OPTION],
  summary: "Print the settings that are in effect and where each comes from; secrets stay hidden",
  readsSettings: true,
  run: async (call, { settings, print }) => {
    if (wantsJson(call)) {
      const entries = settings.settings.map(({ name, value, source, origin }) => [name, { value, source, origin }]);
      print(JSON.stringify(Object.fromEntries(entries)));
      return;
    }
    const rows = settings.settings.map(({ name, value, origin }) => [
      name,
      value === null ? "-" : String(value),
      origin,
    ]);
    for (const line of alignColumns([["SETTING", "VALUE", "FROM"], ...rows])) print(line);
  },
};
