import type { Uuid } from "../core/ids.ts";
import type { MetadataInput } from "./rule-chain-metadata.ts";
import type { RuleChainType } from "./rule-chain.ts";

// The chains that a tenant begins with, in the node types of the public convention.

interface NodeSketch {
  readonly name: string;
  readonly type: string;
  readonly configuration: { readonly [key: string]: string | number | boolean };
}

const ENGINE = "org.thingsboard.rule.engine";
const SWITCH: NodeSketch = {
  name: "Message Type Switch",
  type: `${ENGINE}.filter.TbMsgTypeSwitchNode`,
  configuration: { version: 0 },
};
const SAVE_SERIES: NodeSketch = {
  name: "Save Timeseries",
  type: `${ENGINE}.telemetry.TbMsgTimeseriesNode`,
  configuration: { defaultTTL: 0 },
};
const SAVE_ATTRIBUTES: NodeSketch = {
  name: "Save Client Attributes",
  type: `${ENGINE}.telemetry.TbMsgAttributesNode`,
  configuration: { scope: "CLIENT_SCOPE", notifyDevice: false },
};
const PUSH: NodeSketch = {
  name: "Push to Cloud",
  type: `${ENGINE}.edge.TbMsgPushToCloudNode`,
  configuration: { scope: "SERVER_SCOPE" },
};
const CALL: NodeSketch = {
  name: "RPC Call Request",
  type: `${ENGINE}.rpc.TbSendRPCRequestNode`,
  configuration: { timeoutInSeconds: 60 },
};
const LOG: NodeSketch = {
  name: "Log Other",
  type: `${ENGINE}.action.TbLogNode`,
  configuration: { scriptLang: "TBEL" },
};
const LOG_REQUESTS: NodeSketch = { ...LOG, name: "Log RPC from Device" };

type Sketch = readonly (readonly [from: NodeSketch, label: string, to: NodeSketch])[];

const STORE: Sketch = [
  [SWITCH, "Post telemetry", SAVE_SERIES],
  [SWITCH, "Post attributes", SAVE_ATTRIBUTES],
  [SWITCH, "RPC Request to Device", CALL],
  [SWITCH, "RPC Request from Device", LOG_REQUESTS],
  [SWITCH, "Other", LOG],
];

const SKETCHES: Readonly<Record<RuleChainType, Sketch>> = {
  CORE: STORE,
  EDGE: [
    ...STORE,
    [SAVE_SERIES, "Success", PUSH],
    [SAVE_ATTRIBUTES, "Success", PUSH],
    [SWITCH, "Attributes Updated", PUSH],
    [SWITCH, "Attributes Deleted", PUSH],
  ],
};

/** Names of the roots of a new tenant. */
export const ROOT_NAMES: Readonly<Record<RuleChainType, string>> = {
  CORE: "Root Rule Chain",
  EDGE: "Edge Root Rule Chain",
};

/** Stores what devices send, and on an edge sends it on. */
export function defaultMetadata(ruleChainId: Uuid, type: RuleChainType): MetadataInput {
  const sketch = SKETCHES[type];
  const nodes = [...new Set(sketch.flatMap(([from, , to]) => [from, to]))];
  return {
    ruleChainId,
    firstNodeIndex: nodes.indexOf(SWITCH),
    nodes: nodes.map((node, index) => ({
      ...node,
      additionalInfo: { layoutX: 300 + 250 * (index === 0 ? 0 : 1), layoutY: 100 + 80 * index, description: "" },
    })),
    connections: sketch.map(([from, label, to]) => ({
      fromIndex: nodes.indexOf(from),
      toIndex: nodes.indexOf(to),
      type: label,
    })),
  };
}
