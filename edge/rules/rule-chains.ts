import { WakeUp } from "../../shared/core/deferred.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { TokenBuckets } from "../../shared/core/token-buckets.ts";
import type { Change } from "../../shared/entities/change.ts";
import type { CanonicalJson, TelemetryRecord } from "../../shared/entities/telemetry.ts";
import type { Log } from "../../shared/observe/log.ts";
import { databaseError } from "../../shared/postgres/connect.ts";
import { reachOf, worksAlone, type Reach } from "../../shared/rules/chain/reach.ts";
import type { OpenScriptSandbox } from "../../shared/runtime/script-sandbox.ts";
import type { StoreDeps } from "../../shared/store/store-deps.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import type { AuthenticatedDevice } from "../devices/ports.ts";
import type { DeviceQuestion, QuestionAnswerer } from "../devices/rpc-ports.ts";
import type { CommitRules, Decision, DueCommits, Stored } from "../store/commit-rules.ts";
import { NOTHING_DECIDED } from "../store/commit-rules.ts";
import { readEdgeChains, type EdgeChains, type Speaker } from "../store/rule-chain-store.ts";
import type { CallPorts } from "./chain-calls.ts";
import type { ChainRuntime } from "./chain-runtime.ts";
import type { DebugEvent, NodeStatus } from "./chain-watch.ts";
import { OCCURRENCE_TYPES } from "./occurrence-types.ts";

// Rule chains of the edge. Which types of messages a chain does anything with is looked up in its nodes (shared/rules/chain/reach.ts);
// the engine is loaded when there is one. Chains that change run from the next commit on.

const RETRY_MS = 1_000;
/** The wall clock may be set: wakes are looked for again so often at least. */
const LOOK_EVERY_MS = 60_000;
/** Commits that follow from a commit that rules asked for: rules that drive each other would ask for them without an end. */
const FOLLOWING = { burst: 100, perS: 10 };

export interface RuleChainsDeps extends StoreDeps {
  readonly db: Queryable;
  readonly log: Log;
  readonly openScriptSandbox: OpenScriptSandbox;
}

export interface RuleChains extends CommitRules, QuestionAnswerer {
  /** Changes were committed, by whomever. */
  note(changes: readonly Change[]): void;
  /** What the cloud sets for the edge was committed. */
  noteSettings(): void;
  /** There is something for a commit to look at. What follows from what rules did alone waits when there is much of it. */
  wake(): void;
  /** How what chains ask for outside is made; before that it waits. */
  connect(ports: CallPorts): void;
  /** Has what waits done in commits, until `signal` aborts. */
  run(commits: DueCommits, signal: AbortSignal): Promise<void>;
  /** The nodes that run, and what they did since the chains were changed last. */
  nodes(): readonly NodeStatus[];
  /** Messages at a node that is debugged, or at all nodes of a chain, the newest first. */
  debugEvents(id: Uuid): readonly DebugEvent[];
  forgetDebugEvents(id: Uuid): void;
}

export async function openRuleChains(deps: RuleChainsDeps): Promise<RuleChains> {
  const chains = new EdgeRuleChains(deps);
  await chains.read();
  return chains;
}

class EdgeRuleChains implements RuleChains {
  readonly #deps: RuleChainsDeps;
  readonly #ports = Promise.withResolvers<CallPorts>();
  readonly #wakeUp = new WakeUp();
  readonly #replies = new Map<string, (answer: CanonicalJson) => void>();
  #chains: EdgeChains | null = null;
  #reaches = new Map<string, Reach>();
  #runtime: ChainRuntime | null = null;
  #reading: Promise<void> | null = null;
  #isWanted = false;
  #requests = 0;
  readonly #following: TokenBuckets;
  /** It runs no more. */
  readonly #stop = new AbortController();
  /** When a commit is due that somebody asked for, as `monotonicMs`. */
  #dueMs: number | null = null;
  /** A commit that was asked for here is under way. */
  #isCommitting = false;
  #isWarned = false;
  #revision = 0;

  constructor(deps: RuleChainsDeps) {
    this.#deps = deps;
    this.#following = new TokenBuckets(deps.clock, FOLLOWING);
  }

  get isIdle(): boolean {
    return this.#runtime === null && this.#reading === null;
  }

  note(changes: readonly Change[]): void {
    this.#runtime?.note(changes);
    const isConcerned = changes.some(
      ({ entity, kind }) => (kind === "entity-saved" || kind === "entity-removed") && OF_CHAINS.has(entity.type),
    );
    if (isConcerned) this.#readAgain();
  }

  noteSettings(): void {
    this.#readAgain();
  }

  get revision(): number {
    return this.#revision;
  }

  wake(): void {
    if (this.#dueMs !== null) return;
    const { clock, log } = this.#deps;
    const inMs = this.#isCommitting ? this.#following.charge("", 1) : 0;
    this.#dueMs = clock.monotonicMs() + inMs;
    this.#wakeUp.signal();
    if (inMs === 0 || this.#isWarned) return;
    this.#isWarned = true;
    log.warn("Alarm rules and rule chains drive each other; they are slowed down", FOLLOWING);
  }

  connect(ports: CallPorts): void {
    this.#ports.resolve(ports);
  }

  isUrgent(records: readonly TelemetryRecord[]): boolean {
    const runtime = this.#runtime;
    if (runtime === null) return false;
    return records.some(({ entityId }) => {
      const rootId = this.#rootOf(runtime.speakerOf(entityId));
      return rootId !== null && this.#reach(rootId, "POST_TELEMETRY_REQUEST").isUrgent;
    });
  }

  async decide(db: Queryable, stored: Stored): Promise<Decision> {
    while (this.#reading !== null) await this.#reading;
    return this.#runtime === null ? NOTHING_DECIDED : this.#runtime.decide(db, stored);
  }

  answer(device: AuthenticatedDevice, question: DeviceQuestion): Promise<CanonicalJson> | undefined {
    const runtime = this.#runtime;
    if (runtime === null) return undefined;
    const rootId = this.#rootOf({ type: "DEVICE", name: "", profileName: "", profileId: device.profileId ?? null });
    if (rootId === null || !this.#reach(rootId, "TO_SERVER_RPC_REQUEST").matters) return undefined;
    return this.#ask(runtime, { device, question, rootId });
  }

  async #ask(
    runtime: ChainRuntime,
    { device, question, rootId }: { device: AuthenticatedDevice; question: DeviceQuestion; rootId: Uuid },
  ): Promise<CanonicalJson> {
    const { clock, db } = this.#deps;
    const originator = { type: "DEVICE", id: device.deviceId };
    await runtime.learn(db, originator);
    this.#requests += 1;
    const requestId = this.#requests;
    const key = `${device.deviceId} ${requestId}`;
    const { promise, resolve } = Promise.withResolvers<CanonicalJson>();
    this.#replies.set(key, resolve);
    const over = new AbortController();
    // Whoever asked has his own limit of time, which is shorter.
    void clock
      .sleep(ANSWER_WITHIN_MS, over.signal)
      .then(() => this.#replies.delete(key))
      .catch(() => undefined);
    const data = `{"method":${JSON.stringify(question.method)},"params":${question.params}}`;
    const metadata = { requestId: String(requestId) };
    runtime.hear({ type: "TO_SERVER_RPC_REQUEST", originator, data, metadata }, rootId);
    return promise.finally(() => over.abort());
  }

  async run(commits: DueCommits, signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#deps;
    while (!signal.aborted) {
      await this.#waitForDue(signal);
      if (signal.aborted) break;
      this.#dueMs = null;
      this.#isCommitting = true;
      try {
        await commits.commitDue();
      } catch (thrown) {
        this.#dueMs = clock.monotonicMs();
        log.warn("Rule chains could not go on; it is tried again", { error: databaseError(thrown) });
        await clock.sleep(RETRY_MS, signal).catch(() => undefined);
      } finally {
        this.#isCommitting = false;
      }
    }
    this.#stop.abort();
    this.#runtime?.close();
  }

  nodes(): readonly NodeStatus[] {
    return this.#runtime?.watch.nodes() ?? [];
  }

  debugEvents(id: Uuid): readonly DebugEvent[] {
    return this.#runtime?.watch.events(id) ?? [];
  }

  forgetDebugEvents(id: Uuid): void {
    this.#runtime?.watch.forgetEvents(id);
  }

  /** Loads the engine when a chain needs it, and has it run what is stored now. */
  async read(): Promise<void> {
    const chains = await readEdgeChains(this.#deps.db);
    const before = this.#chains;
    this.#chains = chains;
    if (before !== null && textOf(before) === textOf(chains)) return;
    try {
      await this.#use(chains);
    } catch (thrown) {
      this.#chains = before;
      this.#reaches = new Map();
      throw thrown;
    }
  }

  async #use(chains: EdgeChains): Promise<void> {
    const { clock, db, log, openScriptSandbox, random } = this.#deps;
    this.#isWarned = false;
    this.#revision += 1;
    this.#reaches = new Map();
    if (!this.#needsEngine(chains)) {
      this.#runtime?.close();
      this.#runtime = null;
      return;
    }
    const { openChainRuntime } = await import("./chain-runtime.ts");
    const ports = this.#ports.promise;
    this.#runtime ??= await openChainRuntime({
      db,
      log,
      clock,
      random,
      openScriptSandbox,
      ports: {
        callDevice: async (record) => (await ports).callDevice(record),
        callHttp: async (call, signal) => (await ports).callHttp(call, signal),
        publishMqtt: async (publication, signal) => (await ports).publishMqtt(publication, signal),
      },
      onReply: ({ body, device, requestId }) => this.#reply(`${device.id} ${requestId}`, body as CanonicalJson), // JSON
      onDue: () => this.#wakeUp.signal(),
    });
    await this.#runtime.use(chains, {
      matters: (rootId, type) => this.#reach(rootId, type).matters,
      mattersAnywhere: (type) => this.#roots().some((rootId) => this.#reach(rootId, type).matters),
      rootOf: (speaker) => this.#rootOf(speaker),
    });
  }

  #reply(key: string, body: CanonicalJson): void {
    this.#replies.get(key)?.(body);
    this.#replies.delete(key);
  }

  #needsEngine({ sources }: EdgeChains): boolean {
    if (sources.values().some(worksAlone)) return true;
    return this.#roots().some((root) => OCCURRENCE_TYPES.some((type) => this.#reach(root, type).matters));
  }

  #roots(): readonly Uuid[] {
    const { rootId, rootOfProfile } = this.#chains ?? NO_CHAINS;
    return [...new Set([...(rootId === null ? [] : [rootId]), ...rootOfProfile.values()])];
  }

  #reach(rootId: Uuid, type: string): Reach {
    const key = `${rootId} ${type}`;
    const known = this.#reaches.get(key);
    if (known !== undefined) return known;
    const reach = reachOf(rootId, type, this.#chains?.sources ?? new Map());
    this.#reaches.set(key, reach);
    return reach;
  }

  #rootOf(speaker: Speaker | null): Uuid | null {
    const { rootId, rootOfProfile, sources } = this.#chains ?? NO_CHAINS;
    const own = speaker?.profileId === null || speaker === null ? undefined : rootOfProfile.get(speaker.profileId);
    return own !== undefined && sources.has(own) ? own : rootId;
  }

  #readAgain(): void {
    this.#isWanted = true;
    const before = this.#reading;
    const mine = (async (): Promise<void> => {
      await before;
      if (!this.#isWanted) return;
      this.#isWanted = false;
      try {
        await this.read();
      } catch (thrown) {
        const { clock, log } = this.#deps;
        log.warn("Rule chains could not be read again; it is tried again", { error: thrown });
        const { signal } = this.#stop;
        void clock.sleep(RETRY_MS, signal).then(
          () => this.#readAgain(),
          () => undefined,
        );
      }
    })().finally(() => {
      if (this.#reading === mine) this.#reading = null;
    });
    this.#reading = mine;
  }

  /** null: nothing is due. */
  #dueInMs(): number | null {
    const inMs = this.#runtime?.dueInMs() ?? null;
    if (this.#dueMs === null) return inMs;
    const askedInMs = Math.max(0, this.#dueMs - this.#deps.clock.monotonicMs());
    return inMs === null ? askedInMs : Math.min(inMs, askedInMs);
  }

  async #waitForDue(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const inMs = this.#dueInMs();
      if (inMs === 0) return;
      const over = new AbortController();
      const either = AbortSignal.any([signal, over.signal]);
      const waits = [this.#wakeUp.wait(either)];
      if (inMs !== null) waits.push(this.#deps.clock.sleep(Math.min(inMs, LOOK_EVERY_MS), either));
      await Promise.race(waits).catch(() => undefined);
      over.abort();
      await Promise.allSettled(waits);
    }
  }
}

/** Chains with the same run the same. */
function textOf({ rootId, rootOfProfile, sources, tenantId }: EdgeChains): string {
  return JSON.stringify([tenantId, rootId, [...rootOfProfile], [...sources.values()]]);
}

const ANSWER_WITHIN_MS = 120_000;
const NO_CHAINS: Pick<EdgeChains, "rootId" | "rootOfProfile" | "sources"> = {
  rootId: null,
  rootOfProfile: new Map(),
  sources: new Map(),
};
const OF_CHAINS: ReadonlySet<string> = new Set(["RULE_CHAIN", "DEVICE_PROFILE", "ASSET_PROFILE"]);
