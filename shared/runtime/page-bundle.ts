import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { AppError } from "../core/errors.ts";
import type { PageFile, PageFiles } from "../core/page-files.ts";

/** Whose pages. */
export type PageEnd = "cloud" | "edge";

const ROOT = resolve(import.meta.dirname, "../..");
/** What pages of both ends share. */
const SHARED = `${ROOT}/shared/ui`;

const TYPES: Readonly<Record<string, string>> = {
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
};

/** Bundles the pages from their source, some 100 ms; on Bun alone. @throws AppError INTERNAL with what the bundler says */
export async function bundlePages(end: PageEnd): Promise<Map<string, PageFile>> {
  const built = await Bun.build({
    entrypoints: [`${ROOT}/${end}/ui/main.tsx`],
    target: "browser",
    format: "esm",
    minify: true,
    splitting: true,
    define: { "process.env.NODE_ENV": '"production"' },
    jsx: { runtime: "automatic", importSource: "preact", development: false },
    naming: "[name]-[hash].[ext]",
    throw: false,
  });
  if (!built.success)
    throw new AppError("INTERNAL", `The pages can't be built: ${built.logs.map(({ message }) => message).join("\n")}`);
  const files = new Map<string, PageFile>();
  const names: Record<string, string> = {};
  for (const output of built.outputs) {
    const path = `/assets/${basename(output.path)}`;
    if (output.kind === "entry-point") names["js"] = path;
    if (path.endsWith(".css")) names["css"] = path;
    files.set(path, compress(path, new Uint8Array(await output.arrayBuffer())));
  }
  const icon = await readFile(`${SHARED}/kit/icon.svg`);
  const iconPath = `/assets/icon-${createHash("sha256").update(icon).digest("hex").slice(0, 8)}.svg`;
  files.set(iconPath, compress(iconPath, icon));
  const document = (await readFile(`${SHARED}/index.html`, "utf8"))
    .replace("{script}", names["js"] ?? "")
    .replace("{style}", names["css"] ?? "")
    .replace("{icon}", iconPath);
  const index = { type: "text/html; charset=utf-8", gzipped: gzip(new TextEncoder().encode(document)) };
  return files.set("/index.html", index);
}

/** What `bundlePages` made, to be served from memory. */
export function inMemory(files: ReadonlyMap<string, PageFile>): PageFiles {
  return { read: (path) => Promise.resolve(files.get(path) ?? null) };
}

function compress(path: string, bytes: Uint8Array): PageFile {
  const type = TYPES[path.slice(path.lastIndexOf(".") + 1)] ?? "application/octet-stream";
  return { type, gzipped: gzip(bytes) };
}

function gzip(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(gzipSync(bytes, { level: 9 }));
}
