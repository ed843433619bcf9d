import { AppError } from "../../core/errors.ts";
import type { Uuid } from "../../core/ids.ts";
import type { ChainMetadata } from "../../entities/rule-chain-metadata.ts";
import type { NodeRef } from "./message.ts";
import type { Languages, NodeRun } from "./node-kind.ts";
import { NODE_KINDS } from "./node-list.ts";

export interface ChainSource {
  readonly id: Uuid;
  readonly name: string;
  readonly metadata: ChainMetadata;
}

/**
 * What of a chain does not work as it says. unmapped: messages that reach the node go to its Failure; approximated: it runs, but not in
 * all as where it comes from.
 */
export interface ChainProblem {
  readonly chainId: Uuid;
  readonly nodeId: Uuid;
  readonly nodeName: string;
  readonly nodeType: string;
  readonly effect: "unmapped" | "approximated";
  readonly reason: string;
}

export interface CompiledNode {
  readonly ref: NodeRef;
  readonly name: string;
  readonly type: string;
  /** null: it could not be mapped. */
  readonly run: NodeRun | null;
  /** By label in lower case: labels are compared without case. */
  readonly targets: ReadonlyMap<string, readonly Uuid[]>;
}

export interface CompiledChain {
  readonly id: Uuid;
  readonly name: string;
  /** null: the chain has no nodes. */
  readonly firstId: Uuid | null;
  readonly nodes: ReadonlyMap<Uuid, CompiledNode>;
}

export interface CompiledChains {
  readonly rootId: Uuid;
  readonly chains: ReadonlyMap<Uuid, CompiledChain>;
  readonly problems: readonly ChainProblem[];
}

/** Reads the chains that a root leads to, itself among them; nothing in them keeps the rest from running. */
export async function compileChains(
  rootId: Uuid,
  sources: readonly ChainSource[],
  languages: Languages,
): Promise<CompiledChains> {
  const problems: ChainProblem[] = [];
  const known = new Set(sources.map(({ id }) => id));
  const chains = new Map<Uuid, CompiledChain>();
  for (const source of sources) chains.set(source.id, await compileChain(source, { known, languages, problems }));
  return { rootId, chains, problems };
}

interface CompileContext {
  readonly known: ReadonlySet<Uuid>;
  readonly languages: Languages;
  readonly problems: ChainProblem[];
}

async function compileChain({ id, name, metadata }: ChainSource, context: CompileContext): Promise<CompiledChain> {
  const { nodes, connections, firstNodeIndex } = metadata;
  const targets = nodes.map(() => new Map<string, Uuid[]>());
  for (const { fromIndex, toIndex, type } of connections) {
    const target = nodes[toIndex]?.id;
    const labels = targets[fromIndex];
    if (target === undefined || labels === undefined) continue;
    labels.set(type.toLowerCase(), [...(labels.get(type.toLowerCase()) ?? []), target]);
  }
  const compiled = new Map<Uuid, CompiledNode>();
  for (const [index, node] of nodes.entries()) {
    const ref = { chainId: id, nodeId: node.id };
    const run = await compileNode(node, ref, context);
    compiled.set(node.id, { ref, name: node.name, type: node.type, run, targets: targets[index] ?? new Map() });
  }
  return { id, name, firstId: firstNodeIndex === null ? null : (nodes[firstNodeIndex]?.id ?? null), nodes: compiled };
}

async function compileNode(
  { name, type, configuration }: ChainMetadata["nodes"][number],
  ref: NodeRef,
  { known, languages, problems }: CompileContext,
): Promise<NodeRun | null> {
  const report = (effect: ChainProblem["effect"], reason: string): void => {
    problems.push({ ...ref, nodeName: name, nodeType: type, effect, reason });
  };
  const kind = NODE_KINDS.find((candidate) => candidate.type === type);
  if (kind === undefined) {
    report("unmapped", "there is no node of this type");
    return null;
  }
  try {
    const run = await kind.make(configuration, { ...languages, name, note: (text) => report("approximated", text) });
    const target = run.leadsTo;
    if (target !== undefined && !known.has(target))
      report("unmapped", `it leads to chain ${target}, which is not here`);
    return run;
  } catch (thrown) {
    report("unmapped", AppError.from(thrown).message);
    return null;
  }
}
