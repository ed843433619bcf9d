import type { SettingsCommand } from "./command.ts";

export const runCommand: SettingsCommand = {
  name: "run",
  positionals: [],
  options: [],
  summary: "Run the edge until SIGTERM or SIGINT; this is what happens without a command",
  readsSettings: true,
  run: (_call, { runEdge, settings }) => runEdge(settings.config, settings.warnings),
};
