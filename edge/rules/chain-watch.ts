import type { Uuid } from "../../shared/core/ids.ts";
import type { ChainSource } from "../../shared/rules/chain/compile.ts";
import type { ChainMessage, NodeRef } from "../../shared/rules/chain/message.ts";
import { NodeCounts, type NodeCount } from "../../shared/rules/chain/node-counts.ts";
import { isDebugged, untilOf } from "../../shared/rules/chain/reach.ts";
import { stateKey, type ChainStep } from "../../shared/rules/chain/run.ts";
import { SCRIPT_TOOK_LONG } from "../../shared/rules/chain/sandbox.ts";

// What operators see of nodes: counts, why a node is paused, and the messages of nodes that are debugged. In memory: it begins anew with
// the program.

/** A node that ran out of its time so often in a row is paused. */
const OVERTIMES_MAX = 5;
const PAUSE_MS = 10 * 60_000;
const EVENTS_PER_NODE_MAX = 100;
const EVENTS_MAX = 2_000;
const EVENT_KEPT_MS = 60 * 60_000;
const TEXT_LENGTH_MAX = 2_000;

/** A message at a node that is debugged. */
export interface DebugEvent extends NodeRef {
  readonly id: Uuid;
  readonly createdMs: number;
  readonly direction: "IN" | "OUT";
  /** null: the node worked by itself. */
  readonly message: Pick<ChainMessage, "id" | "type" | "originator" | "data" | "metadata"> | null;
  /** Of what went out. */
  readonly relation: string | null;
  readonly error: string | null;
}

export interface NodeStatus extends NodeCount {
  /** null: it runs. */
  readonly paused: string | null;
}

interface Pause {
  readonly untilMs: number;
  readonly reason: string;
}

type Debugging = "all" | "failures";

export interface ChainWatchDeps {
  readonly nowMs: () => number;
  readonly createId: () => Uuid;
  readonly onPaused: (node: NodeRef, reason: string) => void;
}

export class ChainWatch {
  readonly #deps: ChainWatchDeps;
  #counts = new NodeCounts();
  #known: (NodeRef & Pick<NodeCount, "name" | "type">)[] = [];
  #debugged: ReadonlyMap<string, Debugging> = new Map();
  readonly #overtimes = new Map<string, number>();
  readonly #pauses = new Map<string, Pause>();
  #events: DebugEvent[] = [];

  constructor(deps: ChainWatchDeps) {
    this.#deps = deps;
  }

  /** These chains run from now on: what was paused has its chance. */
  use(sources: Iterable<ChainSource>): void {
    const debugged = new Map<string, Debugging>();
    this.#counts = new NodeCounts();
    this.#known = [];
    this.#overtimes.clear();
    this.#pauses.clear();
    for (const { id: chainId, metadata } of sources) {
      for (const { debugSettings, id: nodeId, name, type } of metadata.nodes) {
        this.#known.push({ chainId, nodeId, name, type });
        if (debugSettings === null) continue;
        const isAll = debugSettings["allEnabled"] === true || untilOf(debugSettings) > this.#deps.nowMs();
        if (isAll && isDebugged({ debugSettings })) debugged.set(stateKey({ chainId, nodeId }), "all");
        else if (debugSettings["failuresEnabled"] === true) debugged.set(stateKey({ chainId, nodeId }), "failures");
      }
    }
    this.#debugged = debugged;
  }

  step(step: ChainStep): void {
    this.#counts.add(step);
    const key = stateKey(step.node);
    if (step.failure === SCRIPT_TOOK_LONG) this.#overtime(step, key);
    else if (this.#overtimes.size > 0) this.#overtimes.delete(key);
    const debugging = this.#debugged.get(key);
    if (debugging === "all" || (debugging === "failures" && step.failure !== null)) this.#record(step);
  }

  pausedBecause(node: NodeRef): string | null {
    if (this.#pauses.size === 0) return null;
    const key = stateKey(node);
    const pause = this.#pauses.get(key);
    if (pause === undefined) return null;
    if (pause.untilMs > this.#deps.nowMs()) return pause.reason;
    this.#pauses.delete(key);
    return null;
  }

  nodes(): readonly NodeStatus[] {
    const counts = new Map(this.#counts.list().map((count) => [stateKey(count), count]));
    return this.#known.map((node) => ({
      ...(counts.get(stateKey(node)) ?? { ...node, messages: 0, failures: 0, lastFailure: null }),
      paused: this.pausedBecause(node),
    }));
  }

  /** Of a node or of all nodes of a chain, the newest first. */
  events(id: Uuid): readonly DebugEvent[] {
    const sinceMs = this.#deps.nowMs() - EVENT_KEPT_MS;
    return this.#events
      .filter(({ chainId, createdMs, nodeId }) => createdMs > sinceMs && (nodeId === id || chainId === id))
      .toReversed();
  }

  forgetEvents(id: Uuid): void {
    this.#events = this.#events.filter(({ chainId, nodeId }) => nodeId !== id && chainId !== id);
  }

  #overtime({ name, node }: ChainStep, key: string): void {
    const overtimes = (this.#overtimes.get(key) ?? 0) + 1;
    this.#overtimes.set(key, overtimes);
    if (overtimes < OVERTIMES_MAX) return;
    this.#overtimes.delete(key);
    const reason = `Node ${name} took too long ${OVERTIMES_MAX} times in a row, and is paused for ${PAUSE_MS / 60_000} minutes`;
    this.#pauses.set(key, { untilMs: this.#deps.nowMs() + PAUSE_MS, reason });
    this.#deps.onPaused(node, reason);
  }

  #record({ failure, input, node, outputs }: ChainStep): void {
    const event = { ...node, createdMs: this.#deps.nowMs(), error: failure };
    const events: DebugEvent[] = [
      { ...event, id: this.#deps.createId(), direction: "IN", message: shortened(input), relation: null, error: null },
      ...outputs.map(({ label, message }) => ({
        ...event,
        id: this.#deps.createId(),
        direction: "OUT" as const,
        message: shortened(message),
        relation: label,
      })),
    ];
    this.#events.push(...events);
    const own = this.#events.filter(({ nodeId }) => nodeId === node.nodeId);
    const surplus = new Set(own.slice(0, Math.max(0, own.length - EVENTS_PER_NODE_MAX)));
    if (surplus.size > 0) this.#events = this.#events.filter((kept) => !surplus.has(kept));
    if (this.#events.length > EVENTS_MAX) this.#events = this.#events.slice(-EVENTS_MAX);
  }
}

function shortened(message: ChainMessage | null): DebugEvent["message"] {
  if (message === null) return null;
  const { data, id, metadata, originator, type } = message;
  return { id, type, originator, data: data.slice(0, TEXT_LENGTH_MAX), metadata };
}
