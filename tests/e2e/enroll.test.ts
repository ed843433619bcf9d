import { expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { waitForLink } from "../support/edge-status.ts";
import { runEdge } from "../support/processes.ts";
import { connectToCloud, connectToEdge } from "../support/rest-client.ts";
import { withTestBed } from "../support/test-bed.ts";

/** From the start of the program to an edge that is connected; the whole point of enrolling. */
const CONNECTED_MS_MAX = 5_000;

test("a fresh gateway with a claim code is a connected edge within 5 s, and stays it", async () => {
  await withTestBed(async (bed) => {
    const cloud = await bed.startCloud();
    const cloudApi = connectToCloud(cloud);
    const { claimCode, edge: record } = await cloudApi.request<{ claimCode: string; edge: { id: { id: string } } }>(
      "POST",
      "/api/edge/claimCode",
      { name: "Fresh gateway" },
    );
    const edge = await bed.startEdge({
      args: ["enroll", "--cloud", cloud.addresses.rpc],
      env: { SKERRY_CLAIM_CODE: claimCode },
    });
    const readyMs = performance.now();
    await waitForLink(edge);
    expect(edge.startMs + performance.now() - readyMs).toBeLessThan(CONNECTED_MS_MAX);
    const config = JSON.parse(await readFile(join(edge.dataDir, "config.json"), "utf8")) as { edgeSecret: string };
    expect(bed.fullLogs()).not.toContain(config.edgeSecret);
    expect(bed.fullLogs()).not.toContain(claimCode);

    // Its local administrator is there, and what it makes goes up.
    const { id } = await connectToEdge(edge).createDevice("First device");
    await edge.stop();
    await edge.restart();
    await waitForLink(edge);
    expect(await cloudApi.getDevice(id)).toMatchObject({ name: "First device" });
    expect(await cloudApi.request("GET", `/api/edge/${record.id.id}`)).toMatchObject({
      status: { state: "connected" },
    });

    const again = await runEdge(
      ["enroll", "--cloud", cloud.addresses.rpc, "--code", claimCode, "--data-dir", await bed.createFolder("second")],
      { workDir: bed.dir },
    );
    expect(again.exitCode).toBe(1);
    expect(again.stderr).toContain("This claim code was used already");
  });
});
