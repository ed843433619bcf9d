import { createUuid, type Uuid } from "../../shared/core/ids.ts";
import { createSeededRandom } from "../../shared/core/random.ts";
import { readMetadata, type ChainMetadata } from "../../shared/entities/rule-chain-metadata.ts";
import { loadCel } from "../../shared/rules/cel.ts";
import { compileChains, type ChainSource, type CompiledChains } from "../../shared/rules/chain/compile.ts";
import type { ChainEffect } from "../../shared/rules/chain/effects.ts";
import type { ChainMessage } from "../../shared/rules/chain/message.ts";
import type { Languages } from "../../shared/rules/chain/node-kind.ts";
import { ReplayWorld, type ReplayStart } from "../../shared/rules/chain/replay-world.ts";
import { runChains, type ChainEvent, type ChainState, type ChainStep } from "../../shared/rules/chain/run.ts";
import type { ScriptSandbox } from "../../shared/rules/chain/sandbox.ts";
import { openScriptSandbox } from "../../shared/runtime/script-sandbox.ts";

const ENGINE = "org.thingsboard.rule.engine";
const random = createSeededRandom(7);
const newId = (): Uuid => createUuid({ nowMs: () => 0 }, random);

export const DEVICE = { type: "DEVICE", id: newId() };
export const TENANT = { type: "TENANT", id: newId() };

export interface NodeSketch {
  readonly name: string;
  readonly type: string;
  readonly configuration?: Readonly<Record<string, unknown>>;
}

/** @param connections `[from, label, to]` by name; the first node is the first one of the list */
export function chainOf(
  nodes: readonly NodeSketch[],
  connections: readonly (readonly [string, string, string])[] = [],
  id = newId(),
): ChainSource {
  const index = (name: string): number => nodes.findIndex((node) => node.name === name);
  const metadata: ChainMetadata = {
    ...readMetadata({}),
    firstNodeIndex: nodes.length === 0 ? null : 0,
    nodes: nodes.map(({ name, type, configuration }) => ({
      id: newId(),
      createdMs: 0,
      type: type.startsWith("org.") ? type : `${ENGINE}.${type}`,
      name,
      debugSettings: null,
      singletonMode: false,
      queueName: null,
      configurationVersion: 0,
      configuration: JSON.parse(JSON.stringify(configuration ?? {})) as ChainMetadata["nodes"][number]["configuration"],
      additionalInfo: null,
    })),
    connections: connections.map(([from, type, to]) => ({ fromIndex: index(from), toIndex: index(to), type })),
  };
  return { id, name: "Chain", metadata };
}

export function messageOf(data: unknown, changes: Partial<ChainMessage> = {}): ChainMessage {
  return {
    id: newId(),
    type: "POST_TELEMETRY_REQUEST",
    originator: DEVICE,
    tsMs: 1_000,
    data: typeof data === "string" ? data : JSON.stringify(data),
    metadata: {},
    callers: [],
    ...changes,
  };
}

/** Runs chains in memory, with a clock that is moved by hand. */
export class ChainBed {
  readonly steps: ChainStep[] = [];
  readonly world: ReplayWorld;
  nowMs = 1_000;
  #state: ChainState = new Map();
  readonly #chains: CompiledChains;

  constructor(chains: CompiledChains, start: Partial<ReplayStart> = {}) {
    this.#chains = chains;
    this.world = new ReplayWorld({ tenant: TENANT, entities: new Map(), attributes: [], ...start });
  }

  get problems() {
    return this.#chains.problems;
  }

  async handle(event: ChainEvent) {
    const ran = await runChains(
      this.#chains,
      // What nodes remember has to survive a restart.
      { state: new Map(JSON.parse(JSON.stringify([...this.#state])) as [string, unknown][]), event },
      {
        clock: { nowMs: () => this.nowMs },
        random,
        reads: this.world,
        tenant: TENANT,
        observe: (step) => this.steps.push(step),
      },
    );
    this.#state = ran.state;
    for (const effect of ran.effects) this.world.perform(effect);
    return ran;
  }

  async send(data: unknown, changes: Partial<ChainMessage> = {}): Promise<readonly ChainEffect[]> {
    return (await this.handle({ kind: "message", message: messageOf(data, changes) })).effects;
  }

  /** What the last step with this name gave, as `label: data`. */
  outputs(name: string): readonly string[] {
    const step = this.steps.findLast((candidate) => candidate.name === name);
    return step?.outputs.map(({ label, message }) => `${label}: ${message.data}`) ?? [];
  }
}

let shared: Promise<ScriptSandbox> | undefined;

/** One machine for all tests of a process. */
export const LANGUAGES: Languages = {
  cel: loadCel,
  sandbox: () => (shared ??= openScriptSandbox({ nowMs: () => 5_000, random: createSeededRandom(3) })),
};

export async function bedOf(sources: readonly ChainSource[], start: Partial<ReplayStart> = {}): Promise<ChainBed> {
  const [root] = sources;
  if (root === undefined) throw new Error("a chain is needed");
  return new ChainBed(await compileChains(root.id, sources, LANGUAGES), start);
}

/** A bed with one node under test, named "node". */
export function bedOfNode(
  type: string,
  configuration: Readonly<Record<string, unknown>>,
  start: Partial<ReplayStart> = {},
) {
  return bedOf([chainOf([{ name: "node", type, configuration }])], start);
}
