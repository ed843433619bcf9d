import { alarmRule, setRules } from "./alarm-rules.ts";
import { withBenchSite, type BenchSite } from "./bench-site.ts";
import { countTelemetryRows } from "./database.ts";
import type { Measure } from "./measure.ts";
import { runMqttLoad } from "./mqtt-load.ts";

const CLIENTS = 8;
const FIRST_TS_MS = 1_700_000_000_000;

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

function portOf(address: string): number {
  return Number(new URL(address).port);
}
