import type { Random } from "../../core/random.ts";
import type { Json } from "../../entities/entity-record.ts";
import type { CompiledChains, ChainProblem } from "./compile.ts";
import type { CallAnswer, ChainEffect, SaveAttributes, SaveTelemetry } from "./effects.ts";
import type { ChainMessage, NodeRef } from "./message.ts";
import { NodeCounts, type NodeCount } from "./node-counts.ts";
import { ReplayWorld, type ReplayStart } from "./replay-world.ts";
import { runChains, type ChainEvent, type ChainState, type ChainStep } from "./run.ts";

// Runs chains over recorded messages, with the time of the record for the time: what would have happened, and the same every time.
// - Effects take place in memory; requests to the outside are not made, and are taken to succeed with an empty answer.
// - Nodes that wait are woken at their times up to the last message; what waits longer is counted.

/** Nodes that a replay may run, over all messages. */
const STEPS_MAX = 5_000_000;

/** What happened at a time. */
export type ReplayLine =
  /** An effect as the engine gives it, texts of JSON read. */
  | ({ readonly ts: number; readonly kind: ChainEffect["kind"] } & Readonly<Record<string, unknown>>)
  | { readonly ts: number; readonly kind: "failure"; readonly node: string; readonly reason: string }
  | { readonly ts: number; readonly kind: "stopped"; readonly reason: string }
  | ReplaySummary;

export interface ReplaySummary {
  readonly ts: number;
  readonly kind: "summary";
  readonly messages: number;
  readonly nodes: readonly NodeCount[];
  /** Nodes that still waited at the end. */
  readonly waiting: number;
  readonly problems: readonly ChainProblem[];
}

export interface ReplayOptions {
  readonly start: ReplayStart;
  readonly random: Random;
  /** Where the time of the replay stands; the sandbox of scripts reads it too. */
  readonly clock: ReplayClock;
}

export interface ReplayClock {
  timeMs: number;
}

/** @param history in the order of time */
export async function* replay(
  chains: CompiledChains,
  history: Iterable<ChainMessage> | AsyncIterable<ChainMessage>,
  options: ReplayOptions,
): AsyncGenerator<ReplayLine> {
  const run = new Replay(chains, options);
  let messages = 0;
  let started = false;
  for await (const message of history) {
    if (!started) {
      options.clock.timeMs = message.tsMs;
      yield* run.handle({ kind: "started" });
      started = true;
    }
    yield* run.wakeUntil(message.tsMs);
    messages += 1;
    yield* run.handle({ kind: "message", message });
    if (run.isExhausted) break;
  }
  yield { ts: options.clock.timeMs, kind: "summary", messages, ...run.summary() };
}

class Replay {
  readonly #chains: CompiledChains;
  readonly #options: ReplayOptions;
  readonly #world: ReplayWorld;
  readonly #counts = new NodeCounts();
  #state: ChainState = new Map();
  #wakes: { readonly atMs: number; readonly node: NodeRef }[] = [];
  #steps = 0;

  constructor(chains: CompiledChains, options: ReplayOptions) {
    this.#chains = chains;
    this.#options = options;
    this.#world = new ReplayWorld(options.start);
  }

  get isExhausted(): boolean {
    return this.#steps >= STEPS_MAX;
  }

  summary(): Pick<ReplaySummary, "nodes" | "waiting" | "problems"> {
    return { nodes: this.#counts.list(), waiting: this.#wakes.length, problems: this.#chains.problems };
  }

  async *wakeUntil(timeMs: number): AsyncGenerator<ReplayLine> {
    const { clock } = this.#options;
    for (let next = this.#takeDue(timeMs); next !== undefined && !this.isExhausted; next = this.#takeDue(timeMs)) {
      clock.timeMs = Math.max(clock.timeMs, next.atMs);
      yield* this.handle({ kind: "woken", node: next.node });
    }
    clock.timeMs = Math.max(clock.timeMs, timeMs);
  }

  #takeDue(timeMs: number): { readonly atMs: number; readonly node: NodeRef } | undefined {
    let first: { readonly atMs: number; readonly node: NodeRef } | undefined;
    for (const wake of this.#wakes)
      if (wake.atMs <= timeMs && (first === undefined || wake.atMs < first.atMs)) first = wake;
    this.#wakes = this.#wakes.filter((wake) => wake !== first);
    return first;
  }

  async *handle(first: ChainEvent): AsyncGenerator<ReplayLine> {
    const events: ChainEvent[] = [first];
    for (const event of events) {
      if (this.isExhausted) {
        yield { ts: this.#options.clock.timeMs, kind: "stopped", reason: `The replay ran ${STEPS_MAX} nodes` };
        return;
      }
      const failures: ChainStep[] = [];
      const ran = await this.#run(event, failures);
      const ts = this.#options.clock.timeMs;
      for (const { name, failure } of failures) yield { ts, kind: "failure", node: name, reason: failure ?? "" };
      for (const effect of ran.effects) {
        this.#world.perform(effect);
        if (effect.kind === "wake") this.#wakes.push(effect);
        else yield lineOf(ts, effect);
        if ("call" in effect) events.push({ kind: "answered", call: effect.call, answer: ASSUMED });
      }
      if (ran.stopped !== null) yield { ts, kind: "stopped", reason: ran.stopped };
    }
  }

  async #run(event: ChainEvent, failures: ChainStep[]) {
    const { clock, random, start } = this.#options;
    const ran = await runChains(
      this.#chains,
      { state: this.#state, event },
      {
        clock: { nowMs: () => clock.timeMs },
        random,
        reads: this.#world,
        tenant: start.tenant,
        observe: (step) => {
          this.#counts.add(step);
          if (step.failure !== null) failures.push(step);
        },
      },
    );
    this.#state = ran.state;
    this.#steps += ran.steps;
    return ran;
  }
}

const ASSUMED: CallAnswer = { ok: true, body: "{}", metadata: {} };

function lineOf(ts: number, effect: Exclude<ChainEffect, { kind: "wake" }>): ReplayLine {
  const { kind, ...members } = effect;
  const shown = Object.entries(members).filter(([name]) => name !== "call" && name !== "password");
  return { ts, kind, ...Object.fromEntries(shown.map(([name, value]) => [name, readable(name, value)])) };
}

/** Texts of JSON as what they are. */
function readable(name: string, value: unknown): unknown {
  if ((name === "params" || name === "body") && typeof value === "string") return parsed(value);
  if (name === "points") {
    return (value as SaveTelemetry["points"]).map(({ tsMs, values }) => ({ ts: tsMs, values: parsed(values) }));
  }
  if (name === "attributes") {
    const entries = (value as SaveAttributes["attributes"]).map(({ key, value: text }) => [key, parsed(text)] as const);
    return Object.fromEntries(entries);
  }
  return value;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return text;
  }
}
