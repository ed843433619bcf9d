import { withBenchSite } from "./bench-site.ts";
import { countTelemetryRows } from "./database.ts";
import { runHttpLoad } from "./http-load.ts";
import type { LoadResult } from "./load-result.ts";
import type { Measure } from "./measure.ts";
import { runMqttLoad } from "./mqtt-load.ts";

const CLIENTS = 8;
const FIRST_TS_MS = 1_700_000_000_000;

interface IngestPlan {
  readonly messages: number;
  readonly send: (
    addresses: IngestAddresses,
    tokens: readonly string[],
    messagesPerClient: number,
  ) => Promise<LoadResult>;
}

interface IngestAddresses {
  readonly mqttPort: number;
  readonly httpPort: number;
}

/** Eight MQTT clients at QoS 1, about 100 bytes a message, each acknowledged after the commit. */
export const ingestMqttQos1: Measure = {
  figures: { ingest_mqtt_qos1: "msg/s" },
  runOnce: async ({ quick }) => ({
    ingest_mqtt_qos1: await measureIngest({
      messages: quick ? 40_000 : 400_000,
      send: ({ mqttPort }, tokens, messagesPerClient) =>
        runMqttLoad({ port: mqttPort, tokens, messagesPerClient, firstTsMs: FIRST_TS_MS }),
    }),
  }),
};

/** Eight keep-alive clients, a message per request, each answered after the commit. */
export const ingestHttp: Measure = {
  figures: { ingest_http: "msg/s" },
  runOnce: async ({ quick }) => ({
    ingest_http: await measureIngest({
      messages: quick ? 16_000 : 160_000,
      send: ({ httpPort }, tokens, messagesPerClient) =>
        runHttpLoad({ port: httpPort, tokens, messagesPerClient, firstTsMs: FIRST_TS_MS }),
    }),
  }),
};

/** The edge holds a session with the cloud meanwhile and sends what it stores, as it does in the field. */
async function measureIngest({ messages, send }: IngestPlan): Promise<number> {
  return await withBenchSite(CLIENTS, async ({ devices, edge }) => {
    const addresses = { mqttPort: portOf(edge.addresses.mqtt), httpPort: portOf(edge.addresses.http) };
    const tokens = devices.map(({ token }) => token);
    const result = await send(addresses, tokens, messages / CLIENTS);
    const stored = await countTelemetryRows(edge.dataDir);
    if (stored !== result.messages) throw new Error(`Acknowledged ${result.messages} messages, stored ${stored}`);
    return result.perSecond;
  });
}

function portOf(address: string): number {
  return Number(new URL(address).port);
}
