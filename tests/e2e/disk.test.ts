import { describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { rm, statfs, appendFile } from "node:fs/promises";
import { join } from "node:path";
import { countTelemetryRows } from "../bench/database.ts";
import { readEdgeStatus, waitForDrain } from "../support/edge-status.ts";
import type { EdgeProcess } from "../support/processes.ts";
import type { RestClient, TestDevice } from "../support/rest-client.ts";
import { withTestBed, type Site } from "../support/test-bed.ts";
import { waitFor } from "../support/wait-for.ts";

const QUOTA_BYTES = 260e6;
const LIMIT_MS = 240_000;
/** Program, empty database, log and reserve take about 180 MB. */
const SMALL_DISK_MB = 320;

interface Disk {
  readonly usedBytes: number;
  readonly reserveBytes: number;
  readonly isFull: boolean;
  readonly removed: { readonly thinned: number; readonly dropped: number };
}

async function readDisk(edge: EdgeProcess): Promise<Disk> {
  return ((await (await fetch(`${edge.addresses.http}/status`)).json()) as { disk: Disk }).disk;
}

/** One request with records of about 4 kB, which can't be compressed, each a ms later. @returns its status */
async function publish(edge: EdgeProcess, token: string, firstTs: number, records: number): Promise<number> {
  const bulk = (): string => Buffer.from(crypto.getRandomValues(new Uint8Array(3_000))).toString("base64");
  const rows = Array.from({ length: records }, (_, index) => ({ ts: firstTs + index, values: { text: bulk() } }));
  const options = { method: "POST", body: JSON.stringify(rows) };
  return (await fetch(`${edge.addresses.http}/api/v1/${token}/telemetry`, options)).status;
}

async function addDevice(site: Site): Promise<TestDevice> {
  const device = await site.cloudApi.createDevice("Talkative");
  await site.cloudApi.assignDevice(site.edgeId, device.id);
  await waitFor("the device to be on the edge", async () => (await site.edgeApi.getDevice(device.id)) !== undefined);
  return device;
}

async function countMissing(api: RestClient, path: string): Promise<number> {
  const { data } = await api.request<{ data: { records: number }[] }>("GET", `${path}?page=0&pageSize=10000`);
  return data.reduce((sum, { records }) => sum + records, 0);
}

describe("disk quota", () => {
  const run = (): Promise<void> =>
    withTestBed(
      async (bed) => {
        const cloud = await bed.startCloud();
        const site = await bed.startSite(cloud, { args: ["--disk-quota", `${QUOTA_BYTES / 1e6}MB`] });
        const { cloudApi, edge, edgeApi, edgeId } = site;
        const device = await addDevice(site);
        await cloud.stop();
        const firstTs = Date.now();
        let published = 0;
        const isThinned = async (): Promise<boolean> => {
          for (let part = 0; part < 5; part += 1, published += 200) {
            expect(await publish(edge, device.token, firstTs + published, 200)).toBe(200);
          }
          return (
            (await edgeApi.request<{ totalElements: number }>("GET", "/api/edge/gaps?page=0&pageSize=1"))
              .totalElements > 0
          );
        };
        await waitFor("unsent telemetry to be removed", isThinned, { deadlineMs: 120_000 });
        const isHeld = async (): Promise<boolean> => (await readDisk(edge)).usedBytes < QUOTA_BYTES;
        await waitFor("the quota to be held", isHeld, { deadlineMs: 60_000 });

        await cloud.restart();
        await waitForDrain(edge, { deadlineMs: 120_000 });
        const missing = await countMissing(cloudApi, `/api/edge/${edgeId}/gaps`);
        expect(missing).toBeGreaterThan(0);
        expect(await countMissing(cloudApi, `/api/device/${device.id}/gaps`)).toBe(missing);
        expect(await countMissing(edgeApi, "/api/edge/gaps")).toBe(missing);
        expect((await countTelemetryRows(cloud.dataDir)) + missing).toBe(published);
      },
      { limitMs: LIMIT_MS },
    );
  test("is held by removing telemetry only, and the cloud learns of every record removed", run, LIMIT_MS + 10_000);
});

describe("full disk", () => {
  const run = (): Promise<void> =>
    withTestBed(
      async (bed) => {
        // The bed ends the edge before it takes the disk away.
        const disk = bed.use(await mountSmallDisk(await bed.createFolder("disk")));
        const site = await bed.startSite(await bed.startCloud(), { dataDir: join(disk.path, "data"), workDir: "/tmp" });
        const { edge, edgeApi } = site;
        const device = await addDevice(site);
        expect(await publish(edge, device.token, Date.now(), 100)).toBe(200);
        await waitForDrain(edge);

        await waitFor("the reserve", async () => (await readDisk(edge)).reserveBytes > 0, { deadlineMs: 60_000 });
        await disk.fill();
        const isRefused = async (): Promise<boolean> => (await publish(edge, device.token, Date.now(), 10)) === 507;
        await waitFor("devices to be refused", isRefused, { deadlineMs: 30_000 });
        expect((await edgeApi.getDevice(device.id))?.name).toBe("Talkative");
        const { link } = await readEdgeStatus(edge);
        expect(link.state).toBe("live");
        // What the cloud says still arrives.
        await site.cloudApi.saveAttributes(device.id, "SHARED_SCOPE", { limit: 7 });
        const hasLimit = async (): Promise<boolean> =>
          (await edgeApi.readAttributes(device.id, "SHARED_SCOPE"))["limit"] === 7;
        await waitFor("the attribute to be on the edge", hasLimit);

        await edge.kill();
        await edge.restart();
        // Whether it takes data again depends on how much log the start has set free.
        expect((await edgeApi.getDevice(device.id))?.name).toBe("Talkative");

        await disk.empty();
        const isTaken = async (): Promise<boolean> => (await publish(edge, device.token, Date.now(), 10)) === 200;
        await waitFor("devices to be served again", isTaken, { deadlineMs: 30_000 });
        await waitForDrain(edge);
        expect(edge.isRunning).toBe(true);
      },
      { limitMs: LIMIT_MS },
    );
  test("refuses devices, keeps reading and the link, and ends by itself when there is room", run, LIMIT_MS + 10_000);
});

const BALLAST = "ballast";
const LEFT_BYTES = 4e6;
const PIECE_BYTES = 1_048_576;

interface SmallDisk extends AsyncDisposable {
  readonly path: string;
  /** Takes the room that is left but for a little; the reserve of the edge comes on top of that. */
  fill(): Promise<void>;
  empty(): Promise<void>;
}

/** A file system in memory; mounting needs root, which the tests have in the build. */
async function mountSmallDisk(path: string): Promise<SmallDisk> {
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${SMALL_DISK_MB}m,mode=0755`, "tmpfs", path]);
  return {
    path,
    fill: async () => {
      // A piece at a time: the edge writes meanwhile.
      for (;;) {
        const { bavail, bsize } = await statfs(path);
        const roomBytes = bavail * bsize - LEFT_BYTES;
        if (roomBytes <= 0) return;
        await appendFile(join(path, BALLAST), new Uint8Array(Math.min(roomBytes, PIECE_BYTES)));
      }
    },
    empty: () => rm(join(path, BALLAST)),
    [Symbol.asyncDispose]: async () => void execFileSync("umount", ["--lazy", path]),
  };
}
