import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Browser } from "playwright-core";
import { openBrowser, openPage, signIn, type Look, hasBrowser } from "../support/browser.ts";
import { waitForLink } from "../support/edge-status.ts";
import { CLOUD_USER, type CloudProcess } from "../support/processes.ts";
import { connectToCloud } from "../support/rest-client.ts";
import { createTestBed, type TestBed } from "../support/test-bed.ts";
import { waitFor } from "../support/wait-for.ts";

let bed: TestBed;
let cloud: CloudProcess;
let browser: Browser;
let look: Look;

// A browser is not on every machine, and .ci/run installs one; what is served is tested without it in web-pages.test.ts.
describe.skipIf(!hasBrowser())("the pages of the cloud", () => {
  beforeAll(async () => {
    browser = await openBrowser();
    bed = await createTestBed();
    cloud = await bed.startCloud();
    look = await openPage(browser, cloud.addresses.http);
  });
  afterAll(async () => {
    await browser?.close();
    await bed?.[Symbol.asyncDispose]();
  });

  test("signing in says what is wrong, then lets in, and survives a reload without a token in the address", async () => {
    const { page } = look;
    await look.shoot("cloud-sign-in");
    expect(await look.findBarriers()).toEqual([]);
    await signIn(look, CLOUD_USER, "wrong");
    await page.getByRole("alert").getByText("Invalid username or password").waitFor();
    // The browser itself notes the 401.
    expect(look.complaints.splice(0)).toHaveLength(1);
    await signIn(look, CLOUD_USER);
    await page.getByRole("heading", { name: "Fleet" }).waitFor();
    await page.reload();
    await page.getByRole("heading", { name: "Fleet" }).waitFor();
    expect(page.url()).toBe(`${cloud.addresses.http}/`);
  });

  test("an edge is added, installed by what is shown, and seen to connect; the fleet counts it", async () => {
    const { page } = look;
    await page.getByRole("link", { name: "Edges" }).click();
    await page.getByRole("button", { name: "Add edge" }).first().click();
    await page.getByLabel("Name", { exact: true }).fill("Lighthouse North");
    await page.getByLabel("Label (optional)").fill("Pump house, west shore");
    await page.getByRole("dialog").getByRole("button", { name: "Add edge" }).click();
    await page.getByText("Waiting for the edge to connect").waitFor();
    const command = await page.locator("dialog pre").filter({ hasText: "ExecStart" }).innerText();
    const found = /echo (\S+) \|[\s\S]*--cloud-url (\S+) --edge-key (\S+)/.exec(command);
    const [, secret = "", , edgeKey = ""] = found ?? [];
    await look.shoot("cloud-add-edge");
    expect(await look.findBarriers()).toEqual([]);
    const edge = await bed.startEdge({ cloudUrl: cloud.addresses.rpc, edgeKey, secret });
    await page.getByRole("dialog").getByText("Connected", { exact: true }).waitFor();
    await waitForLink(edge);
    await page.getByRole("button", { name: "Open the edge" }).click();
    await page.getByRole("heading", { name: "Lighthouse North" }).waitFor();
    await page.getByRole("link", { name: "Fleet" }).click();
    await page.getByText("1 of 1").waitFor();
    await look.shoot("cloud-fleet");
    expect(await look.findBarriers()).toEqual([]);
    expect(look.complaints).toEqual([]);
  });

  test("the list of edges searches, filters, sorts and pages on the server", async () => {
    const { page } = look;
    const api = connectToCloud(cloud);
    for (let index = 0; index < 30; index += 1) await api.createEdge(`Site ${String(index).padStart(2, "0")}`);
    await page.getByRole("link", { name: "Edges" }).click();
    await page.getByText("1–25 of 31").waitFor();
    await look.shoot("cloud-edges");
    expect(await look.findBarriers()).toEqual([]);
    await page.getByRole("button", { name: "Next" }).click();
    await page.getByText("26–31 of 31").waitFor();
    await page.getByLabel("Search by name or label").fill("site 07");
    await page.getByText("1–1 of 1").waitFor();
    await page.getByLabel("Search by name or label").fill("");
    await page.getByRole("combobox", { name: "State" }).selectOption("connected");
    await page.getByText("1–1 of 1").waitFor();
    await page.getByRole("link", { name: "Lighthouse North" }).waitFor();
    await page.getByRole("combobox", { name: "State" }).selectOption("new");
    await page.getByText("1–25 of 30").waitFor();
    await page.getByRole("columnheader", { name: "Name" }).getByRole("button").click();
    await waitFor("the last name first", async () => (await page.locator("tbody a").first().innerText()) === "Site 29");
    expect(look.complaints).toEqual([]);
  });

  test("an edge shows its downlinks with their true state, its uplink and devices, and is compared and deleted", async () => {
    const { page } = look;
    const api = connectToCloud(cloud);
    await api.createDevice("Tide gauge 1");
    await page.goto(`${cloud.addresses.http}/edges?search=Lighthouse`);
    await page.getByRole("link", { name: "Lighthouse North" }).click();
    await page.getByRole("link", { name: "Devices" }).click();
    await page.getByRole("button", { name: "Assign device" }).click();
    await page.getByRole("button", { name: "Assign Tide gauge 1" }).click();
    await page.getByText("Tide gauge 1 goes to the edge").waitFor();
    await page.getByRole("button", { name: "Close" }).click();
    await page.getByRole("button", { name: "Unassign Tide gauge 1" }).waitFor();
    await look.shoot("cloud-edge-devices");
    expect(await look.findBarriers()).toEqual([]);
    await page.getByRole("link", { name: "Downlinks" }).click();
    await page.getByText("Applied", { exact: true }).locator("visible=true").first().waitFor();
    await page
      .getByRole("button", { name: /^Show downlink / })
      .first()
      .click();
    await look.shoot("cloud-edge-downlinks");
    await page.getByRole("dialog").getByRole("button", { name: "Close" }).click();
    expect(await look.findBarriers()).toEqual([]);
    await page.getByRole("link", { name: "Uplink" }).click();
    await page.getByRole("cell", { name: "Telemetry" }).waitFor();
    expect(await look.findBarriers()).toEqual([]);
    await page.getByRole("link", { name: "Details" }).click();
    await look.shoot("cloud-edge-details");
    expect(await look.findBarriers()).toEqual([]);
    await page.getByRole("button", { name: "Sync edge" }).click();
    await page.getByText("Both sides are the same.").waitFor();
    await page.getByRole("button", { name: "New secret" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "New secret" }).click();
    await page.getByText("The new secret, shown this once").first().waitFor();
    await page.getByRole("button", { name: "Delete" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await page.getByText("The edge was deleted").waitFor();
    await page.getByText("1–25 of 30").waitFor();
    expect(look.complaints).toEqual([]);
  });

  test("dark colours are as readable, and signing out ends the session", async () => {
    const { page } = look;
    await page.getByRole("button", { name: "Dark" }).click();
    await page.getByRole("link", { name: "Fleet" }).click();
    await page.getByText("Not connected yet").waitFor();
    await look.shoot("cloud-fleet-dark");
    expect(await look.findBarriers()).toEqual([]);
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("Password").waitFor();
    await page.reload();
    await page.getByLabel("Password").waitFor();
    expect(look.complaints).toEqual([]);
  });
});
