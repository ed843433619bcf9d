import { eq, sql } from "drizzle-orm";
import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { EntityRecord } from "../../shared/entities/entity-record.ts";
import { findRootChain, listAutoAssigned } from "../../shared/store/rule-chain-store.ts";
import type { StoreDeps } from "../../shared/store/store-deps.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { assignEntity } from "./assignment-store.ts";
import type { EdgeEvent } from "./edge-event.ts";
import { noteEdgeSettingsChange } from "./edge-settings.ts";
import { getEdge, saveEdge, type EdgeKey, type EdgeSave, type SavedEdge } from "./edge-store.ts";
import { edge } from "./schema.ts";

// Rule chains of edges: what new ones begin with, and the root.

/**
 * Saves an edge; a new one gets the template root and the chains that go to every new edge.
 *
 * @throws AppError as saveEdge, INVALID_ARGUMENT for a new edge when there is no template root
 */
export async function saveEdgeWithChains(
  tx: Queryable,
  deps: StoreDeps,
  save: EdgeSave,
): Promise<{ readonly result: SavedEdge; readonly events: readonly EdgeEvent[] }> {
  if (save.id !== null) return { result: await saveEdge(tx, deps, save), events: [] };
  const root = await findRootChain(tx, save.tenantId, "EDGE");
  if (root === null) throw new AppError("INVALID_ARGUMENT", "Root edge rule chain is not available!");
  const saved = await saveEdge(tx, deps, { ...save, rootRuleChainId: root.id });
  const chains = [root, ...(await listAutoAssigned(tx, save.tenantId))];
  const events: EdgeEvent[] = [];
  for (const chain of chains) events.push(...(await giveChain(tx, saved.edge, { chain, nowMs: deps.clock.nowMs() })));
  return { result: saved, events };
}

/** Makes a chain of type EDGE the root of the edge; it is assigned if it is not. @throws AppError NOT_FOUND, INVALID_ARGUMENT */
export async function setEdgeRoot(
  tx: Queryable,
  key: EdgeKey,
  { ruleChainId, nowMs }: { readonly ruleChainId: Uuid; readonly nowMs: number },
) {
  const before = await getEdge(tx, key);
  const assignment = { edgeId: key.id, tenantId: key.tenantId, type: "RULE_CHAIN" as const, entityId: ruleChainId };
  const { events } = await assignEntity(tx, assignment, { nowMs });
  if (before.rootRuleChainId === ruleChainId) return { result: before, events };
  await tx
    .update(edge)
    .set({ rootRuleChainId: ruleChainId, version: sql`${edge.version} + 1` })
    .where(eq(edge.id, key.id));
  await noteEdgeSettingsChange(tx, key.id);
  return { result: await getEdge(tx, key), events };
}

/** @throws AppError INVALID_ARGUMENT for the root of an edge */
export async function checkRootOfNone(tx: Queryable, ruleChainId: Uuid): Promise<void> {
  const [user] = await tx.select({ id: edge.id }).from(edge).where(eq(edge.rootRuleChainId, ruleChainId)).limit(1);
  if (user === undefined) return;
  throw new AppError("INVALID_ARGUMENT", "The rule chain referenced by the edges cannot be deleted!");
}

async function giveChain(
  tx: Queryable,
  { id: edgeId, tenantId }: EdgeKey,
  { chain, nowMs }: { readonly chain: EntityRecord; readonly nowMs: number },
): Promise<readonly EdgeEvent[]> {
  const assignment = { edgeId, tenantId, type: "RULE_CHAIN" as const, entityId: chain.id };
  return (await assignEntity(tx, assignment, { nowMs })).events;
}

/** Names of chains on the edge, each with the names of chains that it hands messages to and that are not there. */
export async function findMissingChains(db: Queryable, edgeId: Uuid): Promise<Record<string, string[]>> {
  const rows = await db.execute<{ name: string; missing: string }>(sql`
    select c.name, coalesce(r.name, needed.id::text) as missing
    from edge_assignment a join entity c on c.id = a.entity_id and c.entity_type = 'RULE_CHAIN'
      cross join lateral unnest(c.refers_to) as needed (id) left join entity r on r.id = needed.id
    where a.edge_id = ${edgeId}::uuid
      and not exists (select from edge_assignment h where h.edge_id = a.edge_id and h.entity_id = needed.id)
    order by c.name, missing`);
  const missing: Record<string, string[]> = {};
  for (const row of rows) (missing[row.name] ??= []).push(row.missing);
  return missing;
}
