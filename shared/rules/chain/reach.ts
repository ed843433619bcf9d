import type { Uuid } from "../../core/ids.ts";
import type { ChainMetadata } from "../../entities/rule-chain-metadata.ts";
import type { ChainSource } from "./compile.ts";
import { MESSAGE_LABELS } from "./message-types.ts";

// Whether a chain would do anything with messages of a type that is not done anyway, looked up in its nodes without loading the engine:
// what devices send is stored and sent to the cloud whatever chains say, so that most sites run no chain at all.

export interface Reach {
  /** A message of the type has to go through the chain. */
  readonly matters: boolean;
  /** It may make somebody act at once. */
  readonly isUrgent: boolean;
}

const NOTHING: Reach = { matters: false, isUrgent: false };
const ENGINE = "org.thingsboard.rule.engine.";

type Node = ChainMetadata["nodes"][number];

/** Nodes that only say where a message goes on, unchanged. */
const PASSING: ReadonlySet<string> = new Set([
  "filter.TbOriginatorTypeFilterNode",
  "filter.TbOriginatorTypeSwitchNode",
  "filter.TbDeviceTypeSwitchNode",
  "filter.TbAssetTypeSwitchNode",
  "filter.TbCheckRelationNode",
  "flow.TbAckNode",
  "flow.TbCheckpointNode",
  "flow.TbRuleChainInputNode",
]);
const ACTING: ReadonlySet<string> = new Set([
  "rpc.TbSendRPCRequestNode",
  "rpc.TbSendRPCReplyNode",
  "action.TbCreateAlarmNode",
  "rest.TbRestApiCallNode",
  "mqtt.TbMqttNode",
]);

/** @param sources the chains that there are */
export function reachOf(rootId: Uuid, messageType: string, sources: ReadonlyMap<Uuid, ChainSource>): Reach {
  let matters = false;
  const seen = new Set<string>();
  const waiting: { readonly chainId: Uuid; readonly index: number }[] = [];
  const enter = (chainId: Uuid, index: number | null | undefined): void => {
    const key = `${chainId}/${index}`;
    if (index === null || index === undefined || seen.has(key)) return;
    seen.add(key);
    waiting.push({ chainId, index });
  };
  enter(rootId, sources.get(rootId)?.metadata.firstNodeIndex);
  for (const { chainId, index } of waiting) {
    const metadata = sources.get(chainId)?.metadata;
    const node = metadata?.nodes[index];
    if (metadata === undefined || node === undefined) continue;
    const way = wayOf(node, messageType);
    if (way === null && ACTING.has(shortType(node))) return { matters: true, isUrgent: true };
    if (way === null) matters = true;
    for (const connection of metadata.connections) {
      if (connection.fromIndex !== index) continue;
      if (way === null || way === ANY || way === connection.type.toLowerCase()) enter(chainId, connection.toIndex);
    }
    const leadsTo = node.configuration["ruleChainId"];
    if (shortType(node) === "flow.TbRuleChainInputNode" && typeof leadsTo === "string")
      enter(leadsTo.toLowerCase() as Uuid, sources.get(leadsTo.toLowerCase() as Uuid)?.metadata.firstNodeIndex); // looked up only
  }
  return matters ? { matters, isUrgent: false } : NOTHING;
}

/** Whether a node works without a message. */
export function worksAlone({ metadata }: ChainSource): boolean {
  return metadata.nodes.some((node) => shortType(node) === "debug.TbMsgGeneratorNode");
}

const ANY = "*";

/** The label under which a message goes on as it came and nothing is done; null: something is. */
function wayOf(node: Node, messageType: string): string | null {
  if (isDebugged(node)) return null;
  const type = shortType(node);
  const { configuration } = node;
  if (PASSING.has(type)) return ANY;
  switch (type) {
    case "filter.TbMsgTypeSwitchNode":
      return (MESSAGE_LABELS[messageType] ?? "Other").toLowerCase();
    case "filter.TbMsgTypeFilterNode": {
      const { messageTypes } = configuration;
      return Array.isArray(messageTypes) && messageTypes.includes(messageType) ? "true" : "false";
    }
    case "telemetry.TbMsgTimeseriesNode":
      return messageType === "POST_TELEMETRY_REQUEST" && configuration["useServerTs"] !== true ? "success" : null;
    case "telemetry.TbMsgAttributesNode":
      return messageType === "POST_ATTRIBUTES_REQUEST" && (configuration["scope"] ?? "CLIENT_SCOPE") === "CLIENT_SCOPE"
        ? "success"
        : null;
    case "edge.TbMsgPushToCloudNode":
      return PUSHED.has(messageType) ? "success" : null;
    case "flow.TbRuleChainOutputNode":
      return ANY;
    case "action.TbLogNode":
      // Without a text of its own it says what came, which is nothing that a site needs in its log.
      return hasScript(configuration) ? null : "success";
    default:
      return null;
  }
}

/** Stored here, they go to the cloud by themselves. */
const PUSHED: ReadonlySet<string> = new Set([
  "POST_TELEMETRY_REQUEST",
  "POST_ATTRIBUTES_REQUEST",
  "ATTRIBUTES_UPDATED",
  "ATTRIBUTES_DELETED",
  "ALARM",
]);

function hasScript(configuration: Node["configuration"]): boolean {
  return ["jsScript", "tbelScript", "celScript"].some((member) => {
    const source = configuration[member];
    return typeof source === "string" && source.trim() !== "" && source.trim() !== DEFAULT_LOG;
  });
}

/** What the public editor writes into a new node of this kind. */
const DEFAULT_LOG =
  "return '\\nIncoming message:\\n' + JSON.stringify(msg) + '\\nIncoming metadata:\\n' + JSON.stringify(metadata);";

export function isDebugged({ debugSettings }: Pick<Node, "debugSettings">): boolean {
  return debugSettings !== null && (debugSettings["allEnabled"] === true || untilOf(debugSettings) > 0);
}

/** Until when everything is recorded; 0: no longer. */
export function untilOf(settings: Exclude<Node["debugSettings"], null>): number {
  const until = settings["allEnabledUntil"];
  return typeof until === "number" ? until : 0;
}

function shortType({ type }: Pick<Node, "type">): string {
  return type.startsWith(ENGINE) ? type.slice(ENGINE.length) : type;
}
