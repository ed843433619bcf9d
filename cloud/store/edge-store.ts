import { and, asc, eq, exists, ilike, inArray, isNotNull, isNull, lt, not, or, sql, type SQL } from "drizzle-orm";
import { AppError } from "../../shared/core/errors.ts";
import { sha256Hex } from "../../shared/core/hash.ts";
import { createUuid, type Uuid } from "../../shared/core/ids.ts";
import { createToken } from "../../shared/core/random.ts";
import type { Json } from "../../shared/entities/entity-record.ts";
import { eraseOtherAlarmsOf } from "../../shared/store/alarm-store.ts";
import { backfill } from "../../shared/store/backfill-tables.ts";
import { containsPattern, type Page, type PageRequest } from "../../shared/store/entity-store.ts";
import { eraseRelationsOf } from "../../shared/store/relation-store.ts";
import type { StoreDeps } from "../../shared/store/store-deps.ts";
import { readTablePage } from "../../shared/store/table-page.ts";
import { attribute, telemetry, telemetryLatest } from "../../shared/store/tables.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { recordEvents } from "./downlink-store.ts";
import { settleEdge } from "./edge-holdings.ts";
import { parseReport, type KeptReport } from "./edge-report-store.ts";
import { fenceSessions } from "./edge-session-store.ts";
import {
  claimCode,
  deletedEdge,
  edge,
  edgeAssignment,
  edgeEvent,
  edgeEventAck,
  edgeEventRejection,
  edgeReport,
  edgeSession,
  edgePastAssignment,
  edgeSync,
  edgeUplink,
  edgeUplinkRejection,
  entityConflict,
  telemetryGap,
} from "./schema.ts";

/** An edge as the cloud knows it; its secret is not kept, only a hash. */
export interface Edge {
  readonly id: Uuid;
  readonly tenantId: Uuid;
  readonly customerId: Uuid | null;
  readonly rootRuleChainId: Uuid | null;
  readonly name: string;
  readonly type: string;
  readonly label: string | null;
  readonly routingKey: string;
  readonly version: number;
  readonly createdMs: number;
  readonly additionalInfo: { readonly [key: string]: Json } | null;
}

export interface EdgeSave {
  readonly id: Uuid | null;
  readonly tenantId: Uuid;
  readonly name: string;
  readonly type: string;
  readonly label: string | null;
  /** null: as it is; of a new edge a random one. */
  readonly routingKey: string | null;
  /** null: as it is; of a new edge a random one. */
  readonly secret: string | null;
  readonly expectedVersion: number | null;
  readonly additionalInfo: Edge["additionalInfo"];
  /** Of a new edge. @default none */
  readonly rootRuleChainId?: Uuid;
}

export interface SavedEdge {
  readonly edge: Edge;
  /** The secret when it was set by this save: the only time that it can be shown. */
  readonly newSecret: string | null;
  /** Sessions below this number were opened with another key or secret and have to end; null: there are none. */
  readonly fence: number | null;
}

const ROUTING_KEY_LENGTH = 36;
const SECRET_LENGTH = 20;

/** What is stored of a secret: bound to its key, so that equal secrets of two edges don't show. */
export function hashEdgeSecret(routingKey: string, secret: string): string {
  return sha256Hex(`${routingKey}:${secret}`);
}

/** @throws AppError NOT_FOUND, VERSION_CONFLICT, ALREADY_EXISTS, INVALID_ARGUMENT */
export function saveEdge(tx: Queryable, deps: StoreDeps, save: EdgeSave): Promise<SavedEdge> {
  return save.id === null ? createEdge(tx, deps, save) : updateEdge(tx, deps, { ...save, id: save.id });
}

async function createEdge(tx: Queryable, deps: StoreDeps, save: EdgeSave): Promise<SavedEdge> {
  const routingKey = save.routingKey ?? createToken(deps.random, ROUTING_KEY_LENGTH);
  const secret = save.secret ?? createToken(deps.random, SECRET_LENGTH);
  const rows = await tx
    .insert(edge)
    .values({
      id: createUuid(deps.clock, deps.random),
      tenantId: save.tenantId,
      name: save.name,
      type: save.type,
      label: save.label,
      routingKey,
      secretHash: hashEdgeSecret(routingKey, secret),
      createdMs: deps.clock.nowMs(),
      additionalInfo: save.additionalInfo,
      rootRuleChainId: save.rootRuleChainId ?? null,
    })
    .onConflictDoNothing()
    .returning();
  const row = rows[0];
  if (row === undefined) throw await explainConflict(tx, { tenantId: save.tenantId, name: save.name });
  await tx.insert(edgeSync).values({ edgeId: row.id, downlinkLast: 0, downlinkAcked: 0, session: 0 });
  const nowMs = deps.clock.nowMs();
  await recordEvents(tx, await settleEdge(tx, row.id as Uuid, nowMs), { nowMs }); // a uuid column
  return { edge: toEdge(row), newSecret: secret, fence: null };
}

async function explainConflict(tx: Queryable, { tenantId, name }: { tenantId: Uuid; name: string }): Promise<AppError> {
  return (await findEdgeByName(tx, tenantId, name)) === null
    ? new AppError("ALREADY_EXISTS", "Edge with such routing key already exists!", { field: "routingKey" })
    : new AppError("ALREADY_EXISTS", "Edge with such name already exists!", { field: "name" });
}

async function updateEdge(
  tx: Queryable,
  { clock }: Pick<StoreDeps, "clock">,
  save: EdgeSave & { readonly id: Uuid },
): Promise<SavedEdge> {
  const { id, tenantId, name, type, label, secret, additionalInfo } = save;
  const stored = await lockEdge(tx, { id, tenantId });
  if (save.expectedVersion !== null && save.expectedVersion !== stored.version) {
    throw new AppError("VERSION_CONFLICT", "Edge was already changed by someone else");
  }
  const routingKey = save.routingKey ?? stored.routingKey;
  const keyChanged = routingKey !== stored.routingKey;
  if (keyChanged && secret === null) {
    const message = "Edge secret should be specified: a new routing key needs the secret, of which only a hash is kept";
    throw new AppError("INVALID_ARGUMENT", message, { field: "secret" });
  }
  if (name !== stored.name && (await findEdgeByName(tx, tenantId, name)) !== null) {
    throw new AppError("ALREADY_EXISTS", "Edge with such name already exists!", { field: "name" });
  }
  if (keyChanged && (await findEdgeByRoutingKey(tx, routingKey)) !== null) {
    throw new AppError("ALREADY_EXISTS", "Edge with such routing key already exists!", { field: "routingKey" });
  }
  const secretHash = secret === null ? stored.secretHash : hashEdgeSecret(routingKey, secret);
  const accessChanged = secretHash !== stored.secretHash;
  const rows = await tx
    .update(edge)
    .set({
      name,
      type,
      label,
      routingKey,
      secretHash,
      additionalInfo,
      version: stored.version + 1,
      // Who gives a secret wants no other one to work.
      ...(accessChanged ? { oldSecretHash: null, oldSecretUntilMs: null } : {}),
    })
    .where(eq(edge.id, id))
    .returning();
  if (rows[0] === undefined) throw edgeNotFound(id);
  const saved = toEdge(rows[0]);
  if (!accessChanged) return { edge: saved, newSecret: null, fence: null };
  const fence = await fenceSessions(tx, id, { reason: "UNAUTHENTICATED", nowMs: clock.nowMs() });
  return { edge: saved, newSecret: secret, fence };
}

/**
 * Gives the edge another secret; the one of now opens sessions for `graceMs` more, so that the edge stays connected until it gets the new
 * one. Sessions that are open go on.
 *
 * @throws AppError NOT_FOUND
 */
export async function rotateEdgeSecret(
  tx: Queryable,
  { clock, random }: StoreDeps,
  { id, tenantId, graceMs }: EdgeKey & { readonly graceMs: number },
): Promise<{ readonly edge: Edge; readonly newSecret: string }> {
  const { routingKey, secretHash, version } = await lockEdge(tx, { id, tenantId });
  const newSecret = createToken(random, SECRET_LENGTH);
  const rows = await tx
    .update(edge)
    .set({
      secretHash: hashEdgeSecret(routingKey, newSecret),
      oldSecretHash: secretHash,
      oldSecretUntilMs: Math.round(clock.nowMs() + graceMs),
      version: version + 1,
    })
    .where(eq(edge.id, id))
    .returning();
  if (rows[0] === undefined) throw edgeNotFound(id);
  return { edge: toEdge(rows[0]), newSecret };
}

/** Its row, locked until the commit. @throws AppError NOT_FOUND */
export async function lockEdge(
  tx: Queryable,
  { id, tenantId }: { readonly id: Uuid; readonly tenantId: Uuid },
): Promise<typeof edge.$inferSelect> {
  const rows = await tx
    .select()
    .from(edge)
    .where(and(eq(edge.id, id), eq(edge.tenantId, tenantId)))
    .for("update");
  if (rows[0] === undefined) throw edgeNotFound(id);
  return rows[0];
}

export function edgeNotFound(id: Uuid): AppError {
  return new AppError("NOT_FOUND", `Edge with id [${id}] is not found`);
}

export interface EdgeKey {
  readonly id: Uuid;
  readonly tenantId: Uuid;
}

/** Edges as a source of entity queries. */
export const EDGE_ENTITIES = sql`(
  select id, 'EDGE' as entity_type, tenant_id, customer_id, name, type as subtype, label, created_ms, null::json as body from edge
)`;

/** @throws AppError NOT_FOUND, also for an edge of another tenant */
export async function getEdge(db: Queryable, key: EdgeKey): Promise<Edge> {
  const rows = await db
    .select()
    .from(edge)
    .where(and(eq(edge.id, key.id), eq(edge.tenantId, key.tenantId)));
  if (rows[0] === undefined) throw edgeNotFound(key.id);
  return toEdge(rows[0]);
}

/** Keeps it from being deleted until the transaction ends. @returns whether it is there */
export async function keepEdge(tx: Queryable, id: Uuid): Promise<boolean> {
  const rows = await tx.select({ id: edge.id }).from(edge).where(eq(edge.id, id)).for("key share");
  return rows.length > 0;
}

export async function findEdgeByName(db: Queryable, tenantId: Uuid, name: string): Promise<Edge | null> {
  const rows = await db
    .select()
    .from(edge)
    .where(and(eq(edge.tenantId, tenantId), eq(edge.name, name)));
  return rows[0] === undefined ? null : toEdge(rows[0]);
}

async function findEdgeByRoutingKey(db: Queryable, routingKey: string): Promise<Edge | null> {
  const rows = await db.select().from(edge).where(eq(edge.routingKey, routingKey));
  return rows[0] === undefined ? null : toEdge(rows[0]);
}

/** The edge that shows this key and secret, or null; says nothing about which of both is wrong. */
export async function authenticateEdge(
  db: Queryable,
  { routingKey, secret }: { readonly routingKey: string; readonly secret: string },
): Promise<Edge | null> {
  const rows = await db
    .select()
    .from(edge)
    .where(and(eq(edge.routingKey, routingKey), eq(edge.secretHash, hashEdgeSecret(routingKey, secret))));
  return rows[0] === undefined ? null : toEdge(rows[0]);
}

export async function findEdges(
  db: Queryable,
  { tenantId, ids }: { readonly tenantId: Uuid; readonly ids: readonly Uuid[] },
): Promise<Edge[]> {
  if (ids.length === 0) return [];
  const rows = await db
    .select()
    .from(edge)
    .where(and(eq(edge.tenantId, tenantId), inArray(edge.id, [...ids])))
    .orderBy(asc(edge.id));
  return rows.map(toEdge);
}

export interface EdgeFilter {
  readonly tenantId: Uuid;
  /** Only edges of this customer. */
  readonly customerId?: Uuid | undefined;
  readonly type?: string | undefined;
  readonly presence?: EdgePresence | undefined;
}

export const EDGE_PRESENCES = ["new", "connected", "disconnected"] as const;
/** new: was never connected. */
export type EdgePresence = (typeof EDGE_PRESENCES)[number];

function hasPresence(db: Queryable, presence: EdgePresence): SQL {
  const synced = (condition: SQL | undefined): SQL =>
    exists(
      db
        .select({ one: sql`1` })
        .from(edgeSync)
        .where(and(eq(edgeSync.edgeId, edge.id), condition)),
    );
  switch (presence) {
    case "connected":
      return synced(isNotNull(edgeSync.replicaId));
    case "disconnected":
      return synced(and(isNull(edgeSync.replicaId), isNotNull(edgeSync.connectedMs)));
    case "new":
      return not(synced(or(isNotNull(edgeSync.replicaId), isNotNull(edgeSync.connectedMs))));
  }
}

export async function listEdges(
  db: Queryable,
  { tenantId, customerId, presence, type }: EdgeFilter,
  page: PageRequest,
): Promise<Page<Edge>> {
  const search = page.textSearch === undefined || page.textSearch === "" ? undefined : containsPattern(page.textSearch);
  const where = and(
    eq(edge.tenantId, tenantId),
    customerId === undefined ? undefined : eq(edge.customerId, customerId),
    type === undefined ? undefined : eq(edge.type, type),
    presence === undefined ? undefined : hasPresence(db, presence),
    search === undefined ? undefined : or(ilike(edge.name, search), ilike(edge.label, search)),
  );
  const sortable = {
    createdTime: edge.createdMs,
    name: edge.name,
    type: edge.type,
    label: edge.label,
    customerTitle: edge.customerId,
  };
  return await readTablePage(db, { table: edge, where, key: edge.id, sortable, toItem: toEdge }, page);
}

export async function listEdgeTypes(db: Queryable, tenantId: Uuid): Promise<string[]> {
  const rows = await db
    .selectDistinct({ type: edge.type })
    .from(edge)
    .where(eq(edge.tenantId, tenantId))
    .orderBy(asc(edge.type));
  return rows.map((row) => row.type);
}

/** For so long an edge that was deleted is told so; later it only hears that its key is not known. */
const DELETED_KEPT_MS = 365 * 86_400_000;

/** The edge with its assignments, downlinks and counters; entities that were assigned to it stay. @throws AppError NOT_FOUND */
export async function deleteEdge(tx: Queryable, { clock }: Pick<StoreDeps, "clock">, key: EdgeKey): Promise<void> {
  const { routingKey, secretHash } = await lockEdge(tx, key);
  const deletedMs = Math.round(clock.nowMs());
  await tx.delete(deletedEdge).where(lt(deletedEdge.deletedMs, deletedMs - DELETED_KEPT_MS));
  await tx.insert(deletedEdge).values({ routingKey, secretHash, deletedMs }).onConflictDoNothing();
  await tx.delete(edge).where(eq(edge.id, key.id));
  await eraseOtherAlarmsOf(tx, [key.id]);
  for (const table of [
    edgeAssignment,
    edgePastAssignment,
    entityConflict,
    edgeSync,
    edgeUplink,
    edgeUplinkRejection,
    edgeEvent,
    edgeEventRejection,
    edgeEventAck,
    telemetryGap,
    backfill,
    edgeReport,
    edgeSession,
    claimCode,
  ]) {
    await tx.delete(table).where(eq(table.edgeId, key.id));
  }
  for (const table of [attribute, telemetryLatest, telemetry]) {
    await tx.delete(table).where(eq(table.entityId, key.id));
  }
  await eraseRelationsOf(tx, key.id);
}

/** Edges of a customer that is deleted belong to nobody. */
export async function releaseEdges(tx: Queryable, customerId: Uuid): Promise<void> {
  await tx
    .update(edge)
    .set({ customerId: null, version: sql`${edge.version} + 1` })
    .where(eq(edge.customerId, customerId));
}

/** What the newest session of an edge has left behind. */
export interface EdgeStatus {
  readonly edgeId: Uuid;
  /** Whether some replica holds a session of it. */
  readonly isConnected: boolean;
  readonly downlinkLast: number;
  readonly downlinkAcked: number;
  /** What was on its way for longer than a moment. */
  readonly downlinkSent: number;
  readonly edgeVersion: string | null;
  readonly clockSkewMs: number | null;
  readonly connectedMs: number | null;
  readonly disconnectedMs: number | null;
  /** Code of the last failure, see shared/core/errors.ts. */
  readonly reason: string | null;
  /** When the oldest downlink that the edge has not acknowledged was made; null: it has all. */
  readonly downlinkOldestMs: number | null;
  /** When the newest one that it has acknowledged was made; null: none, or it is not listed any more. */
  readonly downlinkAckedMs: number | null;
  /** What the edge told last of itself; null: nothing yet. */
  readonly report: KeptReport | null;
  /** The last attempt to connect that was refused since it was connected. */
  readonly refusal: { readonly code: string; readonly text: string | null; readonly atMs: number } | null;
  /** When a machine was refused last because another one has the identity of this edge. */
  readonly conflictMs: number | null;
  readonly notice: { readonly text: string; readonly time: number } | null;
  /** Somebody asked for a digest round that was not run yet. */
  readonly isSyncInProgress: boolean;
}

export async function readEdgeStatuses(db: Queryable, edgeIds: readonly Uuid[]): Promise<Map<Uuid, EdgeStatus>> {
  if (edgeIds.length === 0) return new Map();
  const rows = await selectStatuses(db).where(inArray(edgeSync.edgeId, [...edgeIds]));
  return new Map(rows.map((row) => [row.sync.edgeId as Uuid, toStatus(row)]));
}

/** Of the edges of one tenant that have ever had one, in no order. */
export async function readTenantEdgeStatuses(db: Queryable, tenantId: Uuid, limit: number): Promise<EdgeStatus[]> {
  const ids = db.select({ id: edge.id }).from(edge).where(eq(edge.tenantId, tenantId));
  return (await selectStatuses(db).where(inArray(edgeSync.edgeId, ids)).limit(limit)).map(toStatus);
}

/** Of all tenants, for the metrics of the process. */
export async function readAllEdgeStatuses(db: Queryable, limit: number): Promise<EdgeStatus[]> {
  return (await selectStatuses(db).limit(limit)).map(toStatus);
}

function selectStatuses(db: Queryable) {
  return db
    .select({
      sync: edgeSync,
      report: edgeReport,
      downlinkOldestMs: sql<number | null>`case when ${edgeSync.downlinkLast} > ${edgeSync.downlinkAcked} then (
        select e.created_ms from ${edgeEvent} e where e.edge_id = ${edgeSync.edgeId} and e.seq > ${edgeSync.downlinkAcked}
        order by e.seq limit 1) end`.mapWith(Number),
      downlinkAckedMs: sql<number | null>`(
        select e.created_ms from ${edgeEvent} e where e.edge_id = ${edgeSync.edgeId} and e.seq <= ${edgeSync.downlinkAcked}
        order by e.seq desc limit 1)`.mapWith(Number),
    })
    .from(edgeSync)
    .leftJoin(edgeReport, eq(edgeReport.edgeId, edgeSync.edgeId))
    .$dynamic();
}

type StatusRow = Awaited<ReturnType<typeof selectStatuses>>[number];

function toStatus({ sync, report, downlinkOldestMs, downlinkAckedMs }: StatusRow): EdgeStatus {
  const { notice, noticeMs, syncRequested, syncCompleted, ...row } = sync;
  const { refusedCode = null, refusedMs = null, refusedText = null } = report ?? {};
  return {
    ...row,
    edgeId: row.edgeId as Uuid, // written from a Uuid
    isConnected: row.replicaId !== null,
    notice: notice === null ? null : { text: notice, time: noticeMs ?? 0 },
    isSyncInProgress: syncRequested > syncCompleted,
    downlinkOldestMs,
    downlinkAckedMs,
    report: parseReport(report),
    refusal:
      refusedCode === null || refusedMs === null ? null : { code: refusedCode, text: refusedText, atMs: refusedMs },
  };
}

/** A row as the other stores of edges see it. */
export function toEdge(row: typeof edge.$inferSelect): Edge {
  const { id, tenantId, customerId, rootRuleChainId } = row;
  const { name, type, label, routingKey, version, createdMs, additionalInfo } = row;
  return {
    id: id as Uuid,
    tenantId: tenantId as Uuid,
    customerId: customerId as Uuid | null,
    rootRuleChainId: rootRuleChainId as Uuid | null,
    name,
    type,
    label,
    routingKey,
    version,
    createdMs,
    additionalInfo: additionalInfo as Edge["additionalInfo"],
  };
}
