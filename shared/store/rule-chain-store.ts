import { and, asc, eq, sql } from "drizzle-orm";
import { AppError } from "../core/errors.ts";
import { createUuid, type Uuid } from "../core/ids.ts";
import type { Change } from "../entities/change.ts";
import { defaultMetadata, ROOT_NAMES } from "../entities/default-rule-chains.ts";
import type { EntityRecord, Json } from "../entities/entity-record.ts";
import {
  chainsOf,
  readMetadata,
  toMetadata,
  type ChainMetadata,
  type MetadataInput,
} from "../entities/rule-chain-metadata.ts";
import {
  isRootChain,
  RULE_CHAIN_TYPES,
  ruleChainForm,
  ruleChainType,
  type RuleChainInput,
  type RuleChainType,
} from "../entities/rule-chain.ts";
import { checkReferences, saveForm, versionConflict } from "./entity-save.ts";
import { deleteEntity, entitySaved, getEntity, lockEntity, replaceEntity } from "./entity-store.ts";
import type { StoreDeps } from "./store-deps.ts";
import { entity } from "./tables.ts";
import type { Outcome, Queryable } from "./unit-of-work.ts";

export interface RuleChainKey {
  readonly id: Uuid;
  readonly tenantId: Uuid;
}

const keyOf = ({ id, tenantId }: RuleChainKey) => ({ type: "RULE_CHAIN" as const, id, tenantId });

/** A chain stays what it was made as: of the cloud or of edges. @throws AppError NOT_FOUND, VERSION_CONFLICT, INVALID_ARGUMENT */
export async function saveRuleChain(
  tx: Queryable,
  deps: StoreDeps,
  { tenantId, input }: { readonly tenantId: Uuid; readonly input: RuleChainInput },
): Promise<Outcome<EntityRecord>> {
  const { id, type } = input;
  if (id === undefined || id === null) return saveForm(tx, deps, { form: ruleChainForm, tenantId, input });
  const kept = ruleChainType(await lockEntity(tx, keyOf({ id, tenantId })));
  if (type !== undefined && type !== null && type !== kept) {
    throw new AppError("INVALID_ARGUMENT", "Type of a rule chain can't be changed!", { field: "type" });
  }
  return saveForm(tx, deps, { form: ruleChainForm, tenantId, input: { ...input, type: kept } });
}

/** @throws AppError NOT_FOUND, VERSION_CONFLICT, INVALID_ARGUMENT for loops and for chains that are not there */
export async function saveMetadata(
  tx: Queryable,
  deps: StoreDeps,
  { tenantId, input }: { readonly tenantId: Uuid; readonly input: MetadataInput },
): Promise<Outcome<EntityRecord>> {
  const stored = await lockEntity(tx, keyOf({ id: input.ruleChainId, tenantId }));
  if (typeof input.version === "number" && input.version !== stored.version) throw versionConflict("RULE_CHAIN");
  const { clock, random } = deps;
  const metadata = toMetadata(input, readMetadata(stored), {
    nowMs: clock.nowMs(),
    createId: () => createUuid(clock, random),
  });
  const record = withMetadata({ ...stored, version: stored.version + 1 }, metadata);
  await checkReferences(tx, record, stored);
  await checkNoLoop(tx, record);
  await replaceEntity(tx, record);
  return { result: record, changes: [entitySaved(record, stored)] };
}

/** The record with these nodes, and with what lists and other chains want to know of them. */
function withMetadata(record: EntityRecord, metadata: ChainMetadata): EntityRecord {
  const first = metadata.firstNodeIndex === null ? undefined : metadata.nodes[metadata.firstNodeIndex];
  const { firstRuleNodeId: _first, chainIds: _chains, ...body } = record.body;
  const chainIds = chainsOf(metadata);
  return {
    ...record,
    body: {
      ...body,
      ...(first === undefined ? {} : { firstRuleNodeId: first.id }),
      ...(chainIds.length === 0 ? {} : { chainIds }),
    },
    content: JSON.stringify(metadata),
  };
}

/** Chains that hand messages to each other in a circle would never end. @throws AppError INVALID_ARGUMENT */
async function checkNoLoop(tx: Queryable, record: EntityRecord): Promise<void> {
  const direct = ruleChainForm.kind.references(record).map(({ id }) => id);
  if (direct.length === 0) return;
  const rows = await tx.execute(sql`
    with recursive reached (id) as (
      select id from entity where id in (${sql.join(
        direct.map((id) => sql`${id}::uuid`),
        sql`, `,
      )})
      union
      select next.id from reached r join entity e on e.id = r.id cross join lateral unnest(e.refers_to) as next (id)
    )
    select id from reached where id = ${record.id}::uuid`);
  if (rows.length > 0)
    throw new AppError("INVALID_ARGUMENT", "Rule chains can't hand messages to each other in a loop!");
}

/** A chain with the nodes that a tenant begins with. */
export async function createDefaultChain(
  tx: Queryable,
  deps: StoreDeps,
  { tenantId, name, type }: { readonly tenantId: Uuid; readonly name: string; readonly type: RuleChainType },
): Promise<Outcome<EntityRecord>> {
  const made = await saveRuleChain(tx, deps, { tenantId, input: { name, type } });
  const input = defaultMetadata(made.result.id, type);
  const saved = await saveMetadata(tx, deps, { tenantId, input });
  return { result: saved.result, changes: [...made.changes, ...saved.changes] };
}

/** Makes the tenant's root, and what new edges get as theirs, where there is none. */
export async function ensureRootChains(tx: Queryable, deps: StoreDeps, tenantId: Uuid): Promise<void> {
  for (const type of RULE_CHAIN_TYPES) {
    if ((await findRootChain(tx, tenantId, type)) !== null) continue;
    // Nobody follows it yet: there are no changes to record.
    const { result } = await createDefaultChain(tx, deps, { tenantId, name: ROOT_NAMES[type], type });
    await makeRoot(tx, { id: result.id, tenantId }, type);
  }
}

/** @throws AppError NOT_FOUND, INVALID_ARGUMENT for a root and while something refers to it */
export async function deleteRuleChain(tx: Queryable, key: RuleChainKey): Promise<Outcome<EntityRecord>> {
  const stored = await lockEntity(tx, keyOf(key));
  if (isRootChain(stored)) {
    throw new AppError("INVALID_ARGUMENT", "Deletion of Root Tenant Rule Chain is prohibited!");
  }
  return deleteEntity(tx, keyOf(key));
}

/** Makes it the root among the chains of its type, in place of the one that was. @throws AppError NOT_FOUND, INVALID_ARGUMENT */
export async function makeRoot(tx: Queryable, key: RuleChainKey, type: RuleChainType): Promise<Outcome<EntityRecord>> {
  const chosen = await lockEntity(tx, keyOf(key));
  if (ruleChainType(chosen) !== type) {
    const text =
      type === "EDGE" ? "Can't set non EDGE rule chain as edge template root!" : "Can't set EDGE rule chain as root!";
    throw new AppError("INVALID_ARGUMENT", text);
  }
  if (isRootChain(chosen)) return { result: chosen, changes: [] };
  const before = await findRootChain(tx, key.tenantId, type);
  const changes: Change[] = [];
  if (before !== null) changes.push(entitySaved(await setFlag(tx, before, { root: false })));
  const result = await setFlag(tx, chosen, { root: true });
  return { result, changes: [...changes, entitySaved(result)] };
}

/** Whether new edges get it. @throws AppError NOT_FOUND, INVALID_ARGUMENT */
export async function setAutoAssign(
  tx: Queryable,
  key: RuleChainKey,
  autoAssign: boolean,
): Promise<Outcome<EntityRecord>> {
  const stored = await lockEntity(tx, keyOf(key));
  if (ruleChainType(stored) !== "EDGE") {
    throw new AppError("INVALID_ARGUMENT", "Can't assign non EDGE ruleChain to edge!");
  }
  if ((stored.body["autoAssign"] === true) === autoAssign) return { result: stored, changes: [] };
  const result = await setFlag(tx, stored, { autoAssign });
  return { result, changes: [entitySaved(result)] };
}

async function setFlag(
  tx: Queryable,
  stored: EntityRecord,
  flag: { readonly [key: string]: Json },
): Promise<EntityRecord> {
  const record = { ...stored, version: stored.version + 1, body: { ...stored.body, ...flag } };
  await replaceEntity(tx, record);
  return record;
}

/** The tenant's root, or what new edges get as theirs; null: there is none. */
export async function findRootChain(db: Queryable, tenantId: Uuid, type: RuleChainType): Promise<EntityRecord | null> {
  const [id] = await findChainIds(db, { tenantId, type, flag: "root" });
  return id === undefined ? null : getEntity(db, keyOf({ id, tenantId }));
}

/** Chains that new edges get, in order of their names. */
export async function listAutoAssigned(db: Queryable, tenantId: Uuid): Promise<EntityRecord[]> {
  const ids = await findChainIds(db, { tenantId, type: "EDGE", flag: "autoAssign" });
  return Promise.all(ids.map((id) => getEntity(db, keyOf({ id, tenantId }))));
}

async function findChainIds(
  db: Queryable,
  { tenantId, type, flag }: { readonly tenantId: Uuid; readonly type: RuleChainType; readonly flag: string },
): Promise<Uuid[]> {
  const rows = await db
    .select({ id: entity.id })
    .from(entity)
    .where(
      and(
        eq(entity.tenantId, tenantId),
        eq(entity.entityType, "RULE_CHAIN"),
        eq(entity.subtype, type),
        sql`${entity.body} ->> ${flag} = 'true'`,
      ),
    )
    .orderBy(asc(entity.name), asc(entity.id));
  return rows.map(({ id }) => id as Uuid); // a uuid column
}

/** Chains of the tenant with a node that hands messages to this one. */
export async function findReferringChains(db: Queryable, { id, tenantId }: RuleChainKey): Promise<EntityRecord[]> {
  const rows = await db
    .select({ id: entity.id })
    .from(entity)
    .where(
      and(
        eq(entity.tenantId, tenantId),
        eq(entity.entityType, "RULE_CHAIN"),
        sql`${entity.refersTo} @> array[${id}::uuid]`,
      ),
    )
    .orderBy(asc(entity.id));
  return Promise.all(rows.map((row) => getEntity(db, keyOf({ id: row.id as Uuid, tenantId })))); // a uuid column
}

export interface ImportedChain {
  readonly chain: RuleChainInput;
  readonly metadata: MetadataInput | null;
}

/**
 * Makes chains from an export; those that refer to each other do so afterwards, under the ids that they got.
 *
 * @param overwrite a chain of the same name and type becomes what was imported
 */
export async function importRuleChains(
  tx: Queryable,
  deps: StoreDeps,
  {
    tenantId,
    chains,
    overwrite,
  }: { readonly tenantId: Uuid; readonly chains: readonly ImportedChain[]; readonly overwrite: boolean },
): Promise<Outcome<readonly { readonly record: EntityRecord; readonly updated: boolean }[]>> {
  const changes: Change[] = [];
  const result: { record: EntityRecord; updated: boolean }[] = [];
  const newIds = new Map<string, Uuid>();
  for (const { chain } of chains) {
    const existing = overwrite
      ? await findByNameAndType(tx, { tenantId, name: chain.name, type: chain.type ?? "CORE" })
      : null;
    const saved = await saveRuleChain(tx, deps, { tenantId, input: { ...chain, id: existing, version: null } });
    if (typeof chain.id === "string") newIds.set(chain.id, saved.result.id);
    result.push({ record: saved.result, updated: existing !== null });
    changes.push(...saved.changes);
  }
  for (const [index, { metadata }] of chains.entries()) {
    const made = result[index];
    if (metadata === null || made === undefined) continue;
    const input = withNewIds(metadata, made.record.id, newIds);
    const saved = await saveMetadata(tx, deps, { tenantId, input });
    made.record = saved.result;
    changes.push(...saved.changes);
  }
  return { result, changes };
}

/** Nodes are new ones, and name the imported chains by their new ids. */
function withNewIds(metadata: MetadataInput, ruleChainId: Uuid, newIds: ReadonlyMap<string, Uuid>): MetadataInput {
  const nodes = (metadata.nodes ?? []).map(({ id: _id, ...node }) => {
    const { ruleChainId: target } = node.configuration ?? {};
    const renamed = typeof target === "string" ? newIds.get(target) : undefined;
    return renamed === undefined ? node : { ...node, configuration: { ...node.configuration, ruleChainId: renamed } };
  });
  return { ...metadata, ruleChainId, version: null, nodes };
}

async function findByNameAndType(
  db: Queryable,
  { tenantId, name, type }: { readonly tenantId: Uuid; readonly name: string; readonly type: RuleChainType },
): Promise<Uuid | null> {
  const [row] = await db
    .select({ id: entity.id })
    .from(entity)
    .where(
      and(
        eq(entity.tenantId, tenantId),
        eq(entity.entityType, "RULE_CHAIN"),
        eq(entity.subtype, type),
        eq(entity.name, name),
      ),
    )
    .orderBy(asc(entity.createdMs))
    .limit(1);
  return row === undefined ? null : (row.id as Uuid); // a uuid column
}
