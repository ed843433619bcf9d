import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { STEPS_MAX } from "../../shared/rules/chain/run.ts";
import { bedOf, chainOf, messageOf, type NodeSketch } from "../support/chain-bed.ts";

const LABELS = ["Success", "Failure", "True", "False", "Post telemetry", "Created", "Updated", "Cleared"];

const TYPES: readonly NodeSketch[] = [
  { name: "", type: "filter.TbMsgTypeSwitchNode" },
  { name: "", type: "filter.TbMsgTypeFilterNode", configuration: { messageTypes: ["POST_TELEMETRY_REQUEST"] } },
  { name: "", type: "telemetry.TbMsgTimeseriesNode" },
  { name: "", type: "telemetry.TbMsgAttributesNode", configuration: { scope: "SERVER_SCOPE" } },
  { name: "", type: "transform.TbRenameKeysNode", configuration: { renameKeysMapping: { a: "b" } } },
  { name: "", type: "transform.TbSplitArrayMsgNode" },
  { name: "", type: "action.TbCreateAlarmNode", configuration: { alarmType: "A", severity: "MAJOR" } },
  { name: "", type: "action.TbClearAlarmNode", configuration: { alarmType: "A" } },
  { name: "", type: "deduplication.TbMsgDeduplicationNode", configuration: { interval: 1, strategy: "ALL" } },
  { name: "", type: "delay.TbMsgDelayNode", configuration: { periodInSeconds: 0 } },
  { name: "", type: "action.TbMsgCountNode", configuration: { interval: 1, telemetryPrefix: "n" } },
  { name: "", type: "kafka.TbKafkaNode" },
];

const sketch = fc
  .record({
    types: fc.array(fc.constantFrom(...TYPES), { minLength: 1, maxLength: 12 }),
    edges: fc.array(fc.tuple(fc.nat(11), fc.constantFrom(...LABELS), fc.nat(11)), { maxLength: 40 }),
    data: fc.oneof(fc.json(), fc.string()),
  })
  .map(({ types, edges, data }) => {
    const nodes = types.map((node, index) => ({ ...node, name: `n${index}` }));
    const name = (index: number): string => `n${index % nodes.length}`;
    return { nodes, data, connections: edges.map(([from, label, to]) => [name(from), label, name(to)] as const) };
  });

describe("runChains()", () => {
  test("ends within its limit, whatever leads where, and fails nowhere else than in nodes", async () => {
    await fc.assert(
      fc.asyncProperty(sketch, async ({ nodes, connections, data }) => {
        const bed = await bedOf([chainOf(nodes, connections)]);
        const ran = await bed.handle({ kind: "message", message: messageOf(data) });
        expect(ran.steps).toBeLessThanOrEqual(STEPS_MAX);
        expect(ran.stopped === null || ran.steps === STEPS_MAX).toBe(true);
        for (const effect of ran.effects) {
          if (effect.kind !== "wake") continue;
          bed.nowMs = Math.max(bed.nowMs, effect.atMs);
          expect((await bed.handle({ kind: "woken", node: effect.node })).steps).toBeLessThanOrEqual(STEPS_MAX);
        }
      }),
      { numRuns: 150 },
    );
  });
});
