import { afterAll, beforeAll, expect, test } from "bun:test";
import { median } from "../bench/measure.ts";
import { isConnected, readEdgeStatus, waitForDrain, waitForLink } from "../support/edge-status.ts";
import { readMetric } from "../support/metrics.ts";
import { startTestPostgres, type TestPostgres } from "../support/postgres.ts";
import type { CloudProcess, EdgeProcess } from "../support/processes.ts";
import { connectToCloud, type RestClient } from "../support/rest-client.ts";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";
import { withTestBed, type TestBed } from "../support/test-bed.ts";
import { waitFor } from "../support/wait-for.ts";
import { expectHistory } from "./expect-history.ts";
import { Publisher } from "./publisher.ts";

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres[Symbol.asyncDispose]());

/** Two cloud processes on one new database, and an edge that dials a load balancer in front of both. */
interface Replicas {
  readonly one: CloudProcess;
  readonly two: CloudProcess;
  readonly oneApi: RestClient;
  readonly twoApi: RestClient;
  readonly balancer: TcpProxy;
  readonly edge: EdgeProcess;
  readonly edgeApi: RestClient;
  readonly edgeId: string;
}

async function startReplicas(bed: TestBed): Promise<Replicas> {
  const env = { DATABASE_URL: await postgres.createEmptyDatabase() };
  const [one, two] = await Promise.all([bed.startCloud({ env }), bed.startCloud({ env })]);
  const balancer = bed.use(await startTcpProxy(one.addresses.rpc));
  const { edge, edgeApi, edgeId } = await bed.startSite(one, { cloudUrl: balancer.url });
  return { one, two, oneApi: connectToCloud(one), twoApi: connectToCloud(two), balancer, edge, edgeApi, edgeId };
}

function scenario(name: string, body: (bed: TestBed) => Promise<void>): void {
  test(name, async () => await withTestBed(body));
}

interface EdgeInfo {
  readonly status: { readonly state: string; readonly reason: string | null };
}

async function stateAt(api: RestClient, edgeId: string): Promise<string> {
  return (await api.request<EdgeInfo>("GET", `/api/edge/info/${edgeId}`)).status.state;
}

/** Until it runs on the edge, in ms. */
async function assignVia(api: RestClient, { edgeApi, edgeId }: Replicas, deviceId: string): Promise<number> {
  await api.assignDevice(edgeId, deviceId);
  const answeredMs = performance.now();
  await waitFor("the device on the edge", async () => (await edgeApi.getDevice(deviceId)) !== undefined, {
    intervalMs: 1,
  });
  return performance.now() - answeredMs;
}

const WOKEN_BY_NOTIFY = 'skerry_downlink_wakes_total{source="notify"}';

scenario("two clouds that start at once on an empty database make one administrator of each kind", async (bed) => {
  const env = { DATABASE_URL: await postgres.createEmptyDatabase(), SKERRY_ADMIN_PASSWORD: "" };
  const clouds = await Promise.all([bed.startCloud({ env }), bed.startCloud({ env })]);
  const shown = [...bed.fullLogs().matchAll(/^ +user +(\S+)\n +password +(\S+)$/gm)];
  const passwords = new Map(shown.map(([, user, password]) => [user, password]));
  expect(new Set(passwords.keys())).toEqual(new Set(["sysadmin@skerry.local", "tenant@skerry.local"]));
  expect(shown).toHaveLength(2);
  for (const cloud of clouds) {
    const answer = await fetch(`${cloud.addresses.http}/api/auth/login`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ username: "tenant@skerry.local", password: passwords.get("tenant@skerry.local") }),
    });
    expect(answer.status).toBe(200);
    // A token of either is good at both.
    const { token } = (await answer.json()) as { token: string };
    for (const other of clouds) {
      const user = await fetch(`${other.addresses.http}/api/auth/user`, {
        headers: { "X-Authorization": `Bearer ${token}` },
      });
      expect(user.status).toBe(200);
    }
  }
});

scenario("what one replica is told reaches an edge that another holds, at once", async (bed) => {
  const replicas = await startReplicas(bed);
  const { edge, edgeId, one, oneApi, twoApi } = replicas;
  const timesMs: number[] = [];
  for (let count = 1; count <= 20; count += 1) {
    const device = await twoApi.createDevice(`Pump ${count}`);
    timesMs.push(await assignVia(twoApi, replicas, device.id));
  }
  expect(median(timesMs)).toBeLessThan(300);
  expect(await readMetric(one.addresses.http, WOKEN_BY_NOTIFY)).toBeGreaterThanOrEqual(18);
  for (const api of [oneApi, twoApi]) expect(await stateAt(api, edgeId)).toBe("connected");

  await twoApi.request("POST", `/api/edge/sync/${edgeId}?full=true`);
  await waitFor("everything to be sent again and applied", async () => {
    const events = await twoApi.edgeEvents(edgeId);
    return events.length >= 40 && events.every(({ state }) => state === "applied");
  });

  const record = await twoApi.request<object>("GET", `/api/edge/${edgeId}`);
  await twoApi.request("POST", "/api/edge", { ...record, secret: "another-secret" });
  await waitFor("the session with the old secret to end", async () => !(await isConnected(edge)));
  await waitFor("the edge to say why", async () => {
    const { link } = await readEdgeStatus(edge);
    return link.state === "refused" && link.reason?.code === "UNAUTHENTICATED";
  });
  for (const api of [oneApi, twoApi]) expect(await stateAt(api, edgeId)).toBe("disconnected");
});

scenario(
  "SIGKILL and drain of a replica move its edges, SIGKILL of PostgreSQL none, and nothing is lost",
  async (bed) => {
    const replicas = await startReplicas(bed);
    const { balancer, edge, edgeApi, edgeId, one, oneApi, two, twoApi } = replicas;
    const device = await twoApi.createDevice("Restless");
    await assignVia(twoApi, replicas, device.id);
    const publisher = new Publisher(await bed.connectDevice(edge, device.token));
    const publishing = publisher.run();
    await publisher.waitForAcks();

    await one.killProgram();
    balancer.setTarget(two.addresses.rpc);
    await waitFor("the edge at the other replica", async () => (await stateAt(twoApi, edgeId)) === "connected");
    await waitForLink(edge);
    await publisher.waitForAcks();
    await assignVia(twoApi, replicas, (await twoApi.createDevice("After the kill")).id);

    await one.restart();
    balancer.setTarget(one.addresses.rpc);
    const stopping = two.stop();
    await waitFor("the edge to be sent away", () => edge.log().includes('"code":"CANCELLED"'));
    const sentAwayMs = performance.now();
    await waitFor(
      "the edge at the other replica",
      async () => (await readMetric(one.addresses.http, "skerry_edges_connected")) === 1,
    );
    expect(performance.now() - sentAwayMs).toBeLessThan(4_000);
    expect(await stopping).toBe(0);
    expect(await stateAt(oneApi, edgeId)).toBe("connected");
    await two.restart();
    await publisher.waitForAcks();

    await postgres.restart();
    await waitFor("both replicas to answer", async () => {
      for (const { addresses } of [one, two]) if (!(await fetch(`${addresses.http}/readyz`)).ok) return false;
      return true;
    });
    await waitForLink(edge);
    await publisher.waitForAcks();
    const before = await readMetric(one.addresses.http, WOKEN_BY_NOTIFY);
    await waitFor("a word to come through again", async () => {
      await assignVia(twoApi, replicas, (await twoApi.createDevice(`Pump ${performance.now()}`)).id);
      return (await readMetric(one.addresses.http, WOKEN_BY_NOTIFY)) > before;
    });

    publisher.stop();
    await publishing;
    await waitForDrain(edge, { deadlineMs: 60_000 });
    await expectHistory(edgeApi, device.id, publisher.acked);
    for (const api of [oneApi, twoApi]) await expectHistory(api, device.id, publisher.acked);
  },
);
