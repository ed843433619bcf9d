import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { waitForDrain, waitForLink } from "../support/edge-status.ts";
import { runEdge, type CloudProcess, type EdgeProcess } from "../support/processes.ts";
import { withDatabaseOf } from "../support/program-database.ts";
import type { Page, RestClient } from "../support/rest-client.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { createTestBed, withTestBed, type TestBed } from "../support/test-bed.ts";
import { waitFor } from "../support/wait-for.ts";
import { makeReadings } from "./expect-history.ts";

interface ParkedItem {
  readonly lane: string;
  readonly seq: number;
  readonly code: string;
  readonly reason: string;
  readonly entity: { readonly entityType: string; readonly id: string } | null;
}

let shared: TestBed;
let cloud: CloudProcess;

beforeAll(async () => {
  shared = await createTestBed();
  cloud = await shared.startCloud();
});
afterAll(async () => await shared[Symbol.asyncDispose]());

function scenario(name: string, body: (bed: TestBed) => Promise<void>): void {
  test(name, async () => await withTestBed(body, { shared }));
}

const parkedOn = async (api: RestClient, path = "/api/edge/parked"): Promise<readonly ParkedItem[]> =>
  (await api.request<Page<ParkedItem>>("GET", `${path}?pageSize=100&page=0`)).data;

/** A command of the edge's own program against the running one. */
async function command(edge: EdgeProcess, bed: TestBed, ...words: readonly string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await runEdge([...words, "--data-dir", edge.dataDir], { workDir: bed.dir });
  if (exitCode !== 0) throw new Error(`${words.join(" ")} ended with code ${exitCode}: ${stderr}`);
  return stdout;
}

describe("an item that the cloud refuses", () => {
  scenario(
    "is parked on the edge although the acknowledgement got lost; the lane goes on; replay sends it, discard gives it up",
    async (bed) => {
      const proxy = bed.use(await startTcpProxy(cloud.addresses.rpc));
      const { cloudApi, edge, edgeApi, edgeId } = await bed.startSite(cloud, { cloudUrl: proxy.url });
      // Tokens that other devices of the tenant have in the cloud: an edge may not take them.
      const [taken, kept] = [
        await cloudApi.createDevice("Has the token"),
        await cloudApi.createDevice("Keeps its token"),
      ];
      proxy.setMode("mute");
      const create = async (name: string, token: string): Promise<string> =>
        (await edgeApi.request<{ id: { id: string } }>("POST", `/api/device?accessToken=${token}`, { name })).id.id;
      const first = await create("Wants the token", taken.token);
      const second = await create("Wants another token", kept.token);
      const refusedPath = `/api/edge/${edgeId}/parked`;
      await waitFor("the cloud to refuse both", async () => (await parkedOn(cloudApi, refusedPath)).length === 2);
      expect(await parkedOn(edgeApi)).toEqual([]);
      proxy.cut();
      proxy.setMode("pass");
      await waitForLink(edge);
      const parked = await waitFor("both to be parked", async () => {
        const items = await parkedOn(edgeApi);
        return items.length === 2 ? items : undefined;
      });
      expect(parked).toMatchObject([
        { lane: "config", code: "ALREADY_EXISTS", entity: { entityType: "DEVICE", id: first } },
        { lane: "config", code: "ALREADY_EXISTS", entity: { entityType: "DEVICE", id: second } },
      ]);
      const later = await edgeApi.createDevice("Comes later");
      await waitForDrain(edge);
      expect((await cloudApi.getDevice(later.id))?.name).toBe("Comes later");
      expect(await command(edge, bed, "parked", "list")).toContain(`DEVICE ${first}`);
      expect(await (await fetch(`${edge.addresses.http}/metrics`)).text()).toContain(
        'skerry_parked_items{lane="config"} 2',
      );

      await cloudApi.deleteDevice(taken.id);
      const [item, other] = parked;
      const seqOf = (one: ParkedItem | undefined): string => String(one?.seq);
      const replay = ["parked", "replay", "--lane", "config", "--seq", seqOf(item)];
      expect(await command(edge, bed, ...replay)).toContain("1 sent again");
      await waitFor("the token to arrive", async () => (await cloudApi.getToken(first)) === taken.token);
      const discard = ["parked", "discard", "--lane", "config", "--seq", seqOf(other)];
      expect(await command(edge, bed, ...discard)).toContain("1 discarded");
      expect(await parkedOn(edgeApi)).toEqual([]);
      const events = await edgeApi.cloudEvents();
      const ofSecond = events.find(({ seqId }) => seqId === other?.seq);
      expect(ofSecond).toMatchObject({ state: "failed", reason: expect.stringContaining("(discarded)") });
    },
  );
});

describe("what a fault of the edge's disk made unreadable", () => {
  scenario("stops neither the start nor what comes before and after it, and is parked", async (bed) => {
    const proxy = bed.use(await startTcpProxy(cloud.addresses.rpc));
    const { cloudApi, edge, edgeApi } = await bed.startSite(cloud, { cloudUrl: proxy.url });
    const device = await edgeApi.createDevice("On a worn card");
    await waitForDrain(edge);
    proxy.setMode("refuse");
    proxy.cut();
    const readings = makeReadings(30);
    await using mqtt = await bed.connectDevice(edge, device.token);
    for (const reading of readings) await mqtt.sendTelemetry(reading);
    for (const n of [1, 2, 3]) await edgeApi.saveAttributes(device.id, "SERVER_SCOPE", { [`n${n}`]: n });
    const spoiled = await withDatabaseOf(edge, async (sql) => {
      const spoil = async (lane: string, nth: number) =>
        await sql<{ first: number; last: number }[]>`
        update cloud_event set payload = '\\xff010203' where lane = ${lane} and first_seq = (
          select first_seq from cloud_event where lane = ${lane} order by first_seq desc limit 1 offset ${nth})
        returning first_seq as first, last_seq as last`;
      return { telemetry: (await spoil("telemetry", 10))[0], config: (await spoil("config", 1))[0] };
    });
    expect(await edge.stop()).toBe(0);
    await edge.restart();
    proxy.setMode("pass");
    await waitForDrain(edge);

    const parked = await parkedOn(edgeApi);
    const of = (lane: string) => parked.filter((item) => item.lane === lane).map(({ code, seq }) => ({ code, seq }));
    expect(of("config")).toEqual([{ code: "ITEM_UNREADABLE", seq: spoiled.config?.first ?? 0 }]);
    const { first = 0, last = 0 } = spoiled.telemetry ?? {};
    expect(
      of("telemetry")
        .map(({ seq }) => seq)
        .toSorted((one, other) => one - other),
    ).toEqual(Array.from({ length: last - first + 1 }, (_, index) => first + index));
    expect((await cloudApi.readHistory(device.id)).length).toBe(readings.length - (last - first + 1));
    expect(await cloudApi.readAttributes(device.id, "SERVER_SCOPE")).toMatchObject({ n1: 1, n3: 3 });
    expect((await edgeApi.readHistory(device.id)).length).toBe(readings.length);
  });
});
