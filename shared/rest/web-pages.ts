import type { Context } from "hono";
import type { PageFile, PageFiles } from "../core/page-files.ts";
import type { RestApp } from "./app.ts";

// The web pages beside the API: one document for every address of a page, and the files that it loads.

export interface WebPagesDeps {
  /** Asked at each request, so that nothing is held for pages that nobody looks at. */
  readonly open: () => Promise<PageFiles | null>;
  /** What is said where the pages are not there. */
  readonly absent: string;
}

const HEADERS = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
} as const;

/** Names carry hashes: what was loaded once is never asked for again. */
const FOR_EVER = "public, max-age=31536000, immutable";

/** Call it last: it takes what no other route has, and leaves all that is no page to the answer for unknown routes. */
export function addWebPages({ hono }: Pick<RestApp, "hono">, deps: WebPagesDeps): void {
  hono.get("/assets/:name", async (c) => {
    const file = await (await deps.open())?.read(`/assets/${c.req.param("name")}`);
    return file === undefined || file === null ? c.notFound() : send(c, file, FOR_EVER);
  });
  hono.get("*", async (c) => {
    if (!isPageAddress(c)) return c.notFound();
    const file = await (await deps.open())?.read("/index.html");
    if (file === undefined || file === null) return c.text(deps.absent, 503);
    return send(c, file, "no-cache");
  });
}

/** `/` for everybody; other addresses for those who ask for a document, as browsers do and clients of the API don't. */
function isPageAddress({ req }: Context): boolean {
  if (req.path === "/") return true;
  return !/^\/(api|assets)(\/|$)/.test(req.path) && (req.header("accept") ?? "").includes("text/html");
}

function send(c: Context, { type, gzipped }: PageFile, cacheControl: string): Response {
  const headers = { ...HEADERS, "content-type": type, "cache-control": cacheControl, vary: "accept-encoding" };
  if ((c.req.header("accept-encoding") ?? "").includes("gzip"))
    return new Response(gzipped, { headers: { ...headers, "content-encoding": "gzip" } });
  const plain = new Response(gzipped).body?.pipeThrough(new DecompressionStream("gzip")) ?? null;
  return new Response(plain, { headers });
}
