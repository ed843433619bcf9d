import { describe, expect, test } from "bun:test";
import { chownSync, cpSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import postgres from "postgres";
import { ensureEdgeBinary } from "../support/edge-binary.ts";
import { waitForLink } from "../support/edge-status.ts";
import { ADMIN_PASSWORD, runEdge } from "../support/processes.ts";
import { connectToCloud, connectToEdge } from "../support/rest-client.ts";
import { findDescendants } from "../support/server-processes.ts";
import { withTestBed, type TestBed } from "../support/test-bed.ts";
import { expectHistory, makeReadings } from "./expect-history.ts";

const isRoot = process.getuid?.() === 0;
/** Without an entry in /etc/passwd, as in many containers. */
const SOME_UID = 23_456;

function scenario(name: string, body: (bed: TestBed) => Promise<void>): void {
  test(name, async () => await withTestBed(body));
}

describe("skerry-edge", () => {
  scenario("starts in an empty directory with an empty environment, settings in a file", async (bed) => {
    const cloud = await bed.startCloud();
    const record = await connectToCloud(cloud).createEdge("From a file");
    const folder = await bed.createFolder("empty");
    const config = join(await bed.createFolder("config"), "skerry.json");
    const { routingKey: edgeKey, secret: edgeSecret } = record;
    writeFileSync(
      config,
      JSON.stringify({ cloudUrl: cloud.addresses.rpc, edgeKey, edgeSecret, adminPassword: ADMIN_PASSWORD }),
    );
    const edge = await bed.startEdge({
      dataDir: join(folder, "skerry-data"),
      args: ["--config", config],
      emptyEnvironment: true,
    });
    await waitForLink(edge);
    expect(readdirSync(folder)).toEqual(["skerry-data"]);
    expect(await edge.stop()).toBe(0);
    expect(edge.log()).not.toContain(edgeSecret);
  });

  scenario("refuses a data directory that another edge uses, and leaves that one alone", async (bed) => {
    const edge = await bed.startEdge();
    const args = ["--data-dir", edge.dataDir, "--mqtt-port", "0", "--http-port", "0", "--coap-port", "0"];
    const second = await runEdge(args, { workDir: bed.dir });
    expect(second.exitCode).not.toBe(0);
    expect(second.stderr).toContain("DATABASE_IN_USE");
    expect((await connectToEdge(edge).createDevice("Unimpressed")).token).not.toBe("");
  });

  scenario("keeps its devices and readings over a stop and a start", async (bed) => {
    const edge = await bed.startEdge();
    const api = connectToEdge(edge);
    const device = await api.createDevice("Lasting");
    const readings = makeReadings(20);
    {
      await using mqtt = await bed.connectDevice(edge, device.token);
      await Promise.all(readings.map((reading) => mqtt.sendTelemetry(reading)));
    }
    expect(await edge.stop()).toBe(0);
    await edge.restart();
    await expectHistory(api, device.id, readings);
    expect(await api.getToken(device.id)).toBe(device.token);
  });

  scenario("uses the server that DATABASE_URL names and starts none of its own", async (bed) => {
    // Any server will do; this one has a socket that the test may use.
    const cloud = await bed.startCloud();
    const host = join(cloud.dataDir, "postgres/run");
    const sql = postgres({ host, user: "skerry", database: "postgres", max: 1 });
    await sql`create database edge_of_another`;
    await sql.end();
    const url = `postgres://skerry@localhost/edge_of_another?host=${encodeURIComponent(host)}`;
    const edge = await bed.startEdge({ env: { DATABASE_URL: url } });
    const api = connectToEdge(edge);
    const device = await api.createDevice("External");
    const mqtt = await bed.connectDevice(edge, device.token);
    const readings = makeReadings(20);
    await Promise.all(readings.map((reading) => mqtt.sendTelemetry(reading)));
    await expectHistory(api, device.id, readings);
    expect(findDescendants(edge.pid)).toEqual([edge.pid]);
  });

  // Only root can start the edge under another uid.
  test.skipIf(!isRoot)("runs as a normal user, and as root with a database that is not root's", async () => {
    await withTestBed(async (bed) => {
      const folder = await bed.createFolder("home");
      // The project may lie where this user can't go.
      const program = join(folder, "skerry-edge");
      cpSync(await ensureEdgeBinary(), program);
      const home = join(folder, "user");
      mkdirSync(home);
      chownSync(home, SOME_UID, SOME_UID);
      const asUser = await bed.startEdge({ dataDir: join(home, "data"), uid: SOME_UID, program: [program] });
      const asRoot = await bed.startEdge();
      for (const [edge, expectedUid] of [
        [asUser, SOME_UID],
        [asRoot, undefined],
      ] as const) {
        const device = await connectToEdge(edge).createDevice("Anybody's");
        const mqtt = await bed.connectDevice(edge, device.token);
        await mqtt.sendTelemetry({ a: 1 });
        const uid = statSync(join(edge.dataDir, "postgres/data")).uid;
        expect(expectedUid === undefined ? uid !== 0 : uid === expectedUid).toBe(true);
        expect(await edge.stop()).toBe(0);
      }
    });
  });
});

describe("sub-commands", () => {
  scenario("answer about the running edge, and hide its secret", async (bed) => {
    const edge = await bed.startEdge();
    const env = { SKERRY_EDGE_SECRET: "a-secret-to-hide" };
    const run = async (...args: string[]): Promise<string> => {
      const result = await runEdge([...args, "--data-dir", edge.dataDir], { workDir: bed.dir });
      expect([args.join(" "), result.exitCode, result.stderr]).toEqual([args.join(" "), 0, ""]);
      return result.stdout;
    };
    expect(await run("version")).toMatch(/\d+\.\d+\.\d+/);
    expect(JSON.parse(await run("status", "--json"))).toMatchObject({ state: "ok", link: { state: "disabled" } });
    await run("devices", "add", "From the command line");
    expect(await run("devices", "list")).toContain("From the command line");
    await run("events");
    const config = await runEdge(["config", "--edge-key", "k", "--data-dir", edge.dataDir], { workDir: bed.dir, env });
    expect(config.stdout + config.stderr).toContain("[hidden]");
    expect(config.stdout + config.stderr).not.toContain("a-secret-to-hide");
  });
});
