import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Browser } from "playwright-core";
import { openBrowser, openPage, signIn, type Look, hasBrowser } from "../support/browser.ts";
import { EDGE_USER } from "../support/processes.ts";
import { createTestBed, type Site, type TestBed } from "../support/test-bed.ts";

let bed: TestBed;
let site: Site;
let browser: Browser;
let look: Look;

// A browser is not on every machine, and .ci/run installs one; what is served is tested without it in web-pages.test.ts.
describe.skipIf(!hasBrowser())("the pages of the edge", () => {
  beforeAll(async () => {
    browser = await openBrowser();
    bed = await createTestBed();
    site = await bed.startSite(await bed.startCloud());
  });
  afterAll(async () => {
    await browser?.close();
    await bed?.[Symbol.asyncDispose]();
  });

  test("the first load is small, compressed, cached and under a strict policy", async () => {
    const accept = { accept: "text/html", "accept-encoding": "gzip" };
    const index = await fetch(site.edge.addresses.http, { headers: accept });
    const html = await index.text();
    expect(index.headers.get("content-security-policy")).toContain("default-src 'none'; script-src 'self'");
    let bytes = 0;
    for (const [path] of html.matchAll(/\/assets\/[\w.-]+/g)) {
      const asset = await fetch(new URL(path, site.edge.addresses.http), { headers: accept, decompress: false });
      expect(asset.headers.get("content-encoding")).toBe("gzip");
      expect(asset.headers.get("cache-control")).toContain("immutable");
      bytes += (await asset.arrayBuffer()).byteLength;
    }
    expect(bytes).toBeGreaterThan(5_000);
    expect(bytes).toBeLessThan(60_000);
    const missing = await fetch(`${site.edge.addresses.http}/api/nothing`, { headers: accept });
    expect(missing.status).toBe(404);
  });

  test("an outage is watched from the status page: why, how much waits, and that it drains", async () => {
    look = await openPage(browser, site.edge.addresses.http);
    const { page } = look;
    await signIn(look, EDGE_USER);
    await page.getByText("In sync", { exact: true }).waitFor();
    await look.shoot("edge-status");
    expect(await look.findBarriers()).toEqual([]);
    const { token } = await site.edgeApi.createDevice("Buoy 7");
    await site.cloud.kill();
    const mqtt = await bed.connectDevice(site.edge, token);
    for (let index = 0; index < 50; index += 1) await mqtt.sendTelemetry({ waveHeightM: index / 10 });
    await page
      .getByText(/^(No route|Link down)$/)
      .first()
      .waitFor();
    await page.getByText("What needs a look").waitFor();
    await look.shoot("edge-status-outage");
    expect(await look.findBarriers()).toEqual([]);
    await page.getByRole("link", { name: "Cloud events" }).click();
    await page.getByRole("button", { name: "Telemetry" }).click();
    await page.getByText("Queued").first().waitFor();
    await look.shoot("edge-events");
    expect(await look.findBarriers()).toEqual([]);
    await site.cloud.restart();
    await page.getByText("In the cloud").first().waitFor({ timeout: 20_000 });
    await page.getByRole("link", { name: "Devices" }).click();
    await page.getByText("Buoy 7").waitFor();
    await look.shoot("edge-devices");
    expect(await look.findBarriers()).toEqual([]);
    expect(look.complaints).toEqual([]);
  });
});
