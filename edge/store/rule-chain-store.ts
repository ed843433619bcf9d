import { and, eq, inArray, sql } from "drizzle-orm";
import type { Uuid } from "../../shared/core/ids.ts";
import { chainsOf, readMetadata } from "../../shared/entities/rule-chain-metadata.ts";
import type { ChainSource } from "../../shared/rules/chain/compile.ts";
import type { CallHttp, PublishMqtt, SendRpc } from "../../shared/rules/chain/effects.ts";
import type { NodeRef } from "../../shared/rules/chain/message.ts";
import { arrayParam } from "../../shared/store/array-param.ts";
import { findEntity } from "../../shared/store/entity-store.ts";
import { findRootChain } from "../../shared/store/rule-chain-store.ts";
import { entity } from "../../shared/store/tables.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { ruleCall, ruleNodeState } from "./schema.ts";
import { readSettings, readSite } from "./site-store.ts";

// Rule chains of this edge, what their nodes remember, and what they wait for.

/** Chains that are read, whatever leads to them. */
const CHAINS_MAX = 200;

export interface EdgeChains {
  readonly tenantId: Uuid;
  /** Gets what no profile has a chain for; null: there is none. */
  readonly rootId: Uuid | null;
  /** By device or asset profile. */
  readonly rootOfProfile: ReadonlyMap<Uuid, Uuid>;
  /** The roots and what they lead to, as far as it is here. */
  readonly sources: ReadonlyMap<Uuid, ChainSource>;
}

/** That which the cloud set for this edge, else the root of the chains that were made here. */
export async function readRootChainId(db: Queryable): Promise<Uuid | null> {
  const set = (await readSettings(db))?.rootRuleChainId;
  if (set !== undefined) return set;
  const { tenantId } = await readSite(db);
  return (await findRootChain(db, tenantId, "EDGE"))?.id ?? null;
}

export async function readEdgeChains(db: Queryable): Promise<EdgeChains> {
  const { tenantId } = await readSite(db);
  const rootId = await readRootChainId(db);
  const rootOfProfile = await readProfileRoots(db);
  const sources = new Map<Uuid, ChainSource>();
  const waiting = [...(rootId === null ? [] : [rootId]), ...new Set(rootOfProfile.values())];
  for (const id of waiting) {
    if (sources.has(id) || sources.size >= CHAINS_MAX) continue;
    const record = await findEntity(db, { type: "RULE_CHAIN", id });
    if (record === null) continue;
    const metadata = readMetadata(record);
    sources.set(id, { id, name: record.name, metadata });
    waiting.push(...chainsOf(metadata));
  }
  return { tenantId, rootId, rootOfProfile, sources };
}

async function readProfileRoots(db: Queryable): Promise<ReadonlyMap<Uuid, Uuid>> {
  const chainId = sql<string>`${entity.body} ->> 'defaultEdgeRuleChainId'`;
  const rows = await db
    .select({ id: entity.id, chainId })
    .from(entity)
    .where(and(inArray(entity.entityType, ["DEVICE_PROFILE", "ASSET_PROFILE"]), sql`${chainId} is not null`));
  return new Map(rows.map((row) => [row.id as Uuid, row.chainId as Uuid])); // checked when they were saved
}

/** What is known of a device or another entity that says something. */
export interface Speaker {
  readonly type: string;
  readonly name: string;
  readonly profileName: string;
  readonly profileId: Uuid | null;
}

/** Those of `ids` that are entities. */
export async function readSpeakers(db: Queryable, ids: readonly Uuid[]): Promise<ReadonlyMap<Uuid, Speaker>> {
  const rows = await db.execute<{ id: Uuid; type: string; name: string; profile_id: Uuid | null; profile: string }>(sql`
    select e.id, e.entity_type as type, e.name, e.profile_id, coalesce(p.name, e.subtype, '') as profile
    from entity e left join entity p on p.id = e.profile_id
    where e.id = any(${arrayParam(ids, "uuid")})`);
  return new Map(
    rows.map(({ id, type, name, profile_id: profileId, profile }) => [
      id,
      { type, name, profileId, profileName: profile },
    ]),
  );
}

export interface NodeMemory {
  /** undefined: nothing. */
  readonly state: unknown;
  /** null: never. */
  readonly wakeMs: number | null;
}

export interface StoredNode extends NodeRef, NodeMemory {}

export async function readNodes(db: Queryable): Promise<readonly StoredNode[]> {
  const rows = await db.select().from(ruleNodeState);
  return rows.map(({ chainId, nodeId, state, wakeMs }) => ({
    chainId: chainId as Uuid, // uuid columns
    nodeId: nodeId as Uuid,
    state: state ?? undefined,
    wakeMs,
  }));
}

export async function putNode(tx: Queryable, { chainId, nodeId, state, wakeMs }: StoredNode): Promise<void> {
  const values = { chainId, nodeId, state: state ?? null, wakeMs: wakeMs === null ? null : Math.round(wakeMs) };
  const target = [ruleNodeState.chainId, ruleNodeState.nodeId];
  await tx.insert(ruleNodeState).values(values).onConflictDoUpdate({ target, set: values });
}

export async function forgetNode(tx: Queryable, { chainId, nodeId }: NodeRef): Promise<void> {
  await tx.delete(ruleNodeState).where(and(eq(ruleNodeState.chainId, chainId), eq(ruleNodeState.nodeId, nodeId)));
}

/** What is made outside, whose outcome a node waits for. */
export type CallEffect = CallHttp | PublishMqtt | SendRpc;

export interface StoredCall {
  readonly id: Uuid;
  readonly effect: CallEffect;
}

/** In the order in which they were asked for. */
export async function readCalls(db: Queryable): Promise<readonly StoredCall[]> {
  const rows = await db.select().from(ruleCall).orderBy(ruleCall.id);
  return rows.map(({ id, effect }) => ({ id: id as Uuid, effect: effect as CallEffect })); // written by putCalls only
}

export async function putCalls(tx: Queryable, calls: readonly StoredCall[]): Promise<void> {
  if (calls.length > 0) await tx.insert(ruleCall).values([...calls]);
}

export async function forgetCalls(tx: Queryable, ids: readonly Uuid[]): Promise<void> {
  if (ids.length > 0) await tx.delete(ruleCall).where(inArray(ruleCall.id, [...ids]));
}
