import type { BasicCommand } from "./command.ts";
import { JSON_OPTION, wantsJson } from "./command.ts";

export const versionCommand: BasicCommand = {
  name: "version",
  positionals: [],
  options: [JSON_OPTION],
  summary: "Print the version of the program and of its runtime",
  readsSettings: false,
  run: async (call, { versions, print }) => {
    const { program, runtime } = versions;
    print(wantsJson(call) ? JSON.stringify({ version: program, runtime }) : `skerry-edge ${program} (${runtime})`);
  },
};
