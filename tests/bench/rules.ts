import type { RestClient } from "../support/rest-client.ts";
import { waitFor } from "../support/wait-for.ts";
import { withBenchSite, type BenchSite } from "./bench-site.ts";
import { countTelemetryRows } from "./database.ts";
import { quantile, type Measure } from "./measure.ts";
import { runMqttLoad } from "./mqtt-load.ts";
import { PacedLoad } from "./paced-load.ts";

const CLIENTS = 8;
const FIRST_TS_MS = 1_700_000_000_000;
const PER_SECOND = 1_000;
/** A device is above the limit for this part of its messages. */
const PERIOD = 50;
const WARM_UP_S = 5;
const MEASURED_S = 60;
const QUICK_S = 3;
const STEP_MS = 1;

/**
 * 1,000 messages a second from eight devices, each acknowledged after the commit. Every fiftieth crosses the limit of an alarm rule, and
 * the next one is below it. Measured is the time from sending a value that crosses until it is acknowledged: the alarm is in the same commit.
 */
export const reactP99: Measure = {
  figures: { react_p99: "ms", react_p50: "ms" },
  runOnce: ({ quick }) =>
    withBenchSite(CLIENTS, async (site) => {
      await setRules(site, [alarmRule(0, 1_000)]);
      const port = portOf(site.edge.addresses.mqtt);
      const load = new PacedLoad({ port, perSecond: PER_SECOND, stepMs: STEP_MS });
      await load.connect(
        site.devices.map(({ token }, index) => ({ token, clientId: `device-${index}`, payload: crossingPayload })),
      );
      load.start();
      await Bun.sleep((quick ? 1 : WARM_UP_S) * 1000);
      load.takeAcknowledged();
      await Bun.sleep((quick ? QUICK_S : MEASURED_S) * 1000);
      const latenciesMs = load
        .takeAcknowledged()
        .filter(({ number }) => crosses(number))
        .map(({ latencyMs }) => latencyMs);
      const sent = await load.stop();
      const crossings = sent.reduce((sum, count) => sum + Math.floor(count / PERIOD), 0);
      const { totalElements } = await site.edgeApi.request<{ totalElements: number }>(
        "GET",
        "/api/alarms?pageSize=1&page=0",
      );
      if (totalElements !== crossings) throw new Error(`Expected ${crossings} alarms, got ${totalElements}`);
      return { react_p99: quantile(latenciesMs, 0.99), react_p50: quantile(latenciesMs, 0.5) };
    }),
};

/** What an alarm rule whose condition never holds takes of the rate of `ingest_mqtt_qos1`. */
export const rulesCost: Measure = {
  figures: { rules_cost: "%" },
  runOnce: ({ quick }) =>
    withBenchSite(CLIENTS, async (site) => {
      const messages = quick ? 40_000 : 400_000;
      const without = await measureIngest(site, { messages, run: 0 });
      await setRules(site, [alarmRule(0, 10_000)]);
      const withRule = await measureIngest(site, { messages, run: 1 });
      return { rules_cost: (1 - withRule / without) * 100 };
    }),
};

/** The same load with 200 rules on the profile of the devices. */
export const rules200: Measure = {
  figures: { rules_200: "msg/s" },
  runOnce: ({ quick }) =>
    withBenchSite(CLIENTS, async (site) => {
      await setRules(
        site,
        Array.from({ length: 200 }, (_, index) => alarmRule(index, 10_000 + index)),
      );
      return { rules_200: await measureIngest(site, { messages: quick ? 40_000 : 200_000, run: 0 }) };
    }),
};

function crosses(number: number): boolean {
  return number % PERIOD === 0;
}

function crossingPayload(number: number): string {
  const values = { temperature: 21.5, humidity: 40, co2: crosses(number) ? 1_500 : 500, light: 3, on: true };
  return JSON.stringify({ ts: FIRST_TS_MS + number, values });
}

async function measureIngest(
  { devices, edge }: BenchSite,
  { messages, run }: { readonly messages: number; readonly run: number },
): Promise<number> {
  const result = await runMqttLoad({
    port: portOf(edge.addresses.mqtt),
    tokens: devices.map(({ token }) => token),
    messagesPerClient: messages / CLIENTS,
    firstTsMs: FIRST_TS_MS + run * messages,
  });
  const stored = await countTelemetryRows(edge.dataDir);
  if (stored !== messages * (run + 1))
    throw new Error(`Acknowledged ${messages * (run + 1)} messages, stored ${stored}`);
  return result.perSecond;
}

interface Profile {
  readonly id: { readonly id: string };
  readonly profileData: { readonly alarms: readonly unknown[] | null };
}

/** On the profile of all devices; resolves when the edge has it. */
async function setRules({ cloudApi, edgeApi }: BenchSite, alarms: readonly unknown[]): Promise<void> {
  const profile = await defaultProfile(cloudApi);
  await cloudApi.request("POST", "/api/deviceProfile", {
    ...profile,
    profileData: { ...profile.profileData, alarms },
  });
  const path = `/api/deviceProfile/${profile.id.id}`;
  await waitFor("the rules to be on the edge", async () => {
    const { profileData } = await edgeApi.request<Profile>("GET", path);
    return profileData.alarms?.length === alarms.length;
  });
}

async function defaultProfile(api: RestClient): Promise<Profile> {
  const { id } = await api.request<Profile>("GET", "/api/deviceProfileInfo/default");
  return api.request<Profile>("GET", `/api/deviceProfile/${id.id}`);
}

function alarmRule(index: number, limit: number): object {
  const part = (operation: string) => ({
    condition: {
      condition: [
        {
          key: { type: "TIME_SERIES", key: "co2" },
          valueType: "NUMERIC",
          predicate: { type: "NUMERIC", operation, value: { defaultValue: limit } },
        },
      ],
      spec: { type: "SIMPLE" },
    },
  });
  return {
    id: `rule ${index}`,
    alarmType: `Alarm ${index}`,
    createRules: { MAJOR: part("GREATER") },
    clearRule: part("LESS"),
  };
}

function portOf(address: string): number {
  return Number(new URL(address).port);
}
