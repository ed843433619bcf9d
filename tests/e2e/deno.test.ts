import { expect, test } from "bun:test";
import { join } from "node:path";
import { connectToEdge } from "../support/rest-client.ts";
import { withTestBed } from "../support/test-bed.ts";
import { PROJECT_ROOT } from "../support/tools.ts";
import { waitFor } from "../support/wait-for.ts";

// The npm package `deno` only looks for this file.
const DENO = join(PROJECT_ROOT, `node_modules/@deno/linux-${process.arch}-glibc/deno`);

test("edge from source under Deno stores what a device publishes, and stops on SIGTERM", async () => {
  await withTestBed(async (bed) => {
    const edge = await bed.startEdge({ program: [DENO, "run", "-A", "edge/main.ts"], workDir: PROJECT_ROOT });
    const api = connectToEdge(edge);
    const device = await api.createDevice("Thermometer");
    const mqtt = await bed.connectDevice(edge, device.token);
    await mqtt.sendTelemetry({ ts: 1_700_000_000_000, values: { temperature: 21.5 } });
    expect(await waitFor("the reading", async () => (await api.readHistory(device.id))[0])).toEqual({
      ts: 1_700_000_000_000,
      values: { temperature: 21.5 },
    });
    expect(await edge.stop()).toBe(0);
  });
});
