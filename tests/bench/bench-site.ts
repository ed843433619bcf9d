import type { TestDevice } from "../support/rest-client.ts";
import { createTestBed, type Site, type TestBed } from "../support/test-bed.ts";
import { waitFor } from "../support/wait-for.ts";

/** A connected edge and its cloud, both with their PostgreSQL, and devices that the edge knows. */
export interface BenchSite extends Site {
  readonly bed: TestBed;
  readonly devices: readonly TestDevice[];
}

/** Runs `body` on a site of its own, made from nothing. When it fails, the logs go to standard error. */
export async function withBenchSite<T>(deviceCount: number, body: (site: BenchSite) => Promise<T>): Promise<T> {
  await using bed = await createTestBed();
  try {
    const site = await bed.startSite(await bed.startCloud());
    const devices: TestDevice[] = [];
    for (let index = 0; index < deviceCount; index += 1) {
      const device = await site.cloudApi.createDevice(`Device ${index + 1}`);
      await site.cloudApi.assignDevice(site.edgeId, device.id);
      devices.push(device);
    }
    for (const { id, name } of devices) {
      await waitFor(`${name} to be on the edge`, async () => (await site.edgeApi.getDevice(id)) !== undefined);
    }
    return await body({ ...site, bed, devices });
  } catch (error) {
    console.error(bed.logs());
    throw error;
  }
}
