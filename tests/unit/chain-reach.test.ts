import { describe, expect, test } from "bun:test";
import { createUuid } from "../../shared/core/ids.ts";
import { createSeededRandom } from "../../shared/core/random.ts";
import { defaultMetadata } from "../../shared/entities/default-rule-chains.ts";
import { toMetadata, readMetadata } from "../../shared/entities/rule-chain-metadata.ts";
import type { ChainSource } from "../../shared/rules/chain/compile.ts";
import { reachOf } from "../../shared/rules/chain/reach.ts";
import { chainOf } from "../support/chain-bed.ts";

const random = createSeededRandom(1);
const newId = () => createUuid({ nowMs: () => 0 }, random);

function reach(type: string, ...sources: readonly ChainSource[]) {
  const [root] = sources;
  return reachOf(root?.id ?? newId(), type, new Map(sources.map((source) => [source.id, source])));
}

const save = { name: "save", type: "telemetry.TbMsgTimeseriesNode" };
const kinds = { name: "kinds", type: "filter.TbMsgTypeSwitchNode" };

describe("reachOf()", () => {
  test("finds nothing to do in the chain that edges begin with", () => {
    const id = newId();
    const metadata = toMetadata(defaultMetadata(id, "EDGE"), readMetadata({}), { nowMs: 0, createId: newId });
    for (const type of [
      "POST_TELEMETRY_REQUEST",
      "POST_ATTRIBUTES_REQUEST",
      "ATTRIBUTES_UPDATED",
      "ALARM",
      "CONNECT_EVENT",
      "TO_SERVER_RPC_REQUEST",
    ])
      expect([type, reach(type, { id, name: "Root", metadata })]).toEqual([type, { matters: false, isUrgent: false }]);
  });

  test("finds what acts behind the label of the type alone, and who has to hurry", () => {
    const chain = chainOf(
      [
        kinds,
        save,
        { name: "raise", type: "action.TbCreateAlarmNode" },
        { name: "count", type: "action.TbMsgCountNode" },
      ],
      [
        ["kinds", "Post telemetry", "save"],
        ["save", "Success", "raise"],
        ["kinds", "Connect Event", "count"],
      ],
    );
    expect(reach("POST_TELEMETRY_REQUEST", chain)).toEqual({ matters: true, isUrgent: true });
    expect(reach("CONNECT_EVENT", chain)).toEqual({ matters: true, isUrgent: false });
    expect(reach("POST_ATTRIBUTES_REQUEST", chain)).toEqual({ matters: false, isUrgent: false });
  });

  test("follows chains that are entered, and stops at circles of them", () => {
    const [first, second] = [newId(), newId()];
    const enter = (ruleChainId: string) => ({
      name: "enter",
      type: "flow.TbRuleChainInputNode",
      configuration: { ruleChainId },
    });
    const inner = chainOf(
      [{ name: "script", type: "filter.TbJsFilterNode" }, enter(first)],
      [["script", "True", "enter"]],
      second,
    );
    const outer = chainOf([enter(second)], [], first);
    expect(reach("ALARM", outer, inner)).toEqual({ matters: true, isUrgent: false });
    expect(reach("ALARM", outer)).toEqual({ matters: false, isUrgent: false });
  });

  test("has messages go through nodes that are debugged, and saves of another time", () => {
    const debugged = chainOf([save]);
    const nodes = debugged.metadata.nodes.map((node) => ({ ...node, debugSettings: { allEnabled: true } }));
    const source = { ...debugged, metadata: { ...debugged.metadata, nodes } };
    expect(reach("POST_TELEMETRY_REQUEST", source).matters).toBe(true);
    const now = chainOf([{ ...save, configuration: { useServerTs: true } }]);
    expect(reach("POST_TELEMETRY_REQUEST", now).matters).toBe(true);
    expect(reach("POST_TELEMETRY_REQUEST", chainOf([save])).matters).toBe(false);
  });
});
