import { expect, test } from "bun:test";
import { join } from "node:path";
import { waitForDrain } from "../support/edge-status.ts";
import { connectLive } from "../support/live-client.ts";
import { ADMIN_PASSWORD, EDGE_USER } from "../support/processes.ts";
import { withTestBed } from "../support/test-bed.ts";
import { PROJECT_ROOT } from "../support/tools.ts";
import { waitFor } from "../support/wait-for.ts";

// The npm package `deno` only looks for this file.
const DENO = join(PROJECT_ROOT, `node_modules/@deno/linux-${process.arch}-glibc/deno`);
const READING = { ts: 1_700_000_000_000, values: { temperature: 21.5 } };

test("edge from source under Deno stores what a device publishes, forwards it, tells who watches, and stops on SIGTERM", async () => {
  await withTestBed(async (bed) => {
    const { cloudApi, edge, edgeApi } = await bed.startSite(await bed.startCloud(), {
      program: [DENO, "run", "-A", "edge/main.ts"],
      workDir: PROJECT_ROOT,
    });
    const device = await edgeApi.createDevice("Thermometer");
    const mqtt = await bed.connectDevice(edge, device.token);
    await mqtt.sendTelemetry(READING);
    await waitForDrain(edge);
    for (const api of [edgeApi, cloudApi]) {
      expect(await waitFor("the reading", async () => (await api.readHistory(device.id))[0])).toEqual(READING);
    }
    const login = { username: EDGE_USER, password: ADMIN_PASSWORD };
    const { token } = await edgeApi.request<{ token: string }>("POST", "/api/auth/login", login);
    const live = await connectLive(`${edge.addresses.http}/api/ws?token=${token}`);
    live.send({
      cmds: [{ type: "TIMESERIES", cmdId: 1, entityType: "DEVICE", entityId: device.id, keys: "temperature" }],
    });
    expect(await live.next()).toMatchObject({ data: { temperature: [[READING.ts, "21.5"]] } });
    await mqtt.sendTelemetry({ ts: READING.ts + 1, values: { temperature: 22 } });
    expect(await live.next()).toMatchObject({ data: { temperature: [[READING.ts + 1, "22"]] } });
    expect(await edge.stop()).toBe(0);
    expect([1001, 3001]).toContain((await live.closed).code);
  });
});

test("edge from source under Deno makes usable what the cloud assigned while it was down", async () => {
  await withTestBed(async (bed) => {
    const { cloudApi, edge, edgeApi, edgeId } = await bed.startSite(await bed.startCloud(), {
      program: [DENO, "run", "-A", "edge/main.ts"],
      workDir: PROJECT_ROOT,
    });
    await edge.kill();
    const device = await cloudApi.createDevice("Assigned while away");
    await cloudApi.assignDevice(edgeId, device.id);
    await edge.restart();
    await waitFor("the device on the edge", async () => (await edgeApi.getDevice(device.id)) !== undefined);
    const mqtt = await bed.connectDevice(edge, device.token);
    await mqtt.sendTelemetry(READING);
    expect(await waitFor("the reading", async () => (await cloudApi.readHistory(device.id))[0])).toEqual(READING);
  });
});
