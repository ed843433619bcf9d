import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLocalAccess } from "../../edge/api/local-access.ts";
import { runCommandLine, type CommandLineDeps } from "../../edge/cli/commands.ts";
import { formatBytes, formatDuration } from "../../edge/cli/format.ts";
import type { EdgeConfig } from "../../edge/config.ts";
import { createDiskGauge } from "../../edge/runtime/disk-use.ts";
import { formatTime } from "../../edge/runtime/format-time.ts";
import { sendLocalRequest } from "../../edge/runtime/local-request.ts";
import { privateFiles } from "../../edge/runtime/private-files.ts";
import { AppError } from "../../shared/core/errors.ts";
import { NULL_UUID } from "../../shared/core/ids.ts";
import { createSeededRandom } from "../../shared/core/random.ts";
import { readTextFile } from "../../shared/runtime/env.ts";
import { openScriptSandbox } from "../../shared/runtime/script-sandbox.ts";
import { PROJECT_ROOT } from "../support/tools.ts";

type Answer = (request: Request) => unknown;

/** An edge that answers what the test says, by `METHOD /path`. */
interface FakeEdge extends AsyncDisposable {
  readonly requests: string[];
  readonly url: string;
}

function startFakeEdge(answers: Readonly<Record<string, Answer>>): FakeEdge {
  const requests: string[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async (request) => {
      const { pathname, search } = new URL(request.url);
      requests.push(`${request.method} ${pathname}${search}`);
      if (!request.headers.get("x-authorization")?.startsWith("local ")) return new Response("who?", { status: 401 });
      const answer = answers[`${request.method} ${pathname}`];
      if (answer === undefined) return Response.json({ message: "No such route" }, { status: 404 });
      const body = await answer(request);
      return body instanceof Response ? body : Response.json(body);
    },
  });
  return { requests, url: `http://127.0.0.1:${server.port}`, [Symbol.asyncDispose]: () => server.stop(true) };
}

let dataDir = "";

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "skerry-cli-"));
});

afterEach(() => {
  rmSync(dataDir, { recursive: true });
});

function openAccess(http: string): void {
  const deps = { files: privateFiles, random: createSeededRandom(1), readTenantId: () => NULL_UUID };
  createLocalAccess(deps, dataDir).open(http);
}

/** Runs the program against `dataDir`. */
async function run(words: string, deps: Partial<CommandLineDeps> = {}) {
  const out: string[] = [];
  const errors: string[] = [];
  const exitCode = await runCommandLine({
    argv: [...words.split(" ").filter((word) => word !== ""), "--data-dir", dataDir],
    env: {},
    readFile: readTextFile,
    files: privateFiles,
    send: sendLocalRequest,
    formatTime,
    versions: { program: "0.1.0", runtime: "bun 1.4.5" },
    runEdge: () => Promise.reject(new Error("must not be started")),
    readStdin: () => Promise.reject(new Error("must not be read")),
    enroll: () => Promise.reject(new Error("must not enroll")),
    openScriptSandbox,
    print: (line) => out.push(line),
    printError: (line) => errors.push(line),
    ...deps,
  });
  return { exitCode, out, errors, text: out.join("\n") };
}

describe("skerry-edge", () => {
  test("runs the edge when no command is given, with the settings and their warnings", async () => {
    const started: [EdgeConfig, readonly string[]][] = [];
    const runEdge = async (config: EdgeConfig, warnings: readonly string[]): Promise<void> => {
      started.push([config, warnings]);
    };
    const { exitCode, errors } = await run("--mqtt-port 0", { runEdge, env: { SKERRY_X: "1" } });
    expect({ exitCode, errors }).toEqual({ exitCode: 0, errors: [] });
    expect(started).toHaveLength(1);
    expect(started[0]?.[0]).toMatchObject({ mqttPort: 0, dataDir });
    expect(started[0]?.[1]).toEqual(["Variable SKERRY_X is not a setting and has no effect"]);
  });

  test("says what to do when the edge can't start, with code 1", async () => {
    const runEdge = () =>
      Promise.reject(new AppError("ADDRESS_IN_USE", "Can't listen on 0.0.0.0:1883: the port is taken"));
    const { exitCode, errors } = await run("run", { runEdge });
    expect(exitCode).toBe(1);
    expect(errors).toEqual([
      "skerry-edge: Can't listen on 0.0.0.0:1883: the port is taken (ADDRESS_IN_USE)",
      "A port that is to be opened is taken. Stop the other program or choose another port.",
    ]);
  });

  test.each([
    "dance",
    "status --bogus",
    "run --mqtt-port x",
    "events --limit 0",
    "events --limit 1.5",
    "events --lane x",
    "devices add",
    "parked list --lane x",
    "parked replay",
    "parked replay --seq 7",
    "parked discard",
    "parked discard --all --lane config",
    "parked discard --lane config --seq x",
    "version --bogus",
    "help dance",
  ])("ends with code 2 and does nothing: %s", async (words) => {
    const { exitCode, out, errors } = await run(words);
    expect(exitCode).toBe(2);
    expect(out).toEqual([]);
    expect(errors[0]).toStartWith("skerry-edge: ");
  });

  test.each(["help", "--help", "-h", "run --help --mqtt-port x"])("prints its help: %s", async (words) => {
    const { exitCode, text } = await run(words, { env: { SKERRY_MQTT_PORT: "x" } });
    expect(exitCode).toBe(0);
    expect(text).toStartWith("Usage: skerry-edge");
  });

  test("lists every command, setting and exit code in its help", async () => {
    const { text } = await run("help");
    for (const expected of [
      "devices add NAME [--token TOKEN]",
      "--mqtt-port PORT",
      "SKERRY_MQTT_PORT",
      "[1883]",
      "DATABASE_URL",
      "SKERRY_CONFIG",
      "2  arguments or settings are wrong",
    ]) {
      expect(text).toContain(expected);
    }
  });

  test.each(["help devices add", "devices add --help"])("explains one command: %s", async (words) => {
    expect((await run(words)).text).toContain("--token TOKEN");
  });

  test("prints its version whatever the settings are", async () => {
    const { exitCode, out } = await run("--version", { env: { SKERRY_MQTT_PORT: "x" } });
    expect({ exitCode, out }).toEqual({ exitCode: 0, out: ["skerry-edge 0.1.0 (bun 1.4.5)"] });
    expect(JSON.parse((await run("version --json")).text)).toEqual({ version: "0.1.0", runtime: "bun 1.4.5" });
  });
});

describe("skerry-edge config", () => {
  test("shows values and where they come from, but no secret", async () => {
    writeFileSync(join(dataDir, "config.json"), '{"httpPort":9}');
    const env = { SKERRY_ADMIN_PASSWORD: "hunter2", DATABASE_URL: "postgres://u:hunter2@h/d" };
    const { text } = await run("config --mqtt-port=0", { env });
    expect(text).not.toContain("hunter2");
    expect(text).toMatch(/^mqttPort +0 +flag --mqtt-port$/m);
    expect(text).toMatch(/^httpPort +9 +file \/.*config\.json$/m);
    expect(text).toMatch(/^adminPassword +\[hidden\] +variable SKERRY_ADMIN_PASSWORD$/m);
    const json = await run("config --json", { env });
    expect(json.text).not.toContain("hunter2");
    expect(JSON.parse(json.text)).toMatchObject({
      httpPort: { value: 9, source: "file" },
      databaseUrl: { value: "[hidden]" },
    });
  });

  test("warns on standard error", async () => {
    const { exitCode, errors } = await run("config --admin-password hunter2");
    expect(exitCode).toBe(0);
    expect(errors.join()).toContain("visible in the list of processes");
    expect(errors.join()).not.toContain("hunter2");
  });
});

const STATUS = {
  state: "degraded",
  problems: ["There is no connection to the cloud"],
  time: 1_700_000_060_000,
  startedTime: 1_700_000_000_000,
  version: "0.1.0",
  runtime: "bun 1.4.5",
  sync: {
    state: "NO_ROUTE",
    reasons: [{ code: "NO_ROUTE", text: "The cloud can't be reached", detail: "connect ECONNREFUSED" }],
    sinceTime: 1_700_000_050_000,
    lastInSyncTime: 1_700_000_040_000,
    nextAttemptTime: 1_700_000_063_000,
  },
  link: {
    state: "waiting",
    reason: { code: "LINK_DOWN", text: "connect ECONNREFUSED" },
    sinceTime: 1_700_000_050_000,
    session: null,
    clockSkewMs: null,
    lastAckTime: null,
    cloudUrl: "https://cloud.example",
  },
  lanes: {
    config: {
      nextSeq: 1,
      sentSeq: 0,
      ackedSeq: 0,
      backlogItems: 0,
      backlogBytes: 0,
      oldestUnsentTime: null,
      parkedItems: 0,
    },
    telemetry: {
      nextSeq: 501,
      sentSeq: 0,
      ackedSeq: 100,
      backlogItems: 400,
      backlogBytes: 12_345,
      oldestUnsentTime: 1_700_000_050_000,
      parkedItems: 0,
    },
  },
  parked: 0,
  database: { kind: "embedded", state: "ready", reason: null, version: "18.4" },
  disk: {
    usedBytes: 45_000_000,
    freeBytes: 9_000_000_000,
    quotaBytes: 1_000_000_000,
    reserveBytes: 33_554_432,
    isFull: false,
    removed: { thinned: 2, dropped: 1 },
  },
  mqttConnections: 3,
  thinned: [],
  rules: null,
};

describe("skerry-edge status", () => {
  test("shows link, backlog and problems of the running edge", async () => {
    await using edge = startFakeEdge({ "GET /status": () => STATUS });
    openAccess(edge.url);
    const { exitCode, out } = await run("status");
    expect(exitCode).toBe(0);
    expect(out).toContain(
      "sync       NO_ROUTE for 10 s; next attempt in 3 s; last in sync 20 s ago; NO_ROUTE: connect ECONNREFUSED",
    );
    expect(out).toContain("link       waiting for 10 s with https://cloud.example: connect ECONNREFUSED (LINK_DOWN)");
    expect(out).toContain("telemetry  400 wait (12.3 kB), the oldest for 10 s; 100 in the cloud");
    expect(out).toContain("disk       45.0 MB of 1.0 GB used, 9.0 GB free, 3 records removed unsent");
    expect(out.at(-1)).toBe("! There is no connection to the cloud");
    expect(JSON.parse((await run("status --json")).text)).toEqual(STATUS);
  });

  test("shows what is not known as such", async () => {
    const nothing = {
      sync: null,
      link: null,
      lanes: null,
      parked: null,
      database: null,
      disk: null,
      mqttConnections: null,
    };
    await using edge = startFakeEdge({ "GET /status": () => ({ ...STATUS, ...nothing }) });
    openAccess(edge.url);
    expect((await run("status")).text.match(/not known/g)).toHaveLength(7);
  });

  test("says that no edge runs", async () => {
    const { exitCode, errors } = await run("status");
    expect(exitCode).toBe(1);
    expect(errors).toEqual([
      `skerry-edge: No edge runs in ${dataDir}; start it, or name its directory with --data-dir (NOT_FOUND)`,
    ]);
  });

  test("says that the edge was killed when its address is left behind", async () => {
    const edge = startFakeEdge({});
    openAccess(edge.url);
    await edge[Symbol.asyncDispose]();
    const { exitCode, errors } = await run("status");
    expect(exitCode).toBe(1);
    expect(errors[0]).toBe(
      `skerry-edge: No edge answers at ${edge.url} (it was killed or is about to stop); start it again (NOT_FOUND)`,
    );
  });

  test.each([
    ["an answer of another program", () => new Response("<html>"), "can't read"],
    ["an answer of another shape", () => ({ state: "ok" }), "can't read"],
    ["a refused token", () => new Response("", { status: 401 }), "started again meanwhile"],
    [
      "a fault of the edge",
      () => Response.json({ message: "boom" }, { status: 500 }),
      "refused GET /status with status 500: boom",
    ],
  ])("ends with code 1 on %s", async (_name, answer, text) => {
    await using edge = startFakeEdge({ "GET /status": answer });
    openAccess(edge.url);
    const { exitCode, errors } = await run("status");
    expect(exitCode).toBe(1);
    expect(errors[0]).toContain(text);
  });
});

describe("skerry-edge devices", () => {
  const device = (name: string) => ({
    id: { entityType: "DEVICE", id: `id-${name}` },
    name,
    type: "default",
    label: null,
  });

  test("add creates a device and prints its token", async () => {
    let created: unknown;
    await using edge = startFakeEdge({
      "POST /api/device": async (request) => {
        created = await request.json();
        return device("Pump");
      },
      "GET /api/device/id-Pump/credentials": () => ({ credentialsId: "tok" }),
    });
    openAccess(edge.url);
    const { exitCode, out } = await run("devices add Pump --token t&1 --type pump");
    expect(created).toEqual({ name: "Pump", type: "pump" });
    expect(edge.requests[0]).toBe("POST /api/device?accessToken=t%261");
    expect({ exitCode, out }).toEqual({
      exitCode: 0,
      out: ["name   Pump", "type   default", "id     id-Pump", "token  tok"],
    });
    const json = await run("devices add Pump --json");
    expect(created).toEqual({ name: "Pump" });
    expect(JSON.parse(json.text)).toEqual({ id: "id-Pump", name: "Pump", type: "default", token: "tok" });
  });

  test("add shows why the edge refused", async () => {
    const message = "Device with such name already exists!";
    await using edge = startFakeEdge({ "POST /api/device": () => Response.json({ message }, { status: 400 }) });
    openAccess(edge.url);
    const { exitCode, errors } = await run("devices add Pump");
    expect(exitCode).toBe(1);
    expect(errors).toEqual([
      `skerry-edge: Edge refused POST /api/device with status 400: ${message} (INVALID_ARGUMENT)`,
    ]);
  });

  test("list reads page after page", async () => {
    await using edge = startFakeEdge({
      "GET /api/tenant/devices": (request) => {
        const page = Number(new URL(request.url).searchParams.get("page"));
        return { data: [device(`D${page}`)], totalPages: 3, totalElements: 3, hasNext: page < 2 };
      },
    });
    openAccess(edge.url);
    expect((await run("devices list")).out).toEqual([
      "NAME  TYPE     ID",
      "D0    default  id-D0",
      "D1    default  id-D1",
      "D2    default  id-D2",
    ]);
    expect(JSON.parse((await run("devices list --json")).text)).toHaveLength(3);
  });
});

describe("skerry-edge parked", () => {
  const item = {
    lane: "config",
    seq: 7,
    code: "ALREADY_EXISTS",
    reason: "Taken",
    refusedBy: "0.1.0",
    parkedTime: 1_700_000_000_000,
    entity: { entityType: "DEVICE", id: "id-7" },
    body: null,
  };

  test("list shows subject and reason", async () => {
    await using edge = startFakeEdge({
      "GET /api/edge/parked": () => ({ data: [item], totalPages: 1, totalElements: 1, hasNext: false }),
    });
    openAccess(edge.url);
    const { out } = await run("parked list --lane config --code ALREADY_EXISTS");
    expect(edge.requests).toEqual([
      "GET /api/edge/parked?pageSize=1000&page=0&sortOrder=DESC&lane=config&code=ALREADY_EXISTS",
    ]);
    expect(out[1]).toMatch(/^config +7 +\S.* DEVICE id-7 +ALREADY_EXISTS: Taken$/);
    expect(JSON.parse((await run("parked list --json")).text)).toEqual([item]);
  });

  test.each([
    ["parked replay --lane config --seq 7", "POST /api/edge/parked/config/7/replay", "2 sent again"],
    ["parked replay --all", "POST /api/edge/parked/replay", "2 sent again"],
    ["parked replay --code NOT_FOUND", "POST /api/edge/parked/replay?code=NOT_FOUND", "2 sent again"],
    ["parked discard --lane telemetry --seq 7", "DELETE /api/edge/parked/telemetry/7", "3 discarded"],
    ["parked discard --lane telemetry", "DELETE /api/edge/parked?lane=telemetry", "3 discarded"],
    ["parked discard --all", "DELETE /api/edge/parked", "3 discarded"],
  ])("%s", async (words, request, text) => {
    const replayed = () => ({ replayed: 2, kept: 1 });
    const discarded = () => ({ discarded: 3 });
    await using edge = startFakeEdge({
      "POST /api/edge/parked/config/7/replay": replayed,
      "POST /api/edge/parked/replay": replayed,
      "DELETE /api/edge/parked/telemetry/7": discarded,
      "DELETE /api/edge/parked": discarded,
    });
    openAccess(edge.url);
    expect((await run(words)).out[0]).toBe(text);
    expect(edge.requests).toEqual([request]);
  });
});

describe("skerry-edge events", () => {
  const id = "00000000-0000-8001-8000-000000000007";
  const event = {
    id: { id },
    createdTime: 1_700_000_000_000,
    seqId: 7,
    tenantId: { entityType: "TENANT", id },
    action: "ADDED",
    entityId: id,
    type: "DEVICE",
    entityBody: null,
    state: "failed",
    reason: "NOT_FOUND: no such profile",
  };

  test("lists the newest config events with their state", async () => {
    await using edge = startFakeEdge({
      "GET /api/edge/events": () => ({ data: [event], totalPages: 41, totalElements: 41, hasNext: true }),
    });
    openAccess(edge.url);
    const { out } = await run("events --limit 1");
    expect(edge.requests).toEqual(["GET /api/edge/events?pageSize=1&page=0&sortProperty=createdTime&sortOrder=DESC"]);
    expect(out[1]).toBe(`7    2023-11-14T22:13:20.000Z  failed  ADDED   DEVICE ${id}  NOT_FOUND: no such profile`);
    expect(out[2]).toBe("40 older ones; see --limit");
  });

  test("lists record batches of the telemetry lane", async () => {
    const entityBody = { count: 500, firstSeq: 7, lastSeq: 506, startTs: 1, endTs: 2, refused: 0 };
    const batch = { ...event, action: "TIMESERIES_UPDATED", entityId: null, entityBody, state: "sent", reason: null };
    await using edge = startFakeEdge({
      "GET /api/edge/events/timeseries": () => ({ data: [batch], totalPages: 1, totalElements: 1, hasNext: false }),
    });
    openAccess(edge.url);
    expect((await run("events --lane telemetry")).out[1]).toEndWith("sent   TIMESERIES_UPDATED  500 records");
    expect(JSON.parse((await run("events --lane=telemetry --json")).text)).toEqual([batch]);
  });
});

describe("privateFiles", () => {
  test("makes a missing directory through which others pass, and see nothing of it", () => {
    privateFiles.write(join(dataDir, "new/access.json"), "secret");
    expect(statSync(join(dataDir, "new")).mode & 0o777).toBe(0o711);
    expect(statSync(join(dataDir, "new/access.json")).mode & 0o777).toBe(0o600);
  });

  test("writes for the owner only, not through a link that lies in the way", () => {
    const path = join(dataDir, "access.json");
    const victim = join(dataDir, "victim");
    writeFileSync(victim, "old", { mode: 0o644 });
    symlinkSync(victim, `${path}.new`);
    privateFiles.write(path, "secret");
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect([privateFiles.read(path), privateFiles.read(victim)]).toEqual(["secret", "old"]);
    privateFiles.remove(path);
    privateFiles.remove(path);
    expect(readdirSync(dataDir)).toEqual(["victim"]);
    expect(privateFiles.read(path)).toBeNull();
  });
});

describe("createDiskGauge()", () => {
  test("measures the files of the directory again after 30 s, not before", async () => {
    let nowMs = 0;
    const gauge = createDiskGauge({ monotonicMs: () => nowMs }, dataDir);
    const measured = async (): Promise<number> => (await gauge()).usedBytes;
    writeFileSync(join(dataDir, "a"), "12345");
    expect(await measured()).toBe(5);
    expect((await gauge()).freeBytes).toBeGreaterThan(0);
    mkdirSync(join(dataDir, "below"));
    writeFileSync(join(dataDir, "below/b"), "678");
    nowMs = 30_000;
    expect(await measured()).toBe(5);
    nowMs = 30_001;
    expect(await measured()).toBe(8);
  });
});

describe("sendLocalRequest()", () => {
  test("doesn't tell a proxy", async () => {
    await using edge = startFakeEdge({ "GET /status": () => ({ ok: true }) });
    const script = `
      const { sendLocalRequest } = await import("${PROJECT_ROOT}/edge/runtime/local-request.ts");
      const request = { url: "${edge.url}/status", method: "GET", headers: { "X-Authorization": "local t" }, timeoutMs: 5000 };
      console.log((await sendLocalRequest(request)).body);`;
    const proxy = "http://127.0.0.1:1";
    const child = Bun.spawn([process.execPath, "-e", script], {
      env: { PATH: "", HTTP_PROXY: proxy, http_proxy: proxy, ALL_PROXY: proxy },
      stdout: "pipe",
      stderr: "inherit",
    });
    expect(await new Response(child.stdout).text()).toBe('{"ok":true}\n');
  });

  test("gives up when the answer does not come in time", async () => {
    await using edge = startFakeEdge({ "GET /status": () => new Promise<never>(() => undefined) });
    const request = {
      method: "GET",
      headers: { "X-Authorization": "local t" },
      body: undefined,
      timeoutMs: 50,
    } as const;
    const failure = await sendLocalRequest({ ...request, url: `${edge.url}/status` }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(Error);
    openAccess(edge.url);
    const send: CommandLineDeps["send"] = (slow) => sendLocalRequest({ ...slow, timeoutMs: 50 });
    expect((await run("status", { send })).errors[0]).toContain("gave no answer within");
  });
});

describe("formatDuration()", () => {
  test.each([
    [999, "999 ms"],
    [1_999, "1999 ms"],
    [2_000, "2 s"],
    [119_999, "119 s"],
    [7_199_999, "119 min"],
    [172_800_000, "2 d"],
  ])("gives %d ms as %s", (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });
});

describe("formatBytes()", () => {
  test.each([
    [999, "999 B"],
    [1_000, "1.0 kB"],
    [1.44e9, "1.4 GB"],
    [2e13, "20.0 TB"],
  ])("gives %d as %s", (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });
});

describe("skerry-edge rules test", () => {
  const node = (name: string, type: string, configuration: object) => ({
    name,
    type: `org.thingsboard.rule.engine.${type}`,
    configuration,
  });
  const CHAIN = {
    ruleChain: { name: "CO2", type: "EDGE" },
    metadata: {
      firstNodeIndex: 0,
      nodes: [
        node("High?", "filter.TbJsFilterNode", { scriptLang: "JS", jsScript: "return msg.CO2 > 1000;" }),
        node("Raise", "action.TbCreateAlarmNode", { alarmType: "CO2", severity: "MAJOR" }),
        node("Low?", "filter.TbJsFilterNode", { scriptLang: "CEL", celScript: "msg.CO2 < 800" }),
        node("Clear", "action.TbClearAlarmNode", { alarmType: "CO2" }),
        node("Queue", "kafka.TbKafkaNode", {}),
      ],
      connections: [
        { fromIndex: 0, toIndex: 1, type: "True" },
        { fromIndex: 0, toIndex: 2, type: "False" },
        { fromIndex: 2, toIndex: 3, type: "True" },
      ],
      ruleChainConnections: [],
    },
  };
  const CSV = `"date","CO2"
"1","2015-02-04 17:51:00",700
"2","2015-02-04 17:52:00",1100
"3","2015-02-04 17:53:00",900
"4","2015-02-04 17:54:00",700
`;
  const files: Readonly<Record<string, string>> = { "/chain.json": JSON.stringify(CHAIN), "/data.csv": CSV };
  const readFile: CommandLineDeps["readFile"] = (path) => files[path] ?? readTextFile(path);

  test("prints what chains would have done with recorded telemetry, the same every time", async () => {
    const words = "rules test --chain /chain.json --data /data.csv";
    const { exitCode, out } = await run(words, { readFile });
    expect(exitCode).toBe(0);
    const lines = out.map((line) => JSON.parse(line) as Record<string, unknown>);
    const at = (time: string): number => Date.parse(`2015-02-04T${time}Z`);
    expect(lines).toMatchObject([
      { ts: at("17:52:00"), kind: "raise-alarm", alarmType: "CO2", severity: "MAJOR", startMs: at("17:52:00") },
      { ts: at("17:54:00"), kind: "clear-alarm", alarmType: "CO2" },
      { kind: "summary", messages: 4, problems: [{ nodeName: "Queue", effect: "unmapped" }] },
    ]);
    expect((await run(words, { readFile })).out).toEqual(out);
  });

  test.each([
    ["rules test --data /data.csv", "rules test needs either --chain or --alarms"],
    ["rules test --chain /chain.json --alarms /chain.json --data /data.csv", "either --chain or --alarms"],
    ["rules test --alarms /data.csv --data /data.csv", "The file of alarm rules is no JSON"],
    ["rules test --alarms /chain.json --data /data.csv", "The file has no alarm rules"],
    ["rules test --chain /chain.json", "rules test needs --data"],
    ["rules test --chain /none.json --data /data.csv", "--chain: /none.json can't be read"],
    ["rules test --chain /data.csv --data /data.csv", "The file of chains is no JSON"],
    ["rules test --chain /chain.json --data /chain.json", "The heading names no column of the time"],
  ])("%s is refused", async (words, text) => {
    const { exitCode, errors } = await run(words, { readFile });
    expect(exitCode).not.toBe(0);
    expect(errors.join("\n")).toContain(text);
  });
});
