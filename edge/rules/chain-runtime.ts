import { createUuid, type Uuid } from "../../shared/core/ids.ts";
import type { Change, EntityRef } from "../../shared/entities/change.ts";
import type { TelemetryRecord } from "../../shared/entities/telemetry.ts";
import type { Log } from "../../shared/observe/log.ts";
import { loadCel } from "../../shared/rules/cel.ts";
import { compileChains, type CompiledChains } from "../../shared/rules/chain/compile.ts";
import type { CallAnswer, ReplyRpc } from "../../shared/rules/chain/effects.ts";
import type { ChainMessage, NodeRef } from "../../shared/rules/chain/message.ts";
import { stateKey, type ChainEvent } from "../../shared/rules/chain/run.ts";
import type { ScriptSandbox } from "../../shared/rules/chain/sandbox.ts";
import type { OpenScriptSandbox } from "../../shared/runtime/script-sandbox.ts";
import type { StoreDeps } from "../../shared/store/store-deps.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { rpcOf, writeRpc, writeStoredEffects } from "../store/chain-effects.ts";
import { createChainReads } from "../store/chain-reads.ts";
import type { Decision, Stored, Written } from "../store/commit-rules.ts";
import {
  forgetCalls,
  forgetNode,
  putCalls,
  putNode,
  readCalls,
  readNodes,
  readSpeakers,
  type EdgeChains,
  type NodeMemory,
  type Speaker,
  type StoredCall,
} from "../store/rule-chain-store.ts";
import { ChainCalls, failed, type CallPorts } from "./chain-calls.ts";
import { occurrencesOf, telemetryOccurrence, type Occurrence } from "./chain-messages.ts";
import { ChainRound } from "./chain-round.ts";
import { ChainWatch } from "./chain-watch.ts";

// Runs the chains of an edge within its commits; loaded when a chain does more than store and send on what devices send.
//
// Invariant: what is kept in memory (what nodes remember, calls that wait) is what was committed. What a round changed is taken over by
// `committed`; of a round of which that is not called nothing is left but its events, which the next one gets again.

/** Calls that wait for their outcome, over all nodes. */
const CALLS_MAX = 1_000;
/** What came from outside and waits for a commit: answers and requests of devices. */
const EVENTS_MAX = 10_000;
/** Commits that may fail with an event before it is given up. */
const ATTEMPTS_MAX = 3;
/** A node whose commit failed is woken again then. */
const RETRY_MS = 1_000;
const SPEAKERS_MAX = 20_000;
const LOG_LENGTH_MAX = 1_000;

export interface ChainRuntimeDeps extends StoreDeps {
  readonly db: Queryable;
  readonly log: Log;
  readonly openScriptSandbox: OpenScriptSandbox;
  readonly ports: CallPorts;
  readonly onReply: (reply: ReplyRpc) => void;
  /** There is something for a commit to do. */
  readonly onDue: () => void;
}

/** Which chain gets what. */
export interface ChainRouting {
  matters(rootId: Uuid, type: string): boolean;
  /** Whether any chain has something to do with it. */
  mattersAnywhere(type: string): boolean;
  /** null: none. */
  rootOf(speaker: Speaker | null): Uuid | null;
}

interface Waiting {
  readonly event: ChainEvent;
  readonly rootId?: Uuid;
  /** The call that is over with it. */
  readonly callId?: Uuid;
  attempts: number;
}

export async function openChainRuntime(deps: ChainRuntimeDeps): Promise<ChainRuntime> {
  const runtime = new ChainRuntime(deps);
  await runtime.load();
  return runtime;
}

export class ChainRuntime {
  readonly #deps: ChainRuntimeDeps;
  readonly watch: ChainWatch;
  readonly #calls: ChainCalls;
  #chains: CompiledChains | null = null;
  #tenantId: Uuid | null = null;
  #routing: ChainRouting = { matters: () => false, mattersAnywhere: () => false, rootOf: () => null };
  #sandbox: Promise<ScriptSandbox> | undefined;
  readonly #outdated: Promise<ScriptSandbox>[] = [];
  #memory = new Map<string, NodeMemory>();
  /** Nodes that went with their chain, of which something is stored. */
  #gone = new Map<string, NodeRef>();
  readonly #open = new Set<Uuid>();
  /** Calls whose outcome could not be committed. */
  readonly #givenUp = new Set<Uuid>();
  #waiting: Waiting[] = [];
  /** Taken by a round of which nothing is known yet. */
  #taken: Waiting[] = [];
  readonly #speakers = new Map<Uuid, Speaker | null>();
  /** Of the last round it is not known whether it was committed: it may be under way. */
  #isUnknown = false;
  #isClosed = false;

  constructor(deps: ChainRuntimeDeps) {
    this.#deps = deps;
    const { clock, log, ports, random } = deps;
    this.watch = new ChainWatch({
      nowMs: () => clock.nowMs(),
      createId: () => createUuid(clock, random),
      onPaused: (node, reason) => log.warn("A node of a rule chain is paused", { ...node, reason }),
    });
    this.#calls = new ChainCalls({
      ports,
      nowMs: () => clock.nowMs(),
      onAnswer: (call, answer) => this.#answered(call, answer),
    });
  }

  async load(): Promise<void> {
    const { db } = this.#deps;
    for (const { chainId, nodeId, state, wakeMs } of await readNodes(db))
      this.#memory.set(stateKey({ chainId, nodeId }), { state, wakeMs });
    for (const call of await readCalls(db)) {
      this.#open.add(call.id);
      this.#calls.resume(call);
    }
  }

  /** These chains run from the next commit on. */
  async use({ rootId, sources, tenantId }: EdgeChains, routing: ChainRouting): Promise<void> {
    // The round under way may still use it, and those after it when the new chains can't be compiled.
    const before = this.#sandbox;
    this.#sandbox = undefined;
    const { clock, log, openScriptSandbox, random } = this.#deps;
    const nowMs = (): number => clock.nowMs();
    const sandbox = (): Promise<ScriptSandbox> => (this.#sandbox ??= openScriptSandbox({ nowMs, random }));
    const [anyId] = sources.keys();
    const firstId = rootId ?? anyId;
    if (firstId === undefined) {
      this.#chains = null;
    } else {
      try {
        this.#chains = await compileChains(firstId, [...sources.values()], { cel: loadCel, sandbox });
      } catch (thrown) {
        if (this.#sandbox !== undefined) disposeOf(this.#sandbox);
        this.#sandbox = before;
        throw thrown;
      }
      const problems = this.#chains.problems.filter(({ effect }) => effect === "unmapped");
      if (problems.length > 0) log.warn("Nodes of rule chains can't be run here", { problems: problems.slice(0, 20) });
    }
    if (before !== undefined) this.#outdated.push(before);
    this.#tenantId = tenantId;
    this.#routing = routing;
    this.watch.use(sources.values());
    this.#forgetGone();
    this.#waiting.unshift({ event: { kind: "started" }, attempts: 0 });
    this.#deps.onDue();
  }

  /** The round under way may end. */
  close(): void {
    this.#calls.stop();
    this.#isClosed = true;
    if (!this.#isUnknown) this.#dispose();
  }

  #dispose(): void {
    for (const sandbox of this.#outdated.splice(0)) disposeOf(sandbox);
    if (this.#sandbox !== undefined) disposeOf(this.#sandbox);
  }

  /** Changes were committed. */
  note(changes: readonly Change[]): void {
    for (const { entity, kind } of changes) {
      if (kind !== "entity-saved" && kind !== "entity-removed") continue;
      if (entity.type === "DEVICE_PROFILE" || entity.type === "ASSET_PROFILE") this.#speakers.clear();
      else this.#speakers.delete(entity.id);
    }
  }

  /** When a node wants to be woken first, or something waits; null: never. */
  dueInMs(): number | null {
    if (this.#waiting.length > 0) return 0;
    let first: number | null = null;
    for (const { wakeMs } of this.#memory.values())
      if (wakeMs !== null && (first === null || wakeMs < first)) first = wakeMs;
    return first === null ? null : Math.max(0, first - this.#deps.clock.nowMs());
  }

  /** Something that a device asks; in a commit soon. @returns false: too much waits */
  hear(occurrence: Occurrence, rootId: Uuid): boolean {
    if (this.#waiting.length >= EVENTS_MAX) return false;
    const message = this.#messageOf(occurrence, this.#speakers.get(occurrence.originator.id) ?? null);
    this.#waiting.push({ event: { kind: "message", message }, rootId, attempts: 0 });
    this.#deps.onDue();
    return true;
  }

  async decide(db: Queryable, stored: Stored): Promise<Decision> {
    if (this.#isUnknown) await this.#readBack(db);
    this.#takeBack();
    this.#isUnknown = true;
    for (const sandbox of this.#outdated.splice(0)) disposeOf(sandbox);
    const [chains, tenantId] = [this.#chains, this.#tenantId];
    if (chains === null || tenantId === null) {
      this.#waiting.length = 0;
      return this.#forgetting();
    }
    const records = this.#routing.mattersAnywhere("POST_TELEMETRY_REQUEST") ? stored.records : [];
    await this.#loadSpeakers(db, { changes: stored.changes, records });
    // What is decided while it is written is read within the transaction: the writer has one connection.
    const reading = { db };
    const overlay = new Map<Uuid, TelemetryRecord[]>();
    const { clock, log, random } = this.#deps;
    const see = (record: TelemetryRecord): void => {
      overlay.set(record.entityId, [...(overlay.get(record.entityId) ?? []).slice(-20), record]);
    };
    const unsettled = (id: Uuid): readonly TelemetryRecord[] => [
      ...stored.unsettled(new Set([id])),
      ...(overlay.get(id) ?? []),
    ];
    const round = new ChainRound({
      clock,
      random,
      tenantId,
      chains,
      reads: createChainReads({ db: () => reading.db, tenantId, unsettled }),
      memory: this.#memory,
      callsLeft: CALLS_MAX - this.#open.size,
      pausedBecause: (node) => this.watch.pausedBecause(node),
      observe: (step) => this.watch.step(step),
      onStopped: (reason) => log.warn("A rule chain was stopped", { reason }),
    });
    round.noteStored(stored.records, stored.changes);
    this.#taken = this.#takeWaiting();
    for (const { event, rootId } of this.#taken) await round.run(event, rootId);
    await this.#runChanges(round, stored.changes, { tenantId, isByRules: false });
    for (const record of records) {
      const speaker = this.#speakers.get(record.entityId) ?? null;
      if (speaker === null) continue;
      see(record);
      await this.#runOccurrence(
        round,
        telemetryOccurrence(record, { type: speaker.type, id: record.entityId }),
        speaker,
      );
    }
    const seeAll = (): void => {
      if (records.length === 0) stored.records.forEach(see);
    };
    return this.#decision(round, { tenantId, reading, seeAll });
  }

  #decision(round: ChainRound, { reading, seeAll, tenantId }: Deciding): Decision {
    const over = [...this.#givenUp, ...this.#taken.flatMap(({ callId }) => (callId === undefined ? [] : [callId]))];
    const answers: Waiting[] = [];
    const gone = [...this.#gone];
    const decided = round.records;
    const isEmpty = round.effects.length + round.calls.length + round.changed.size + over.length + gone.length === 0;
    return {
      records: decided,
      isEmpty,
      write: async (tx, earlier) => {
        round.records = [];
        reading.db = tx;
        if (earlier.length > 0) {
          seeAll();
          await this.#loadSpeakers(tx, { changes: earlier, records: [] });
        }
        await this.#runChanges(round, earlier, { tenantId, isByRules: true });
        return this.#write(tx, { round, tenantId, over, answers, gone });
      },
      committed: () => {
        this.#endRound();
        for (const [key] of gone) this.#gone.delete(key);
        for (const [key, memory] of round.changed) this.#remember(key, memory);
        for (const id of over) this.#open.delete(id);
        this.#givenUp.clear();
        this.#taken = [];
        this.#waiting.push(...answers);
        for (const { node, text } of round.logs)
          this.#deps.log.info("Rule chain", { ...node, text: text.slice(0, LOG_LENGTH_MAX) });
        for (const reply of round.replies) this.#deps.onReply(reply);
        const answered = new Set(answers.map(({ callId }) => callId));
        for (const call of round.calls) {
          this.#open.add(call.id);
          if (!answered.has(call.id)) this.#calls.start(call);
        }
        if (answers.length > 0 || round.changed.size > 0) this.#deps.onDue();
      },
    };
  }

  async #write(tx: Queryable, { answers, gone, over, round, tenantId }: Writing): Promise<Written> {
    const changes: Change[] = [...(await writeStoredEffects(tx, { ...this.#deps, tenantId }, round.effects))];
    for (const [, ref] of gone) await forgetNode(tx, ref);
    for (const [key, memory] of round.changed) {
      const ref = refOf(key);
      if (memory.state === undefined && memory.wakeMs === null) await forgetNode(tx, ref);
      else await putNode(tx, { ...ref, ...memory });
    }
    answers.length = 0;
    for (const call of round.calls) {
      const { effect, id } = call;
      if (effect.kind !== "send-rpc" || !effect.persistent) continue;
      const nowMs = this.#deps.clock.nowMs();
      const answer = await writeRpc(tx, rpcOf(id, effect, nowMs), nowMs).then(
        (made): CallAnswer => {
          changes.push(...made);
          return { ok: true, body: JSON.stringify({ rpcId: id }), metadata: {} };
        },
        (thrown: unknown): CallAnswer => failed(thrown instanceof Error ? thrown.message : String(thrown)),
      );
      answers.push({ event: { kind: "answered", call: effect.call, answer }, callId: id, attempts: 0 });
    }
    await putCalls(tx, round.calls);
    await forgetCalls(tx, over);
    return { changes, records: round.records };
  }

  /** No chain runs any more; what nodes remembered goes. */
  #forgetting(): Decision {
    const gone = [...this.#gone];
    return {
      records: [],
      isEmpty: gone.length === 0,
      write: async (tx) => {
        for (const [, ref] of gone) await forgetNode(tx, ref);
        return { changes: [], records: [] };
      },
      committed: () => {
        this.#endRound();
        for (const [key] of gone) this.#gone.delete(key);
      },
    };
  }

  async #runChanges(round: ChainRound, changes: readonly Change[], context: { tenantId: Uuid; isByRules: boolean }) {
    for (const change of changes) {
      for (const occurrence of occurrencesOf(change, { ...context, changes }))
        await this.#runOccurrence(round, occurrence, this.#speakers.get(occurrence.originator.id) ?? null);
    }
  }

  async #runOccurrence(round: ChainRound, occurrence: Occurrence, speaker: Speaker | null): Promise<void> {
    const rootId = this.#routing.rootOf(speaker);
    if (rootId === null || !this.#routing.matters(rootId, occurrence.type)) return;
    await round.run({ kind: "message", message: this.#messageOf(occurrence, speaker) }, rootId);
  }

  #messageOf({ data, metadata, originator, type }: Occurrence, speaker: Speaker | null): ChainMessage {
    const { clock, random } = this.#deps;
    const named =
      speaker === null
        ? {}
        : originator.type === "DEVICE"
          ? { deviceName: speaker.name, deviceType: speaker.profileName }
          : { entityName: speaker.name, entityType: speaker.type };
    return {
      id: createUuid(clock, random),
      type,
      originator,
      tsMs: Math.round(clock.nowMs()),
      data,
      metadata: { ...named, ...metadata },
      callers: [],
    };
  }

  speakerOf(id: Uuid): Speaker | null {
    return this.#speakers.get(id) ?? null;
  }

  async learn(db: Queryable, { id }: EntityRef): Promise<Speaker | null> {
    if (!this.#speakers.has(id)) this.#speakers.set(id, (await readSpeakers(db, [id])).get(id) ?? null);
    return this.speakerOf(id);
  }

  async #loadSpeakers(db: Queryable, { changes, records }: Pick<Stored, "changes" | "records">): Promise<void> {
    const ids = new Set<Uuid>();
    for (const { entityId } of records) if (!this.#speakers.has(entityId)) ids.add(entityId);
    for (const change of changes) {
      // What is new, or has another name, is read with this very commit.
      const isEntity = change.kind === "entity-saved";
      const { id } = "originator" in change ? change.originator : change.entity;
      if (isEntity || !this.#speakers.has(id)) ids.add(id);
    }
    if (ids.size === 0) return;
    const found = await readSpeakers(db, [...ids]);
    for (const id of ids) this.#speakers.set(id, found.get(id) ?? null);
    for (const id of this.#speakers.keys()) {
      if (this.#speakers.size <= SPEAKERS_MAX) return;
      if (!ids.has(id)) this.#speakers.delete(id);
    }
  }

  #answered({ effect, id }: StoredCall, answer: CallAnswer): void {
    this.#waiting.push({ event: { kind: "answered", call: effect.call, answer }, callId: id, attempts: 0 });
    this.#deps.onDue();
  }

  #takeWaiting(): Waiting[] {
    const taken = this.#waiting.splice(0, EVENTS_MAX);
    const nowMs = this.#deps.clock.nowMs();
    for (const [key, { wakeMs }] of this.#memory)
      if (wakeMs !== null && wakeMs <= nowMs)
        taken.push({ event: { kind: "woken", node: refOf(key) }, attempts: ATTEMPTS_MAX });
    return taken;
  }

  #endRound(): void {
    this.#isUnknown = false;
    if (this.#isClosed) this.#dispose();
  }

  /** The commit before may be on the disk though nobody heard of it. */
  async #readBack(db: Queryable): Promise<void> {
    const [nodes, calls] = [await readNodes(db), await readCalls(db)];
    this.#memory = new Map();
    for (const { chainId, nodeId, state, wakeMs } of nodes)
      this.#remember(stateKey({ chainId, nodeId }), { state, wakeMs });
    const stored = new Set(calls.map(({ id }) => id));
    this.#taken = this.#taken.filter(({ callId }) => callId === undefined || stored.has(callId));
    for (const id of this.#open) if (!stored.has(id)) this.#open.delete(id);
    for (const call of calls) {
      if (this.#open.has(call.id)) continue;
      this.#open.add(call.id);
      this.#calls.resume(call);
    }
    this.#deps.onDue();
  }

  /** The round before was not committed. */
  #takeBack(): void {
    const again: Waiting[] = [];
    for (const waiting of this.#taken) {
      waiting.attempts += 1;
      const { attempts, callId, event } = waiting;
      if (event.kind === "woken") this.#putOff(stateKey(event.node));
      else if (attempts <= ATTEMPTS_MAX) again.push(waiting);
      else if (callId !== undefined) this.#givenUp.add(callId);
    }
    this.#taken = [];
    this.#waiting.unshift(...again);
  }

  /** Whatever keeps its commits from the disk may do so the next time, too. */
  #putOff(key: string): void {
    const memory = this.#memory.get(key);
    const nowMs = this.#deps.clock.nowMs();
    if (memory === undefined || memory.wakeMs === null || memory.wakeMs > nowMs) return;
    this.#memory.set(key, { ...memory, wakeMs: nowMs + RETRY_MS });
  }

  #forgetGone(): void {
    const before = this.#memory;
    this.#memory = new Map();
    for (const [key, memory] of before) this.#remember(key, memory);
  }

  /** Its chain may have changed while the commit was under way. */
  #remember(key: string, memory: NodeMemory): void {
    const ref = refOf(key);
    if (this.#chains?.chains.get(ref.chainId)?.nodes.has(ref.nodeId) === true) this.#memory.set(key, memory);
    else this.#gone.set(key, ref);
  }
}

interface Deciding {
  readonly tenantId: Uuid;
  /** What the reads of the round go to. */
  readonly reading: { db: Queryable };
  /** Has them find what came, where no chain gets it as messages. */
  readonly seeAll: () => void;
}

interface Writing {
  readonly round: ChainRound;
  readonly tenantId: Uuid;
  /** Calls that are over. */
  readonly over: readonly Uuid[];
  readonly answers: Waiting[];
  readonly gone: readonly (readonly [key: string, ref: NodeRef])[];
}

/** One that could not be opened needs no end. */
function disposeOf(sandbox: Promise<ScriptSandbox>): void {
  sandbox.then(
    (opened) => opened[Symbol.dispose](),
    () => undefined,
  );
}

/** Of a `stateKey`. */
function refOf(key: string): NodeRef {
  const [chainId = "", nodeId = ""] = key.split("/");
  return { chainId: chainId as Uuid, nodeId: nodeId as Uuid }; // made of such two
}
