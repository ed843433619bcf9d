/** `bun tests/generate-docs.ts`: the pages of docs/ that are made of declarations; with `--check` it only compares. */
import { join } from "node:path";
import { renderCloudSettings } from "../cloud/settings-page.ts";
import { COMMANDS } from "../edge/cli/commands.ts";
import { renderEdgeSettings } from "../edge/settings-page.ts";
import { renderSyncStates } from "../shared/core/sync-states-page.ts";
import { PROJECT_ROOT } from "./support/tools.ts";

const PAGES = [
  { path: "docs/configuration.md", render: () => renderEdgeSettings(COMMANDS) },
  { path: "docs/cloud-configuration.md", render: renderCloudSettings },
  { path: "docs/states.md", render: renderSyncStates },
] as const;

const isCheck = process.argv.includes("--check");
for (const { path, render } of PAGES) {
  const file = Bun.file(join(PROJECT_ROOT, path));
  const current = (await file.exists()) ? await file.text() : "";
  if (current === render()) continue;
  if (isCheck) {
    console.error(`${path} is out of date: run \`bun run generate\` and commit the result`);
    process.exitCode = 1;
  } else {
    await file.write(render());
  }
}
