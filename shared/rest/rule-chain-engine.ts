import type { Clock } from "../core/clock.ts";
import { AppError } from "../core/errors.ts";
import type { Uuid } from "../core/ids.ts";
import { createSeededRandom } from "../core/random.ts";
import type { EntityRecord, Json } from "../entities/entity-record.ts";
import { chainsOf, readMetadata } from "../entities/rule-chain-metadata.ts";
import { loadCel } from "../rules/cel.ts";
import { compileChains, type ChainProblem, type ChainSource } from "../rules/chain/compile.ts";
import { messageOf } from "../rules/chain/history-csv.ts";
import type { ChainMessage } from "../rules/chain/message.ts";
import { keyOf } from "../rules/chain/replay-world.ts";
import { replay, type ReplayLine } from "../rules/chain/replay.ts";
import type { ScriptSandbox } from "../rules/chain/sandbox.ts";
import type { OpenScriptSandbox } from "../runtime/script-sandbox.ts";
import { readAttributeRows } from "../store/attribute-store.ts";
import { findEntity } from "../store/entity-store.ts";
import { readHistory } from "../store/telemetry-history.ts";
import { listTelemetryKeys } from "../store/telemetry-store.ts";
import type { Queryable } from "../store/unit-of-work.ts";

// What the routes of rule chains do with the engine; loaded with the first call, as few sites make one.

const SEED = 1;
/** Chains that one leads to. */
const CHAINS_MAX = 100;
/** Recorded messages of a test, and lines of its answer. */
const MESSAGES_MAX = 10_000;
const LINES_MAX = 10_000;
const TEST_MS_MAX = 10_000;
/** How long a test keeps everybody else waiting at a time. */
const SLICE_MS = 10;

export interface EngineDeps {
  readonly db: Queryable;
  readonly clock: Clock;
  readonly openScriptSandbox: OpenScriptSandbox;
}

/** What of a chain, and of those that it leads to, can't be mapped or works otherwise. */
export async function chainProblems(deps: EngineDeps, chain: EntityRecord): Promise<readonly ChainProblem[]> {
  const { sandbox, languages } = languagesOf(deps, () => deps.clock.nowMs());
  try {
    return (await compileChains(chain.id, await loadChains(deps.db, chain), languages)).problems;
  } finally {
    await sandbox.close();
  }
}

export interface ChainTest {
  readonly chain: EntityRecord;
  readonly device: EntityRecord;
  /** Included. */
  readonly startMs: number;
  /** Not included. */
  readonly endMs: number;
}

export interface ChainTestResult {
  readonly lines: readonly ReplayLine[];
  /** Why it ended before all was looked at; null: it did not. */
  readonly cut: string | null;
}

/** What a chain would have done with the recorded telemetry of a device, whose attributes are taken as they are now. */
export async function testChain(
  deps: EngineDeps,
  { chain, device, startMs, endMs }: ChainTest,
): Promise<ChainTestResult> {
  const { db, clock } = deps;
  const time = { timeMs: startMs };
  const { sandbox, languages, random } = languagesOf(deps, () => time.timeMs);
  try {
    const chains = await compileChains(chain.id, await loadChains(db, chain), languages);
    const originator = { type: "DEVICE", id: device.id };
    const tenant = { type: "TENANT", id: device.tenantId };
    const type = device.subtype ?? "default";
    const history = await readMessages(db, { entityId: device.id, startMs, endMs });
    const metadata = { deviceName: device.name, deviceType: type };
    const messages = history.records.map((record) => messageOf(record, { originator, metadata, random }));
    const { label } = device.body;
    const customer = device.customerId === null ? null : { type: "CUSTOMER", id: device.customerId };
    const facts = {
      name: device.name,
      type,
      label: typeof label === "string" ? label : null,
      createdMs: device.createdMs,
      customer,
      tenant,
    };
    const attributes = [];
    for (const entity of [originator, tenant, ...(customer === null ? [] : [customer])]) {
      for (const { scope, key, value } of await readAttributeRows(db, { entityId: entity.id })) {
        attributes.push({ entity, scope, values: { [key]: JSON.parse(value) as Json } }); // canonical JSON
      }
    }
    const start = { tenant, entities: new Map([[keyOf(originator), facts]]), attributes };
    const pace = new Pace(clock);
    const lines: ReplayLine[] = [];
    for await (const line of replay(chains, pace.slow(messages), { start, random, clock: time })) {
      if (lines.length < LINES_MAX || line.kind === "summary") lines.push(line);
      else pace.end(`The answer has ${LINES_MAX} lines`);
    }
    return { lines, cut: pace.ended ?? (history.isCut ? `The range has more than ${MESSAGES_MAX} messages` : null) };
  } finally {
    await sandbox.close();
  }
}

/** Lets others work while a test runs, and ends it in time. */
class Pace {
  readonly #clock: Clock;
  ended: string | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  end(reason: string): void {
    this.ended ??= reason;
  }

  async *slow(messages: readonly ChainMessage[]): AsyncGenerator<ChainMessage> {
    const beganMs = this.#clock.monotonicMs();
    let sliceMs = beganMs;
    for (const message of messages) {
      const nowMs = this.#clock.monotonicMs();
      if (nowMs - beganMs > TEST_MS_MAX) this.end(`The test took ${TEST_MS_MAX / 1000} s`);
      if (this.ended !== null) return;
      if (nowMs - sliceMs > SLICE_MS) {
        await this.#clock.yield();
        sliceMs = this.#clock.monotonicMs();
      }
      yield message;
    }
  }
}

function languagesOf({ openScriptSandbox }: EngineDeps, nowMs: () => number) {
  const random = createSeededRandom(SEED);
  let opened: Promise<ScriptSandbox> | undefined;
  return {
    random,
    languages: { cel: loadCel, sandbox: () => (opened ??= openScriptSandbox({ nowMs, random })) },
    sandbox: {
      close: async (): Promise<void> => {
        (await opened?.catch(() => undefined))?.[Symbol.dispose]();
      },
    },
  };
}

async function loadChains(db: Queryable, root: EntityRecord): Promise<readonly ChainSource[]> {
  const sources = new Map<Uuid, ChainSource>();
  const waiting: Uuid[] = [root.id];
  for (const id of waiting) {
    if (sources.has(id)) continue;
    const record = id === root.id ? root : await findEntity(db, { type: "RULE_CHAIN", id, tenantId: root.tenantId });
    if (record === null) continue;
    if (sources.size >= CHAINS_MAX) {
      throw new AppError("INVALID_ARGUMENT", `The chain leads to more than ${CHAINS_MAX} others`);
    }
    const metadata = readMetadata(record);
    sources.set(id, { id, name: record.name, metadata });
    waiting.push(...chainsOf(metadata));
  }
  return [...sources.values()];
}

/** Points of one time as one message, as devices send them. */
async function readMessages(
  db: Queryable,
  range: { readonly entityId: Uuid; readonly startMs: number; readonly endMs: number },
) {
  const keys = await listTelemetryKeys(db, range.entityId);
  const raw = { aggregation: "NONE", interval: { type: "MILLISECONDS", lengthMs: 0 }, orderBy: "ASC" } as const;
  const series = await readHistory(db, { ...range, ...raw, keys, limit: MESSAGES_MAX });
  // Behind the last point of a key that was cut off, others would be without it.
  let endMs = Infinity;
  const values = new Map<number, string[]>();
  for (const [key, points] of series) {
    if (points.length >= MESSAGES_MAX) endMs = Math.min(endMs, points.at(-1)?.tsMs ?? Infinity);
    for (const { tsMs, value } of points) {
      const members = values.get(tsMs) ?? [];
      members.push(`${JSON.stringify(key)}:${value}`);
      values.set(tsMs, members);
    }
  }
  const times = [...values.keys()].filter((tsMs) => tsMs <= endMs).toSorted((one, other) => one - other);
  const isCut = endMs < Infinity || times.length > MESSAGES_MAX;
  const records = times
    .slice(0, MESSAGES_MAX)
    .map((tsMs) => ({ tsMs, data: `{${(values.get(tsMs) ?? []).join(",")}}` }));
  return { records, isCut };
}
