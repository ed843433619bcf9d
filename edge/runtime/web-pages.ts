import process from "node:process";
import type { WebPagesDeps } from "../../shared/rest/web-pages.ts";
import { EMBEDDED_ARCHIVE, EMBEDDED_PAGES_BYTES } from "./embedded-archive.ts";

/**
 * The pages that this edge carries: behind the compiled program and before the archive of PostgreSQL; bundled from their source
 * where it runs from source on Bun. Other runtimes have no bundler.
 */
export function findWebPages(): WebPagesDeps {
  return {
    absent:
      "The web pages are part of the compiled edge, and of one that runs from source on Bun. The API is at /api/docs.\n",
    open: () => (EMBEDDED_PAGES_BYTES === undefined ? bundleFromSource() : openEmbedded(EMBEDDED_PAGES_BYTES)),
  };
}

async function openEmbedded(pagesBytes: number) {
  const { readPack } = await import("../../shared/runtime/page-pack.ts");
  return readPack(process.execPath, pagesBytes + (EMBEDDED_ARCHIVE?.bytes ?? 0));
}

async function bundleFromSource() {
  if (typeof Bun === "undefined") return null;
  const { bundlePages, inMemory } = await import("../../shared/runtime/page-bundle.ts");
  return inMemory(await bundlePages("edge"));
}
