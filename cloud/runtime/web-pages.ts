import type { PageFiles } from "../../shared/core/page-files.ts";
import type { WebPagesDeps } from "../../shared/rest/web-pages.ts";
import { bundlePages, inMemory } from "../../shared/runtime/page-bundle.ts";

/** The pages of the cloud, bundled when somebody looks at one for the first time. */
export function createWebPages(): WebPagesDeps {
  let bundled: Promise<PageFiles> | undefined;
  return { absent: "There are no web pages", open: () => (bundled ??= bundlePages("cloud").then(inMemory)) };
}
