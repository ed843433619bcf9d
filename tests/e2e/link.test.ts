import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readEdgeStatus, waitForDrain, waitForLink } from "../support/edge-status.ts";
import type { CloudProcess, EdgeProcess } from "../support/processes.ts";
import { connectToCloud } from "../support/rest-client.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { createTestBed, withTestBed, type TestBed } from "../support/test-bed.ts";
import { waitFor } from "../support/wait-for.ts";
import { expectHistory, makeReadings } from "./expect-history.ts";

let shared: TestBed;
let cloud: CloudProcess;

beforeAll(async () => {
  shared = await createTestBed();
  cloud = await shared.startCloud();
});
afterAll(async () => await shared[Symbol.asyncDispose]());

/** Most of them wait, so that some can run at once. */
function scenario(name: string, body: (bed: TestBed) => Promise<void>): void {
  test.concurrent(name, async () => await withTestBed(body, { shared }));
}

async function waitForReason(edge: EdgeProcess, codes: readonly string[]): Promise<void> {
  await waitFor(`the link to be refused with ${codes.join(" or ")}`, async () => {
    const { link } = await readEdgeStatus(edge);
    return link.state === "refused" && codes.includes(link.reason?.code ?? "");
  });
}

async function sessionOf(edge: EdgeProcess): Promise<number | null> {
  return (await readEdgeStatus(edge)).link.session;
}

describe("link", () => {
  scenario("that went half-open is found within 15 s and replaced, and nothing is lost", async (bed) => {
    const proxy = bed.use(await startTcpProxy(cloud.addresses.rpc));
    const { cloudApi, edge, edgeApi } = await bed.startSite(cloud, { cloudUrl: proxy.url });
    const device = await edgeApi.createDevice("Half-open");
    await waitForDrain(edge);
    const before = await sessionOf(edge);
    proxy.forget();
    const mqtt = await bed.connectDevice(edge, device.token);
    const readings = makeReadings(50);
    await Promise.all(readings.map((reading) => mqtt.sendTelemetry(reading)));
    // 15 s to find it, and the pause before the next attempt.
    await waitFor("a new session", async () => (await sessionOf(edge)) !== before, { deadlineMs: 18_000 });
    await waitForLink(edge);
    await expectHistory(cloudApi, device.id, readings);
  });

  scenario("with a cloud that is frozen says so, and goes on when it thaws", async (bed) => {
    const frozen = await bed.startCloud();
    const { cloudApi, edge, edgeApi } = await bed.startSite(frozen);
    const device = await edgeApi.createDevice("Frozen");
    await waitForDrain(edge);
    for (const part of ["program", "database"] as const) frozen.signal(part, "SIGSTOP");
    const mqtt = await bed.connectDevice(edge, device.token);
    const readings = makeReadings(50);
    await Promise.all(readings.map((reading) => mqtt.sendTelemetry(reading)));
    await waitFor("the edge to say so", async () => (await readEdgeStatus(edge)).sync?.state === "LINK_DOWN", {
      deadlineMs: 16_500,
    });
    for (const part of ["database", "program"] as const) frozen.signal(part, "SIGCONT");
    await waitForLink(edge);
    await expectHistory(cloudApi, device.id, readings);
  });

  scenario("that is refused for a wrong secret says so, and no log holds a secret", async (bed) => {
    const record = await connectToCloud(cloud).createEdge("Wrong secret");
    const secret = "not-the-secret-of-this-edge";
    const edge = await bed.startEdge({ cloudUrl: cloud.addresses.rpc, edgeKey: record.routingKey, secret });
    await waitForReason(edge, ["UNAUTHENTICATED", "PERMISSION_DENIED"]);
    const logs = bed.fullLogs() + shared.fullLogs();
    expect(logs).not.toContain(secret);
    expect(logs).not.toContain(record.secret);
    const status = await (await fetch(`${edge.addresses.http}/status`)).text();
    expect(status).not.toContain(secret);
  });

  scenario("that is refused for a wrong key says so", async (bed) => {
    const record = await connectToCloud(cloud).createEdge("Wrong key");
    const edge = await bed.startEdge({
      cloudUrl: cloud.addresses.rpc,
      edgeKey: "nobody-has-this-key",
      secret: record.secret,
    });
    await waitForReason(edge, ["UNAUTHENTICATED", "NOT_FOUND"]);
    expect(bed.fullLogs() + shared.fullLogs()).not.toContain(record.secret);
  });

  scenario("of an edge that is deleted in the cloud ends and is refused from then on", async (bed) => {
    const { cloudApi, edge, edgeApi, edgeId } = await bed.startSite(cloud);
    await cloudApi.deleteEdge(edgeId);
    await waitForReason(edge, ["UNAUTHENTICATED", "NOT_FOUND", "PERMISSION_DENIED"]);
    expect((await edgeApi.createDevice("Works alone")).token).not.toBe("");
  });

  scenario("of a second machine with one identity fences the first, which says so", async (bed) => {
    const { edge, record } = await bed.startSite(cloud);
    await bed.startEdge({ cloudUrl: cloud.addresses.rpc, edgeKey: record.routingKey, secret: record.secret });
    await waitForReason(edge, ["SESSION_FENCED"]);
  });

  scenario("follows a cloud that stops in an orderly way and comes back", async (bed) => {
    const ownCloud = await bed.startCloud();
    const { cloudApi, edge, edgeApi } = await bed.startSite(ownCloud);
    expect(await ownCloud.stop()).toBe(0);
    const device = await edgeApi.createDevice("Patient");
    await ownCloud.restart();
    await waitForDrain(edge, { deadlineMs: 60_000 });
    expect((await cloudApi.getDevice(device.id))?.name).toBe("Patient");
    expect(await edge.stop()).toBe(0);
  });
});
