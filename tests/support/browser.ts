/** A real browser that people's clicks are tried in: Debian's Chromium, or the one that CHROMIUM_PATH names. */
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import axe from "axe-core";
import { chromium, type Browser, type Page } from "playwright-core";
import { ADMIN_PASSWORD } from "./processes.ts";
import { PROJECT_ROOT } from "./tools.ts";

const PATHS = [
  process.env["CHROMIUM_PATH"] ?? "",
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
];
const SHOTS = join(PROJECT_ROOT, ".cache/screenshots");
const WAIT_MS = 10_000;

export interface Look {
  readonly page: Page;
  /** Everything that the browser complained about. */
  readonly complaints: string[];
  /** A picture of the page in `.cache/screenshots`. */
  shoot(name: string): Promise<void>;
  /** What is wrong for people who hear the page or use no mouse: a line each. */
  findBarriers(): Promise<string[]>;
}

/** Without one the tests are skipped, and counted as that. */
export function hasBrowser(): boolean {
  if (findBrowser() !== undefined) return true;
  console.warn("The web pages are not tested: `apt-get install chromium`, or set CHROMIUM_PATH to a Chromium");
  return false;
}

function findBrowser(): string | undefined {
  return PATHS.find((path) => path !== "" && existsSync(path));
}

export async function openBrowser(): Promise<Browser> {
  const executablePath = findBrowser();
  if (executablePath === undefined) throw new Error("There is no Chromium");
  return await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
}

export interface LookOptions {
  /** @default "light" */
  readonly colorScheme?: "light" | "dark";
}

export async function openPage(
  browser: Browser,
  url: string,
  { colorScheme = "light" }: LookOptions = {},
): Promise<Look> {
  // axe is put into the page by evaluation, which the policy of the pages leaves to the debugger alone.
  const context = await browser.newContext({ colorScheme, viewport: { width: 1360, height: 900 } });
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT_MS);
  const complaints: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.goto(url);
  return {
    page,
    complaints,
    shoot: async (name) => {
      await mkdir(SHOTS, { recursive: true });
      await page.screenshot({ path: join(SHOTS, `${name}.png`) });
    },
    findBarriers: async () => {
      await page.evaluate(axe.source);
      const found = await page.evaluate(`axe.run(document).then(({ violations }) => violations.flatMap(
        ({ id, nodes }) => nodes.map(({ target, failureSummary }) => id + " " + target.join(" ") + ": " + failureSummary)))`);
      return found as string[];
    },
  };
}

export async function signIn({ page }: Look, user: string, password = ADMIN_PASSWORD): Promise<void> {
  await page.getByLabel("User").fill(user);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}
