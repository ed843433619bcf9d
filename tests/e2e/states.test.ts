import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { dialCloud } from "../../edge/sync/transport.ts";
import { createUuid } from "../../shared/core/ids.ts";
import { systemClock as clock } from "../../shared/runtime/system-clock.ts";
import { systemRandom as random } from "../../shared/runtime/system-random.ts";
import { readEdgeStatus, waitForDrain, waitForLink } from "../support/edge-status.ts";
import { findFreePorts } from "../support/free-ports.ts";
import { readMetric } from "../support/metrics.ts";
import { startTestPostgres } from "../support/postgres.ts";
import type { CloudProcess, EdgeProcess } from "../support/processes.ts";
import { connectToCloud, type RestClient } from "../support/rest-client.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { createTestBed, withTestBed, type TestBed } from "../support/test-bed.ts";
import { startUntrustedTlsServer } from "../support/untrusted-tls-server.ts";
import { waitFor } from "../support/wait-for.ts";
import { HELLO } from "../unit/sync-values.ts";

// Every reason for not being in sync has a name, on the edge and, where the cloud can know, in its record of the edge.

let shared: TestBed;
let cloud: CloudProcess;
let api: RestClient;

beforeAll(async () => {
  shared = await createTestBed();
  cloud = await shared.startCloud();
  api = connectToCloud(cloud);
});
afterAll(async () => await shared[Symbol.asyncDispose]());

/** Most of them wait, so that some can run at once. */
function scenario(name: string, body: (bed: TestBed) => Promise<void>): void {
  test.concurrent(name, async () => await withTestBed(body, { shared }));
}

/** What `/status` says; the metrics must say the same. */
async function waitForEdge(edge: EdgeProcess, state: string, deadlineMs = 15_000): Promise<void> {
  // Together: a cloud that is half there makes the state change often.
  const isSo = async (): Promise<boolean> =>
    (await readEdgeStatus(edge)).sync?.state === state &&
    (await readMetric(edge.addresses.http, `skerry_sync_state{state="${state}"}`)) === 1;
  await waitFor(`the edge to be ${state}`, isSo, { deadlineMs });
}

interface CloudRecord {
  readonly status: {
    readonly state: string;
    readonly sync: {
      readonly state: string;
      readonly reasons: readonly { readonly code: string }[];
      readonly reportedTime: number | null;
    };
  };
}

async function waitForCloud(edgeId: string, state: string, from: RestClient = api, deadlineMs = 15_000): Promise<void> {
  const read = async (): Promise<string> =>
    (await from.request<CloudRecord>("GET", `/api/edge/${edgeId}`)).status.sync.state;
  await waitFor(`the cloud to show ${state}`, async () => (await read()) === state, { deadlineMs });
}

describe("the state of sync", () => {
  scenario("is IN_SYNC at both ends when all is well, and the edge's report is in the cloud", async (bed) => {
    const { edge, edgeId } = await bed.startSite(cloud);
    await waitForEdge(edge, "IN_SYNC");
    await waitFor("a report of the edge", async () => {
      const { status } = await api.request<CloudRecord>("GET", `/api/edge/${edgeId}`);
      return status.sync.reportedTime !== null;
    });
    await waitForCloud(edgeId, "IN_SYNC");
    expect(await readMetric(cloud.addresses.http, "skerry_database_up")).toBe(1);
    const connected = await api.request<{ data: { body: { event: string } }[] }>(
      "GET",
      `/api/events/EDGE/${edgeId}/LC_EVENT?pageSize=10&page=0`,
    );
    expect(connected.data.map(({ body }) => body.event)).toEqual(["CONNECTED"]);
    expect(await edge.stop()).toBe(0);
    await waitForCloud(edgeId, "PEER_STOPPED");
  });

  scenario("is CREDENTIALS_REFUSED at both ends for a wrong secret", async (bed) => {
    const record = await api.createEdge("States: wrong secret");
    const edge = await bed.startEdge({
      cloudUrl: cloud.addresses.rpc,
      edgeKey: record.routingKey,
      secret: "not-the-secret-of-this-edge",
    });
    await waitForEdge(edge, "CREDENTIALS_REFUSED");
    await waitForCloud(record.id.id, "CREDENTIALS_REFUSED");
  });

  scenario("is EDGE_DELETED for an edge that was deleted while it was away", async (bed) => {
    const { id, routingKey, secret } = await api.createEdge("States: deleted");
    await api.deleteEdge(id.id);
    const edge = await bed.startEdge({ cloudUrl: cloud.addresses.rpc, edgeKey: routingKey, secret });
    await waitForEdge(edge, "EDGE_DELETED");
  });

  scenario("is NO_ROUTE on an edge that nobody answers, with the time of the next attempt", async (bed) => {
    const edge = await bed.startEdge({
      cloudUrl: `http://127.0.0.1:${(await findFreePorts(1))[0]}`,
      edgeKey: "key",
      secret: "secret",
    });
    await waitForEdge(edge, "NO_ROUTE");
    await waitFor("an attempt to be waited for", async () => {
      const { sync } = await readEdgeStatus(edge);
      return (sync?.nextAttemptTime ?? null) !== null;
    });
    expect(await readMetric(edge.addresses.http, 'skerry_sync_state{state="IN_SYNC"}')).toBe(0);
  });

  scenario("is CERTIFICATE_REFUSED on an edge that does not trust who answers", async (bed) => {
    const impostor = bed.use(await startUntrustedTlsServer());
    const edge = await bed.startEdge({ cloudUrl: impostor.url, edgeKey: "key", secret: "secret" });
    await waitForEdge(edge, "CERTIFICATE_REFUSED");
  });

  scenario("is NOT_CONFIGURED on an edge without a cloud", async (bed) => {
    await waitForEdge(await bed.startEdge(), "NOT_CONFIGURED");
  });

  scenario("is PEER_UNSUPPORTED at both ends for an edge of another time", async () => {
    const { id, routingKey, secret } = await api.createEdge("States: old protocol");
    const address = { url: cloud.addresses.rpc, edgeKey: routingKey, edgeSecret: () => secret, caPem: undefined };
    const transport = dialCloud(address, { clock, signal: new AbortController().signal });
    transport.send({ ...HELLO, storeId: createUuid(clock, random), protocolMin: 0, protocolMax: 0 });
    const first = await transport.incoming[Symbol.asyncIterator]().next();
    transport.close();
    expect(first.value).toMatchObject({ type: "go-away", code: "PEER_UNSUPPORTED" });
    await waitForCloud(id.id, "PEER_UNSUPPORTED");
  });

  scenario("is CLOUD_DATABASE_DOWN while the cloud has none, and mends itself", async (bed) => {
    const postgres = bed.use(await startTestPostgres());
    const database = new URL((await postgres.createEmptyDatabase()).replace("@/", "@unix/"));
    const socket = `${database.searchParams.get("host") ?? ""}/.s.PGSQL.5432`;
    const proxy = bed.use(await startTcpProxy(socket));
    const env = { DATABASE_URL: `postgres://${database.username}@127.0.0.1:${proxy.port}${database.pathname}` };
    const ownCloud = await bed.startCloud({ env });
    const { cloudApi, edge, edgeId, edgeApi } = await bed.startSite(ownCloud);
    proxy.setMode("refuse");
    proxy.cut();
    // Something to send, by which both learn of it.
    await edgeApi.createDevice("Made meanwhile");
    await waitForEdge(edge, "CLOUD_DATABASE_DOWN", 30_000);
    expect(await readMetric(ownCloud.addresses.http, "skerry_database_up")).toBe(0);
    proxy.setMode("pass");
    await waitForEdge(edge, "IN_SYNC", 90_000);
    await waitForCloud(edgeId, "IN_SYNC", cloudApi);
  });
});

describe("a half-open link", () => {
  scenario("shows at both ends within 16 s, and the edge comes back by itself when the link does", async (bed) => {
    const proxy = bed.use(await startTcpProxy(cloud.addresses.rpc));
    const { edge, edgeId } = await bed.startSite(cloud, { cloudUrl: proxy.url });
    await waitForDrain(edge);
    const startedMs = performance.now();
    proxy.setMode("stall");
    await Promise.all([waitForEdge(edge, "LINK_DOWN", 16_500), waitForCloud(edgeId, "LINK_DOWN", api, 16_500)]);
    expect(performance.now() - startedMs).toBeLessThan(16_500);
    proxy.setMode("pass");
    await waitForLink(edge, { deadlineMs: 20_000 });
    await Promise.all([waitForEdge(edge, "IN_SYNC"), waitForCloud(edgeId, "IN_SYNC")]);
  });

  scenario("that stays dead is replaced at once by a new connection", async (bed) => {
    const proxy = bed.use(await startTcpProxy(cloud.addresses.rpc));
    const { edge, edgeId } = await bed.startSite(cloud, { cloudUrl: proxy.url });
    await waitForDrain(edge);
    const { session } = (await readEdgeStatus(edge)).link;
    proxy.forget();
    const isReplaced = async (): Promise<boolean> => (await readEdgeStatus(edge)).link.session !== session;
    await waitFor("a new session", isReplaced, { deadlineMs: 16_500 });
    await waitForEdge(edge, "IN_SYNC");
    const events = await api.request<{ data: { body: { event: string; session: number } }[] }>(
      "GET",
      `/api/events/EDGE/${edgeId}/LC_EVENT?pageSize=10&page=0`,
    );
    expect(events.data.map(({ body }) => `${body.event} ${body.session}`)).toEqual([
      "CONNECTED 2",
      "DISCONNECTED 1",
      "CONNECTED 1",
    ]);
  });
});
