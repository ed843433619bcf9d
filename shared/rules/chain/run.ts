import type { Clock } from "../../core/clock.ts";
import { AppError } from "../../core/errors.ts";
import type { Uuid } from "../../core/ids.ts";
import type { Random } from "../../core/random.ts";
import type { EntityRef } from "../../entities/change.ts";
import type { CompiledChains, CompiledNode } from "./compile.ts";
import type { CallAnswer, ChainEffect, PendingCall } from "./effects.ts";
import type { ChainMessage, NodeRef } from "./message.ts";
import { fail, type NodeContext, type NodeOutcome, type NodeRun } from "./node-kind.ts";
import { readsWithEffects, type ChainReads } from "./reads.ts";

// Runs chains: (state, event) -> { state, effects }, the same for the same reads, clock and random numbers. A message goes breadth first.
// - STEPS_MAX nodes for an event: a run that wants more, as one in a loop, is stopped, and says so
// - CALLERS_MAX chains that handed a message to each other
// - whatever a node throws sends its message to Failure; a Failure that leads nowhere ends the message, and is counted like any other

/** Nodes that one event may pass through. */
export const STEPS_MAX = 1_000;
const CALLERS_MAX = 16;

/** What nodes remember, by node. JSON. */
export type ChainState = ReadonlyMap<string, unknown>;

export type ChainEvent =
  /** The chains begin to run, or begin anew: nodes that work by themselves ask for their first time. */
  | { readonly kind: "started" }
  | { readonly kind: "message"; readonly message: ChainMessage }
  | { readonly kind: "woken"; readonly node: NodeRef }
  | { readonly kind: "answered"; readonly call: PendingCall; readonly answer: CallAnswer };

export interface ChainPorts {
  readonly clock: Pick<Clock, "nowMs">;
  readonly random: Random;
  readonly reads: ChainReads;
  readonly tenant: EntityRef;
  /** Why a node must not run for now; null: it may. @default all may */
  readonly pausedBecause?: (node: NodeRef) => string | null;
  /** Hears of each node that ran, for counts and for debugging. */
  readonly observe?: (step: ChainStep) => void;
}

/** That a node worked on a message. */
export interface ChainStep {
  readonly node: NodeRef;
  readonly name: string;
  readonly type: string;
  /** null: it ran by itself. */
  readonly input: ChainMessage | null;
  readonly outputs: readonly { readonly label: string; readonly message: ChainMessage }[];
  /** Why the message went to Failure; null: it did not. */
  readonly failure: string | null;
}

export interface ChainRun {
  readonly state: ChainState;
  readonly effects: readonly ChainEffect[];
  readonly steps: number;
  /** Why it was ended before its time; messages on their way are dropped, effects so far stand. */
  readonly stopped: string | null;
}

export function stateKey({ chainId, nodeId }: NodeRef): string {
  return `${chainId}/${nodeId}`;
}

export async function runChains(
  chains: CompiledChains,
  { state, event }: { readonly state: ChainState; readonly event: ChainEvent },
  ports: ChainPorts,
): Promise<ChainRun> {
  const run = new Run(chains, state, ports);
  await run.begin(event);
  return run.finish();
}

interface Waiting {
  readonly node: CompiledNode;
  readonly message: ChainMessage;
}

class Run {
  readonly #chains: CompiledChains;
  readonly #ports: ChainPorts;
  readonly #reads: ChainReads;
  readonly #state: Map<string, unknown>;
  readonly #effects: ChainEffect[] = [];
  readonly #queue: Waiting[] = [];
  #steps = 0;
  #stopped: string | null = null;

  constructor(chains: CompiledChains, state: ChainState, ports: ChainPorts) {
    this.#chains = chains;
    this.#ports = ports;
    this.#reads = readsWithEffects(ports.reads, this.#effects);
    this.#state = new Map(state);
  }

  async begin(event: ChainEvent): Promise<void> {
    switch (event.kind) {
      case "started":
        for (const { nodes } of this.#chains.chains.values()) {
          for (const node of nodes.values()) {
            if (node.run?.start !== undefined) await this.#step(node, null, (run, context) => run.start?.(context));
          }
        }
        return;
      case "message":
        this.#enter(this.#chains.rootId, event.message);
        return;
      case "woken": {
        const node = this.#find(event.node);
        if (node !== undefined) await this.#step(node, null, (run, context) => run.wake?.(context));
        return;
      }
      case "answered": {
        const { call, answer } = event;
        const node = this.#find(call.node);
        if (node !== undefined) await this.#step(node, call.message, (run) => run.answer?.(call.message, answer));
        return;
      }
    }
  }

  async finish(): Promise<ChainRun> {
    // Grows while it is gone through.
    for (const { node, message } of this.#queue) {
      if (this.#steps >= STEPS_MAX) {
        this.#stopped = `The message passed through ${STEPS_MAX} nodes, the last one ${node.name}: a loop of chains, or too many nodes`;
        break;
      }
      await this.#step(node, message, (run, context) => run.handle(message, context));
    }
    return { state: this.#state, effects: this.#effects, steps: this.#steps, stopped: this.#stopped };
  }

  async #step(
    node: CompiledNode,
    input: ChainMessage | null,
    work: (run: NodeRun, context: NodeContext) => NodeOutcome | Promise<NodeOutcome> | undefined,
  ): Promise<void> {
    this.#steps += 1;
    const key = stateKey(node.ref);
    const { clock, random, tenant, observe, pausedBecause } = this.#ports;
    const state = this.#state.get(key);
    const context = { node: node.ref, nowMs: clock.nowMs(), random, tenant, reads: this.#reads, state };
    const paused = pausedBecause?.(node.ref) ?? null;
    const outcome = paused === null ? await attempt(node, input, (run) => work(run, context)) : failure(input, paused);
    if (outcome.state !== undefined) this.#state.set(key, outcome.state);
    this.#effects.push(...(outcome.effects ?? []));
    for (const { label, message } of outcome.emissions) this.#follow(node, label, message);
    if (outcome.enter !== undefined) this.#call(node, outcome.enter.chainId, outcome.enter.message);
    if (outcome.leave !== undefined) this.#return(outcome.leave.label, outcome.leave.message);
    observe?.({
      node: node.ref,
      name: node.name,
      type: node.type,
      input,
      outputs: outcome.emissions,
      failure: outcome.failure ?? null,
    });
  }

  #follow(node: CompiledNode, label: string, message: ChainMessage): void {
    const { nodes } = this.#chains.chains.get(node.ref.chainId) ?? {};
    for (const id of node.targets.get(label.toLowerCase()) ?? []) {
      const target = nodes?.get(id);
      if (target !== undefined) this.#queue.push({ node: target, message });
    }
  }

  #call(caller: CompiledNode, chainId: Uuid, message: ChainMessage): void {
    const callers = [...message.callers, caller.ref];
    if (callers.length > CALLERS_MAX) {
      this.#stopped = `More than ${CALLERS_MAX} chains handed a message to each other, the last one by ${caller.name}`;
      return;
    }
    this.#enter(chainId, { ...message, callers });
  }

  #return(label: string, message: ChainMessage): void {
    const caller = message.callers.at(-1);
    const node = caller === undefined ? undefined : this.#find(caller);
    if (node !== undefined) this.#follow(node, label, { ...message, callers: message.callers.slice(0, -1) });
  }

  #enter(chainId: Uuid, message: ChainMessage): void {
    const chain = this.#chains.chains.get(chainId);
    const firstId = chain?.firstId ?? null;
    const first = firstId === null ? undefined : chain?.nodes.get(firstId);
    if (first !== undefined) this.#queue.push({ node: first, message });
  }

  #find({ chainId, nodeId }: NodeRef): CompiledNode | undefined {
    return this.#chains.chains.get(chainId)?.nodes.get(nodeId);
  }
}

async function attempt(
  { run }: CompiledNode,
  input: ChainMessage | null,
  work: (run: NodeRun) => NodeOutcome | Promise<NodeOutcome> | undefined,
): Promise<NodeOutcome> {
  if (run === null) return failure(input, "The node can't be run here; see the problems of its chain");
  try {
    return (await work(run)) ?? { emissions: [] };
  } catch (thrown) {
    return failure(input, AppError.from(thrown).message);
  }
}

function failure(input: ChainMessage | null, reason: string): NodeOutcome {
  return input === null ? { emissions: [], failure: reason } : fail(input, reason);
}
