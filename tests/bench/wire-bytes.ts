import { readEdgeStatus, waitForLink } from "../support/edge-status.ts";
import { readReadings, WEATHER_PATH } from "../support/readings.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { createTestBed } from "../support/test-bed.ts";
import { waitFor } from "../support/wait-for.ts";
import { countTelemetryRows } from "./database.ts";
import type { Measure } from "./measure.ts";
import { runMqttLoad } from "./mqtt-load.ts";

const DEVICES = 8;
const READINGS_QUICK = 1_000;
const DRAIN_LOOK = { intervalMs: 20, deadlineMs: 120_000 };
const LINK_LOOK = { intervalMs: 5, deadlineMs: 90_000 };

/**
 * Bytes of TCP payload in both directions per message while a backlog of real hourly weather drains, everything counted that the
 * new session needs: HTTP/2 and gRPC frames, handshake, acknowledgements. Eight devices send the same season in turn, shifted.
 */
export const wireBytes: Measure = {
  figures: { wire_bytes_per_msg: "bytes" },
  async runOnce({ quick }) {
    const readings = (await readReadings(WEATHER_PATH)).slice(0, quick ? READINGS_QUICK : undefined);
    const messages = readings.length * DEVICES;
    await using bed = await createTestBed();
    const cloud = await bed.startCloud();
    const proxy = bed.use(await startTcpProxy(cloud.addresses.rpc));
    const { cloudApi, edge, edgeApi, edgeId } = await bed.startSite(cloud, { cloudUrl: proxy.url });
    const tokens: string[] = [];
    for (let index = 0; index < DEVICES; index += 1) {
      const { id, token } = await cloudApi.createDevice(`Station ${index + 1}`);
      await cloudApi.assignDevice(edgeId, id);
      await waitFor("the device to be on the edge", async () => (await edgeApi.getDevice(id)) !== undefined);
      tokens.push(token);
    }
    proxy.setMode("refuse");
    proxy.cut();
    // Messages have no time but that of their reading; a device begins at another place of the season than its neighbours.
    const payload = (client: number, index: number): string => {
      const shift = Math.floor((client * readings.length) / DEVICES);
      const { ts, values } = readings[(index + shift) % readings.length] ?? { ts: 0, values: {} };
      return JSON.stringify({ ts, values });
    };
    const port = Number(new URL(edge.addresses.mqtt).port);
    await runMqttLoad({ port, tokens, messagesPerClient: readings.length, firstTsMs: 0, payload });

    const before = proxy.bytes;
    proxy.setMode("pass");
    await waitForLink(edge, LINK_LOOK);
    const isSent = async (): Promise<boolean> => (await readEdgeStatus(edge)).lanes.telemetry.backlogItems === 0;
    await waitFor("the backlog to be sent", isSent, DRAIN_LOOK);
    const stored = await countTelemetryRows(cloud.dataDir);
    if (stored !== messages) throw new Error(`Published ${messages} messages, the cloud stored ${stored}`);
    return { wire_bytes_per_msg: (proxy.bytes - before) / messages };
  },
};
