import type { Clock } from "../../shared/core/clock.ts";
import { createUuid, type Uuid } from "../../shared/core/ids.ts";
import type { Random } from "../../shared/core/random.ts";
import type { Change, EntityRef } from "../../shared/entities/change.ts";
import type { TelemetryRecord } from "../../shared/entities/telemetry.ts";
import { readAttributes, readTelemetry } from "../../shared/entities/values.ts";
import type { CompiledChains } from "../../shared/rules/chain/compile.ts";
import type { CallAnswer, ChainEffect, PushToCloud, ReplyRpc, WriteLog } from "../../shared/rules/chain/effects.ts";
import { timeOf } from "../../shared/rules/chain/message.ts";
import { readsWithEffects, type ChainReads } from "../../shared/rules/chain/reads.ts";
import { runChains, stateKey, type ChainEvent, type ChainStep } from "../../shared/rules/chain/run.ts";
import type { StoredEffect } from "../store/chain-effects.ts";
import type { NodeMemory, StoredCall } from "../store/rule-chain-store.ts";
import { failed } from "./chain-calls.ts";

// What chains do with all that happened in one commit. Nothing of it is there before the commit is.

export interface RoundPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly tenantId: Uuid;
  readonly chains: CompiledChains;
  readonly reads: ChainReads;
  /** What nodes remember, by `stateKey`. */
  readonly memory: ReadonlyMap<string, NodeMemory>;
  /** Calls that may be asked for yet. */
  readonly callsLeft: number;
  readonly pausedBecause: (node: ChainStep["node"]) => string | null;
  readonly observe: (step: ChainStep) => void;
  readonly onStopped: (reason: string) => void;
}

/** Events that the chains make for themselves in one commit. */
const FOLLOWING_MAX = 1_000;
/** Work on events without a pause. */
const BUSY_MS_MAX = 20;

export class ChainRound {
  readonly #ports: RoundPorts;
  readonly #reads: ChainReads;
  readonly #stored = new Set<string>();
  readonly #byEntity = new Map<Uuid, ChainEffect[]>();
  readonly #state: Map<string, unknown>;
  /** When others had their turn last. */
  #pausedMs: number;
  readonly changed = new Map<string, NodeMemory>();
  records: TelemetryRecord[] = [];
  readonly effects: StoredEffect[] = [];
  readonly calls: StoredCall[] = [];
  readonly logs: WriteLog[] = [];
  readonly replies: ReplyRpc[] = [];

  constructor(ports: RoundPorts) {
    this.#ports = ports;
    this.#pausedMs = ports.clock.monotonicMs();
    this.#reads = this.#readsOfRound();
    this.#state = new Map(Array.from(ports.memory, ([key, { state }]) => [key, state]));
  }

  /** Stored without a chain: what says the same is not stored again. */
  noteStored(records: readonly TelemetryRecord[], changes: readonly Change[]): void {
    for (const { entityId, tsMs, values } of records) this.#stored.add(telemetryKey(entityId, tsMs, values));
    for (const change of changes) {
      if (change.kind !== "attributes-saved") continue;
      for (const { key, value } of change.attributes)
        this.#stored.add(attributeKey(change.entity.id, change.scope, key, value));
    }
  }

  /** @param rootId the chain that gets the message */
  async run(event: ChainEvent, rootId?: Uuid): Promise<void> {
    await this.#letOthersWork();
    const events: { readonly event: ChainEvent; readonly rootId?: Uuid | undefined }[] = [{ event, rootId }];
    for (const next of events) {
      for (const answered of await this.#runOne(next.event, next.rootId)) {
        if (events.length < FOLLOWING_MAX) events.push({ event: answered });
      }
    }
  }

  /** Scripts run without a pause, and devices, the link and people are served by the same thread. */
  async #letOthersWork(): Promise<void> {
    const { clock } = this.#ports;
    if (clock.monotonicMs() - this.#pausedMs < BUSY_MS_MAX) return;
    await clock.yield();
    this.#pausedMs = clock.monotonicMs();
  }

  /** @returns what follows at once */
  async #runOne(event: ChainEvent, rootId: Uuid | undefined): Promise<readonly ChainEvent[]> {
    const { chains, clock, observe, pausedBecause, random, tenantId } = this.#ports;
    const before = this.#state;
    const started = rootId === undefined ? chains : { ...chains, rootId };
    const ran = await runChains(
      started,
      { state: before, event },
      { clock, random, reads: this.#reads, tenant: { type: "TENANT", id: tenantId }, observe, pausedBecause },
    );
    if (event.kind === "woken") this.#setWake(stateKey(event.node), null);
    for (const [key, state] of ran.state) {
      if (before.get(key) === state) continue;
      before.set(key, state);
      this.changed.set(key, { state, wakeMs: this.#memoryOf(key).wakeMs });
    }
    if (ran.stopped !== null) this.#ports.onStopped(ran.stopped);
    return ran.effects.flatMap((effect) => this.#perform(effect));
  }

  #perform(effect: ChainEffect): readonly ChainEvent[] {
    switch (effect.kind) {
      case "save-telemetry":
        for (const { keySet, tsMs, values } of effect.points)
          this.#derive({ entityId: effect.entity.id, tsMs, values, keySet });
        return [];
      case "save-attributes":
        this.#saveAttributes(effect);
        return [];
      case "delete-attributes":
      case "raise-alarm":
      case "clear-alarm":
        this.#store(effect, effect.kind === "delete-attributes" ? effect.entity : effect.originator);
        return [];
      case "push-to-cloud":
        this.#push(effect);
        return [];
      case "send-rpc":
      case "call-http":
      case "publish-mqtt": {
        if (this.calls.length < this.#ports.callsLeft) {
          this.calls.push({ id: createUuid(this.#ports.clock, this.#ports.random), effect });
          return [];
        }
        const answer: CallAnswer = failed("Too many calls of rule chains wait for their answers");
        return [{ kind: "answered", call: effect.call, answer }];
      }
      case "reply-rpc":
        this.replies.push(effect);
        return [];
      case "log":
        this.logs.push(effect);
        return [];
      case "wake": {
        const key = stateKey(effect.node);
        const { wakeMs } = this.#memoryOf(key);
        this.#setWake(key, wakeMs === null ? effect.atMs : Math.min(wakeMs, effect.atMs));
        return [];
      }
      default:
        return effect satisfies never;
    }
  }

  #memoryOf(key: string): NodeMemory {
    return this.changed.get(key) ?? this.#ports.memory.get(key) ?? { state: undefined, wakeMs: null };
  }

  #setWake(key: string, wakeMs: number | null): void {
    const memory = this.#memoryOf(key);
    if (memory.wakeMs !== wakeMs) this.changed.set(key, { ...memory, wakeMs });
  }

  #derive(record: TelemetryRecord): void {
    const key = telemetryKey(record.entityId, record.tsMs, record.values);
    if (this.#stored.has(key)) return;
    this.#stored.add(key);
    this.records.push(record);
  }

  #saveAttributes(effect: Extract<ChainEffect, { kind: "save-attributes" }>): void {
    const { entity, scope } = effect;
    const attributes = effect.attributes.filter(
      ({ key, value }) => !this.#stored.has(attributeKey(entity.id, scope, key, value)),
    );
    if (attributes.length > 0) this.#store({ ...effect, attributes }, entity);
  }

  /** What is stored goes to the cloud: what is not stored yet is. */
  #push({ message, scope }: PushToCloud): void {
    const { data, originator, type } = message;
    const tsMs = timeOf(message);
    if (type === "POST_TELEMETRY_REQUEST") {
      for (const point of readTelemetry(data, { nowMs: tsMs, nulls: "skip" }))
        this.#derive({ entityId: originator.id, ...point });
    } else if (type === "POST_ATTRIBUTES_REQUEST" || type === "ATTRIBUTES_UPDATED") {
      const attributes = readAttributes(data, { nulls: "skip" });
      const isSaid = type === "POST_ATTRIBUTES_REQUEST" && scope === "SERVER_SCOPE";
      const sent = {
        kind: "save-attributes",
        entity: originator,
        tsMs,
        notifyDevice: false,
        onlyChanged: true,
      } as const;
      const named = message.metadata["scope"];
      const known = named === "SHARED_SCOPE" || named === "CLIENT_SCOPE" || named === "SERVER_SCOPE" ? named : scope;
      this.#saveAttributes({ ...sent, attributes, scope: isSaid ? "CLIENT_SCOPE" : known });
    }
  }

  #store(effect: StoredEffect, entity: EntityRef): void {
    this.effects.push(effect);
    this.#byEntity.set(entity.id, [...(this.#byEntity.get(entity.id) ?? []), effect]);
  }

  /** Runs of one commit see what those before them want done. */
  #readsOfRound(): ChainReads {
    const { reads } = this.#ports;
    const seen = (id: Uuid): ChainReads => readsWithEffects(reads, this.#byEntity.get(id) ?? NO_EFFECTS);
    return {
      latest: (entity, keys) => reads.latest(entity, keys),
      entity: (entity) => reads.entity(entity),
      entityByName: (type, name) => reads.entityByName(type, name),
      related: (entity, query, limit) => reads.related(entity, query, limit),
      attributes: (entity, scope, keys) => seen(entity.id).attributes(entity, scope, keys),
      activeAlarm: (originator, type) => seen(originator.id).activeAlarm(originator, type),
    };
  }
}

const NO_EFFECTS: readonly ChainEffect[] = [];

function telemetryKey(entityId: Uuid, tsMs: number, values: string): string {
  return `${entityId} ${tsMs} ${values}`;
}

function attributeKey(entityId: Uuid, scope: string, key: string, value: string): string {
  return `${entityId} ${scope} ${key} ${value}`;
}
