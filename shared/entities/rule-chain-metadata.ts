import * as z from "zod";
import { AppError } from "../core/errors.ts";
import { isUuid, type Uuid } from "../core/ids.ts";
import type { EntityRecord, Json } from "./entity-record.ts";
import { entityIdSchema, idInput, jsonObjectInput, nameInput, restId, textInput, versionInput } from "./fields.ts";

// Nodes and connections of a rule chain. What a node does is its configuration, which is kept as it is: rules are run elsewhere.

/** Nodes in a chain. */
const NODES_MAX = 2_000;
const CONNECTIONS_MAX = 20_000;

/** The node that hands messages to another chain. */
const CHAIN_INPUT_NODE = "org.thingsboard.rule.engine.flow.TbRuleChainInputNode";
/** The node that hands messages back to the chain that they came from; its name is the label of the connection there. */
const CHAIN_OUTPUT_NODE = "org.thingsboard.rule.engine.flow.TbRuleChainOutputNode";

const nodeInput = z.object({
  id: idInput.nullish(),
  type: z.string({ error: "Rule node type should be specified!" }).min(1).max(255),
  name: nameInput("Rule node"),
  debugSettings: jsonObjectInput.nullish(),
  singletonMode: z.boolean().nullish(),
  queueName: textInput("queueName").nullish(),
  configurationVersion: z.int().nullish(),
  configuration: jsonObjectInput.nullish(),
  additionalInfo: jsonObjectInput.nullish(),
});

const connectionSchema = z.object({ fromIndex: z.int().min(0), toIndex: z.int().min(0), type: z.string().max(255) });

export const metadataInput = z
  .object({
    ruleChainId: idInput,
    version: versionInput.nullish(),
    firstNodeIndex: z.int().min(0).nullish(),
    nodes: z
      .array(nodeInput)
      .max(NODES_MAX, { error: `Rule chain can have ${NODES_MAX} nodes at most!` })
      .nullish(),
    connections: z.array(connectionSchema).max(CONNECTIONS_MAX).nullish(),
    notes: z.array(jsonObjectInput).max(NODES_MAX).nullish(),
  })
  .meta({ id: "RuleChainMetaDataInput" });

export type MetadataInput = z.output<typeof metadataInput>;

const nodeSchema = z.object({
  id: entityIdSchema,
  createdTime: z.int(),
  ruleChainId: entityIdSchema,
  type: z.string(),
  name: z.string(),
  debugSettings: z.record(z.string(), z.unknown()).nullable(),
  singletonMode: z.boolean(),
  queueName: z.string().nullable(),
  configurationVersion: z.int(),
  configuration: z.record(z.string(), z.unknown()),
  additionalInfo: z.record(z.string(), z.unknown()).nullable(),
});

export const metadataSchema = z
  .object({
    ruleChainId: entityIdSchema,
    version: z.int(),
    firstNodeIndex: z.int().nullable(),
    nodes: z.array(nodeSchema),
    connections: z.array(connectionSchema),
    ruleChainConnections: z.array(z.unknown()),
    notes: z.array(z.record(z.string(), z.unknown())),
  })
  .meta({ id: "RuleChainMetaData" });

interface Node {
  readonly id: Uuid;
  readonly createdMs: number;
  readonly type: string;
  readonly name: string;
  readonly debugSettings: { readonly [key: string]: Json } | null;
  readonly singletonMode: boolean;
  readonly queueName: string | null;
  readonly configurationVersion: number;
  readonly configuration: { readonly [key: string]: Json };
  readonly additionalInfo: { readonly [key: string]: Json } | null;
}

interface Connection {
  readonly fromIndex: number;
  readonly toIndex: number;
  readonly type: string;
}

/** The content of a rule chain's record, as JSON. */
export interface ChainMetadata {
  readonly firstNodeIndex: number | null;
  readonly nodes: readonly Node[];
  readonly connections: readonly Connection[];
  readonly notes: readonly { readonly [key: string]: Json }[];
}

const EMPTY: ChainMetadata = { firstNodeIndex: null, nodes: [], connections: [], notes: [] };

export function readMetadata({ content }: Pick<EntityRecord, "content">): ChainMetadata {
  // Written by toMetadata here or on the other side.
  return content === undefined ? EMPTY : { ...EMPTY, ...(JSON.parse(content) as Partial<ChainMetadata>) };
}

export function metadataToRest(record: EntityRecord): z.input<typeof metadataSchema> {
  const { firstNodeIndex, nodes, connections, notes } = readMetadata(record);
  const ruleChainId = restId("RULE_CHAIN", record.id);
  return {
    ruleChainId,
    version: record.version,
    firstNodeIndex,
    nodes: nodes.map(({ id, createdMs, ...node }) => ({
      ...node,
      id: { entityType: "RULE_NODE", id },
      createdTime: createdMs,
      ruleChainId,
    })),
    connections: [...connections],
    // Clients refuse null; connections of this old kind are never made.
    ruleChainConnections: [],
    notes: [...notes],
  };
}

export interface NewNodes {
  readonly nowMs: number;
  readonly createId: () => Uuid;
}

/** @param before what the chain had: nodes that stay keep the time at which they were made @throws AppError INVALID_ARGUMENT */
export function toMetadata(input: MetadataInput, before: ChainMetadata, { nowMs, createId }: NewNodes): ChainMetadata {
  const known = new Map(before.nodes.map((node) => [node.id, node.createdMs]));
  const nodes = (input.nodes ?? []).map((node): Node => {
    const id = node.id ?? createId();
    return {
      id,
      createdMs: known.get(id) ?? nowMs,
      type: node.type,
      name: node.name,
      debugSettings: node.debugSettings ?? null,
      singletonMode: node.singletonMode ?? false,
      queueName: node.queueName ?? null,
      configurationVersion: node.configurationVersion ?? 0,
      configuration: node.configuration ?? {},
      additionalInfo: node.additionalInfo ?? null,
    };
  });
  const metadata: ChainMetadata = {
    firstNodeIndex: input.firstNodeIndex ?? null,
    nodes,
    connections: input.connections ?? [],
    notes: input.notes ?? [],
  };
  checkConnections(metadata);
  return metadata;
}

function checkConnections({ nodes, connections, firstNodeIndex }: ChainMetadata): void {
  if (new Set(nodes.map(({ id }) => id)).size < nodes.length) throw refused("two nodes have one id");
  if (firstNodeIndex === null && nodes.length > 0) throw refused("firstNodeIndex should be specified");
  const indices = [...connections.flatMap(({ fromIndex, toIndex }) => [fromIndex, toIndex]), firstNodeIndex ?? 0];
  const missing = indices.find((index) => index >= nodes.length);
  if (missing !== undefined && !(nodes.length === 0 && connections.length === 0 && firstNodeIndex === null)) {
    throw refused(`there is no node with index ${missing}`);
  }
  if (hasLoop(nodes.length, connections)) throw refused("its connections make a loop");
}

function refused(why: string): AppError {
  return new AppError("INVALID_ARGUMENT", `Can't save rule chain: ${why}!`);
}

/** Takes away nodes that nothing leads to until none is left; what is left leads in a circle. */
function hasLoop(nodes: number, connections: readonly Connection[]): boolean {
  const incoming = Array.from({ length: nodes }, () => 0);
  const targets = Array.from({ length: nodes }, (): number[] => []);
  for (const { fromIndex, toIndex } of connections) {
    incoming[toIndex] = (incoming[toIndex] ?? 0) + 1;
    targets[fromIndex]?.push(toIndex);
  }
  const free = incoming.flatMap((count, index) => (count === 0 ? [index] : []));
  let removed = 0;
  for (let index = free.pop(); index !== undefined; index = free.pop()) {
    removed += 1;
    for (const target of targets[index] ?? []) {
      const left = (incoming[target] ?? 0) - 1;
      incoming[target] = left;
      if (left === 0) free.push(target);
    }
  }
  return removed < nodes;
}

/** Chains that nodes hand messages to, each once. */
export function chainsOf({ nodes }: ChainMetadata): readonly Uuid[] {
  const ids = nodes.flatMap(({ type, configuration: { ruleChainId } }) =>
    type === CHAIN_INPUT_NODE && typeof ruleChainId === "string" && isUuid(ruleChainId)
      ? [ruleChainId.toLowerCase() as Uuid]
      : [],
  );
  return [...new Set(ids)];
}

/** Labels under which a chain hands messages back. */
export function outputLabels({ nodes }: ChainMetadata): readonly string[] {
  return [...new Set(nodes.filter(({ type }) => type === CHAIN_OUTPUT_NODE).map(({ name }) => name))];
}

/** Nodes that hand messages to a chain, with the labels of what leads on from them. */
export function inputsTo(
  { nodes, connections }: ChainMetadata,
  chainId: Uuid,
): readonly { readonly id: Uuid; readonly name: string; readonly labels: readonly string[] }[] {
  return nodes.flatMap(({ id, name, type, configuration }, index) => {
    if (type !== CHAIN_INPUT_NODE || configuration["ruleChainId"] !== chainId) return [];
    const labels = connections.filter(({ fromIndex }) => fromIndex === index).map((connection) => connection.type);
    return [{ id, name, labels: [...new Set(labels)] }];
  });
}
