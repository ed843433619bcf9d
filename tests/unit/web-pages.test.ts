import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Hono } from "hono";
import type { PageFiles } from "../../shared/core/page-files.ts";
import type { RestEnv } from "../../shared/rest/app.ts";
import { addWebPages } from "../../shared/rest/web-pages.ts";
import { packPages, readPack } from "../../shared/runtime/page-pack.ts";

const HTML = "<!doctype html><title>Skerry</title>";
const SCRIPT = "export const answer = 42;";
const FILES = new Map([
  ["/index.html", { type: "text/html; charset=utf-8", gzipped: Bun.gzipSync(HTML) }],
  ["/assets/main-1234.js", { type: "text/javascript; charset=utf-8", gzipped: Bun.gzipSync(SCRIPT) }],
]);

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "skerry-pages-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** The pages as they lie in a compiled edge: something before them, something behind. */
async function readFromProgram(): Promise<PageFiles> {
  const pack = packPages(FILES);
  const path = join(folder, "program");
  await Bun.write(path, new Blob(["the program", new Uint8Array(pack), "the archive"]));
  return readPack(path, pack.length + "the archive".length);
}

function serve(open: () => Promise<PageFiles | null>): Hono<RestEnv> {
  const hono = new Hono<RestEnv>();
  hono.notFound((c) => c.json({ status: 404 }, 404));
  hono.get("/api/devices", (c) => c.json([]));
  addWebPages({ hono }, { open, absent: "There are no pages" });
  return hono;
}

const BROWSER = { headers: { accept: "text/html,*/*", "accept-encoding": "gzip" } };

describe("readPack()", () => {
  test("gives each file as it was packed, and null for others", async () => {
    const files = await readFromProgram();
    for (const [path, file] of FILES) expect(await files.read(path)).toEqual(file);
    expect(await files.read("/assets/other.js")).toBeNull();
    expect(await files.read("constructor")).toBeNull();
  });
});

describe("addWebPages()", () => {
  test("gives the document for every address of a page, compressed and never from a cache unasked", async () => {
    const app = serve(readFromProgram);
    for (const path of ["/", "/edges", "/edges/784f394c-42b6-435a-983c-b7beff2784f9?tab=uplink"]) {
      const answer = await app.request(path, BROWSER);
      expect(answer.status).toBe(200);
      expect(answer.headers.get("cache-control")).toBe("no-cache");
      expect(answer.headers.get("content-encoding")).toBe("gzip");
      expect(new TextDecoder().decode(Bun.gunzipSync(await answer.arrayBuffer()))).toBe(HTML);
    }
  });

  test("forbids whatever is not its own by Content-Security-Policy", async () => {
    const policy = (await serve(readFromProgram).request("/", BROWSER)).headers.get("content-security-policy") ?? "";
    expect(policy).toStartWith("default-src 'none'; script-src 'self'; style-src 'self';");
    expect(policy).not.toContain("unsafe");
  });

  test("lets files with a hash in their name be kept for ever, and says when there is none", async () => {
    const app = serve(readFromProgram);
    const script = await app.request("/assets/main-1234.js", BROWSER);
    expect(script.headers.get("cache-control")).toContain("immutable");
    expect(script.headers.get("content-type")).toStartWith("text/javascript");
    expect((await app.request("/assets/main-0000.js", BROWSER)).status).toBe(404);
  });

  test("is plain for who takes no gzip", async () => {
    const answer = await serve(readFromProgram).request("/", { headers: { accept: "text/html" } });
    expect(answer.headers.get("content-encoding")).toBeNull();
    expect(await answer.text()).toBe(HTML);
  });

  test("leaves the API and its clients alone", async () => {
    const app = serve(readFromProgram);
    expect(await (await app.request("/api/devices", BROWSER)).json()).toEqual([]);
    expect(await (await app.request("/api/nothing", BROWSER)).json()).toEqual({ status: 404 });
    expect(await (await app.request("/nothing", { headers: { accept: "application/json" } })).json()).toEqual({
      status: 404,
    });
    expect((await app.request("/edges", { method: "POST", ...BROWSER })).status).toBe(404);
  });

  test("says so where the pages are not there", async () => {
    const answer = await serve(() => Promise.resolve(null)).request("/", BROWSER);
    expect(answer.status).toBe(503);
    expect(await answer.text()).toBe("There are no pages");
  });
});
