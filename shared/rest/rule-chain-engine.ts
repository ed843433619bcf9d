import type { Clock } from "../core/clock.ts";
import { AppError } from "../core/errors.ts";
import type { Uuid } from "../core/ids.ts";
import { createSeededRandom } from "../core/random.ts";
import type { EntityRecord, Json } from "../entities/entity-record.ts";
import { chainsOf, readMetadata } from "../entities/rule-chain-metadata.ts";
import { loadCel } from "../rules/cel.ts";
import { compileChains, type ChainProblem, type ChainSource } from "../rules/chain/compile.ts";
import { messageOf } from "../rules/chain/history-csv.ts";
import { keyOf } from "../rules/chain/replay-world.ts";
import { replay, type ReplayLine } from "../rules/chain/replay.ts";
import type { ScriptSandbox } from "../rules/chain/sandbox.ts";
import type { OpenScriptSandbox } from "../runtime/script-sandbox.ts";
import { readAttributeRows } from "../store/attribute-store.ts";
import { findEntity } from "../store/entity-store.ts";
import type { Queryable } from "../store/unit-of-work.ts";
import { readRecorded } from "./recorded-telemetry.ts";
import { TestPace } from "./test-pace.ts";

// What the routes of rule chains do with the engine; loaded with the first call, as few sites make one.

const SEED = 1;
/** Chains that one leads to. */
const CHAINS_MAX = 100;

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
    const history = await readRecorded(db, { entityId: device.id, startMs, endMs });
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
    const pace = new TestPace(clock);
    const lines = await pace.gather(replay(chains, pace.slow(messages), { start, random, clock: time }));
    return { lines, cut: pace.ended ?? history.cut };
  } finally {
    await sandbox.close();
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
