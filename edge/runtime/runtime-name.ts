import process from "node:process";

/** What runs this program, e.g. `bun 1.4.5`. */
export const RUNTIME_NAME = nameRuntime(process.versions);

function nameRuntime({ bun, deno, node }: Readonly<Record<string, string | undefined>>): string {
  if (bun !== undefined) return `bun ${bun}`;
  return deno === undefined ? `node ${node ?? "unknown"}` : `deno ${deno}`;
}
