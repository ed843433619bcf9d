import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runCommandLine, type CommandLineDeps } from "../../edge/cli/commands.ts";
import type { EdgeConfig } from "../../edge/config.ts";
import { enroll, type EnrollCall, type EnrolledAs } from "../../edge/enrollment.ts";
import { privateFiles } from "../../edge/runtime/private-files.ts";
import { AppError } from "../../shared/core/errors.ts";
import { createSeededRandom } from "../../shared/core/random.ts";
import { readTextFile } from "../../shared/runtime/env.ts";
import { systemClock } from "../../shared/runtime/system-clock.ts";

const CLOUD = "https://cloud.example:7070";
const CODE = "ABCD-EFGH-JKMN-PQRS";

let dir = "";
let dataDir = "";
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "skerry-enroll-"));
  dataDir = join(dir, "data");
});
afterEach(() => rmSync(dir, { recursive: true }));

/** A cloud that takes a code once; `answer` may fail in its place. */
function createFakeCloud(answer: (call: EnrollCall) => EnrolledAs = () => ({ edgeKey: "key-1", edgeName: "Pump 4" })) {
  const calls: EnrollCall[] = [];
  const random = createSeededRandom(1);
  const deps = {
    files: privateFiles,
    clock: { ...systemClock, sleep: () => Promise.resolve() },
    random,
    call: async (call: EnrollCall) => {
      calls.push(call);
      return answer(call);
    },
  };
  return { calls, enroll: (wanted: Parameters<typeof enroll>[1]) => enroll(deps, wanted) };
}

async function run(
  words: readonly string[],
  cloud: Pick<CommandLineDeps, "enroll">,
  options: Partial<Pick<CommandLineDeps, "env" | "readStdin">> = {},
) {
  const out: string[] = [];
  const errors: string[] = [];
  const started: EdgeConfig[] = [];
  const exitCode = await runCommandLine({
    argv: ["enroll", "--data-dir", dataDir, ...words],
    env: {},
    readFile: readTextFile,
    files: privateFiles,
    send: () => Promise.reject(new Error("must not be asked")),
    formatTime: String,
    versions: { program: "0.1.0", runtime: "test" },
    runEdge: async (config) => void started.push(config),
    readStdin: () => Promise.reject(new Error("must not be read")),
    openScriptSandbox: () => Promise.reject(new Error("must not be opened")),
    print: (line) => out.push(line),
    printError: (line) => errors.push(line),
    ...cloud,
    ...options,
  });
  return { exitCode, out: out.join("\n"), errors: errors.join("\n"), started };
}

const configFile = (): Record<string, unknown> =>
  JSON.parse(readFileSync(join(dataDir, "config.json"), "utf8")) as Record<string, unknown>;

describe("skerry-edge enroll", () => {
  test("fetches key and secret, stores them for their owner only, and runs the edge with them", async () => {
    const cloud = createFakeCloud();
    const { exitCode, out, started } = await run(["--cloud", CLOUD, "--code", CODE], cloud);
    expect(exitCode).toBe(0);
    const [call] = cloud.calls;
    expect(cloud.calls).toHaveLength(1);
    expect(call).toMatchObject({ cloudUrl: CLOUD, claimCode: CODE });
    expect(call?.secret).toMatch(/^[A-Za-z0-9]{43}$/);
    expect(configFile()).toEqual({ cloudUrl: CLOUD, edgeKey: "key-1", edgeSecret: call?.secret });
    expect(statSync(join(dataDir, "config.json")).mode & 0o777).toBe(0o600);
    expect(started).toMatchObject([{ cloudUrl: CLOUD, edgeKey: "key-1" }]);
    expect(started[0]?.edgeSecret?.reveal()).toBe(call?.secret ?? "");
    expect(out).toContain("as edge Pump 4");
    expect(out).not.toContain(call?.secret ?? "");
    expect(privateFiles.read(join(dataDir, "enrollment.json"))).toBeNull();
  });

  test.each([
    ["the environment", ["--cloud", CLOUD], { env: { SKERRY_CLAIM_CODE: CODE } }],
    ["standard input", ["--cloud", CLOUD, "--code", "-"], { readStdin: () => Promise.resolve(`${CODE}\n`) }],
    ["the environment, with the cloud as setting", [], { env: { SKERRY_CLAIM_CODE: CODE, SKERRY_CLOUD_URL: CLOUD } }],
  ])("takes the code from %s", async (_, words, options) => {
    const cloud = createFakeCloud();
    const { exitCode, errors } = await run(words, cloud, options);
    expect({ exitCode, errors }).toEqual({ exitCode: 0, errors: "" });
    expect(cloud.calls).toMatchObject([{ cloudUrl: CLOUD, claimCode: CODE }]);
  });

  test("keeps other settings of the file, and what the link needs of the flags", async () => {
    mkdirSync(dataDir);
    writeFileSync(join(dataDir, "config.json"), '{"mqttPort":2883}');
    const cloud = createFakeCloud();
    const { started } = await run(
      ["--cloud", "http://cloud.example:7070", "--insecure", "--code", CODE, "--only"],
      cloud,
    );
    expect(configFile()).toMatchObject({ mqttPort: 2883, insecure: true, cloudUrl: "http://cloud.example:7070" });
    expect(started).toEqual([]);
  });

  test("just runs once it is an edge, whatever code is shown", async () => {
    const cloud = createFakeCloud();
    await run(["--cloud", CLOUD, "--code", CODE], cloud);
    const { exitCode, started, out } = await run(["--cloud", CLOUD, "--code", CODE], cloud);
    expect(exitCode).toBe(0);
    expect(cloud.calls).toHaveLength(1);
    expect(started).toMatchObject([{ edgeKey: "key-1" }]);
    expect(out).toContain("is an edge already");
  });

  test.each([
    [["--code", CODE], "--cloud is missing"],
    [["--cloud", CLOUD], "--code is missing"],
    [["--cloud", "cloud.example", "--code", CODE], "--cloud: expected an address"],
    [["--cloud", "http://cloud.example:7070", "--code", CODE], "INSECURE_TRANSPORT"],
  ])("with %j does nothing and says why", async (words, text) => {
    const cloud = createFakeCloud();
    const { exitCode, errors } = await run(words, cloud);
    expect(exitCode).toBe(2);
    expect(errors).toContain(text);
    expect(errors).not.toContain(CODE);
    expect(cloud.calls).toEqual([]);
  });

  test("says why a code does not work, and stores nothing", async () => {
    const refusal = new AppError("CLAIM_REFUSED", "This claim code has expired; make another one in the cloud");
    const cloud = createFakeCloud(() => {
      throw refusal;
    });
    const { exitCode, errors, started } = await run(["--cloud", CLOUD, "--code", CODE], cloud);
    expect(exitCode).toBe(1);
    expect(errors).toContain("This claim code has expired");
    expect(cloud.calls).toHaveLength(1);
    expect(started).toEqual([]);
    expect(privateFiles.read(join(dataDir, "config.json"))).toBeNull();
  });

  test("asks again with the same secret when the answer was lost, also after the process died", async () => {
    let failures = 2;
    const cloud = createFakeCloud(() => {
      failures -= 1;
      if (failures >= 0) throw new AppError("LINK_DOWN", "The stream was cut");
      return { edgeKey: "key-1", edgeName: "Pump 4" };
    });
    expect((await run(["--cloud", CLOUD, "--code", CODE], cloud)).exitCode).toBe(0);
    expect(cloud.calls).toHaveLength(3);
    rmSync(join(dataDir, "config.json"));
    const dead = createFakeCloud(() => {
      throw new AppError("LINK_DOWN", "The stream was cut");
    });
    expect((await run(["--cloud", CLOUD, "--code", CODE], dead)).exitCode).toBe(1);
    const back = createFakeCloud();
    expect((await run(["--cloud", CLOUD, "--code", CODE], back)).exitCode).toBe(0);
    const secrets = (calls: readonly EnrollCall[]) => [...new Set(calls.map(({ secret }) => secret))];
    expect(secrets(cloud.calls)).toHaveLength(1);
    expect(secrets(back.calls)).toEqual(secrets(dead.calls));
  });
});
