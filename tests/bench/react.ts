import { waitFor } from "../support/wait-for.ts";
import { alarmRule, setRules } from "./alarm-rules.ts";
import { withBenchSite, type BenchSite } from "./bench-site.ts";
import { quantile, type Measure } from "./measure.ts";
import { PacedLoad } from "./paced-load.ts";

const DEVICES = 8;
const FIRST_TS_MS = 1_700_000_000_000;
const PER_SECOND = 1_000;
/** A device is above the limit for this part of its messages. */
const PERIOD = 50;
const WARM_UP_S = 5;
const MEASURED_S = 60;
const QUICK_S = 3;
const STEP_MS = 1;

const COMMAND_TOPIC = "v1/devices/me/rpc/request/+";
const LIMIT = 1_000;

/**
 * 1,000 messages a second from eight devices, each acknowledged after the commit. Every fiftieth crosses the limit of an alarm rule, and
 * the next one is below it. A chain with two scripts sends a command for each new alarm. Measured is the time from sending a value that
 * crosses until the device has the command; the alarm is on the disk then.
 */
export const reactP99: Measure = {
  figures: { react_p99: "ms", react_p50: "ms" },
  runOnce: ({ quick }) =>
    withBenchSite(DEVICES, async (site) => {
      await setRules(site, [alarmRule(0, LIMIT)]);
      await setRootChain(site);
      const load = new PacedLoad({
        port: Number(new URL(site.edge.addresses.mqtt).port),
        perSecond: PER_SECOND,
        stepMs: STEP_MS,
      });
      const circuits = site.devices.map(() => new Circuit());
      await load.connect(
        circuits.map((circuit, index) => ({
          token: site.devices[index]?.token ?? "",
          clientId: `device-${index}`,
          payload: (number) => circuit.send(number),
          subscription: { topic: COMMAND_TOPIC, onMessage: (payload) => circuit.noteCommand(payload) },
        })),
      );
      load.start();
      await Bun.sleep((quick ? 1 : WARM_UP_S) * 1000);
      for (const { latenciesMs } of circuits) latenciesMs.length = 0;
      await Bun.sleep((quick ? QUICK_S : MEASURED_S) * 1000);
      const latenciesMs = circuits.flatMap((circuit) => circuit.latenciesMs);
      const crossings = load.pause().map((count) => Math.floor(count / PERIOD));
      await waitFor("a command for each alarm", () =>
        Promise.resolve(circuits.every(({ commands }, index) => commands.size === crossings[index])),
      );
      await load.stop();
      const { totalElements } = await site.edgeApi.request<{ totalElements: number }>(
        "GET",
        "/api/alarms?pageSize=1&page=0",
      );
      const expected = crossings.reduce((sum, count) => sum + count, 0);
      if (totalElements !== expected) throw new Error(`Expected ${expected} alarms, got ${totalElements}`);
      return { react_p99: quantile(latenciesMs, 0.99), react_p50: quantile(latenciesMs, 0.5) };
    }),
};

/** A device that measures and acts. */
class Circuit {
  /** The messages for which a command came. */
  readonly commands = new Set<number>();
  readonly latenciesMs: number[] = [];
  readonly #sentMs = new Map<number, number>();

  /** @returns the payload of the message */
  send(number: number): string {
    const crosses = number % PERIOD === 0;
    if (crosses) this.#sentMs.set(number, performance.now());
    const values = { temperature: 21.5, humidity: 40, co2: crosses ? LIMIT + 500 : LIMIT - 500, light: 3, on: true };
    return JSON.stringify({ ts: FIRST_TS_MS + number, values });
  }

  noteCommand(payload: string): void {
    const { params } = JSON.parse(payload) as { readonly params: number };
    const number = params - FIRST_TS_MS;
    if (this.commands.has(number)) throw new Error(`A second command for message ${number}`);
    this.commands.add(number);
    this.latenciesMs.push(performance.now() - (this.#sentMs.get(number) ?? Number.NaN));
  }
}

/** A chain that asks the originator of a new alarm to close; resolves when the edge has it. */
async function setRootChain({ cloudApi, edgeApi, edgeId }: BenchSite): Promise<void> {
  const chain = await cloudApi.request<{ readonly id: { readonly id: string } }>("POST", "/api/ruleChain", {
    name: "Close on alarm",
    type: "EDGE",
  });
  const script = (name: string, type: string, jsScript: string) => ({
    name,
    type: `org.thingsboard.rule.engine.${type}`,
    configuration: { scriptLang: "JS", jsScript },
  });
  await cloudApi.request("POST", "/api/ruleChain/metadata", {
    ruleChainId: chain.id,
    firstNodeIndex: 0,
    nodes: [
      {
        name: "Alarms",
        type: "org.thingsboard.rule.engine.filter.TbMsgTypeFilterNode",
        configuration: { messageTypes: ["ALARM"] },
      },
      script("Is it new?", "filter.TbJsFilterNode", "return metadata.isNewAlarm === 'true';"),
      script(
        "Command",
        "transform.TbTransformMsgNode",
        "return {msg: {method: 'close', params: msg.startTs}, metadata: {oneway: 'true'}, msgType: msgType};",
      ),
      {
        name: "Send",
        type: "org.thingsboard.rule.engine.rpc.TbSendRPCRequestNode",
        configuration: { timeoutInSeconds: 60 },
      },
    ],
    connections: [
      { fromIndex: 0, toIndex: 1, type: "True" },
      { fromIndex: 1, toIndex: 2, type: "True" },
      { fromIndex: 2, toIndex: 3, type: "Success" },
    ],
    ruleChainConnections: [],
  });
  await cloudApi.request("POST", `/api/edge/${edgeId}/ruleChain/${chain.id.id}`);
  await cloudApi.request("POST", `/api/edge/${edgeId}/${chain.id.id}/root`);
  await waitFor("the chain to be the root on the edge", async () => {
    const { rootRuleChainId } = await edgeApi.request<{ rootRuleChainId: string }>("GET", "/api/edge/settings");
    return rootRuleChainId === chain.id.id;
  });
}
