import * as z from "zod";
import type { Uuid } from "../../shared/core/ids.ts";
import { SYNC_STATE_NAMES, type SyncState } from "../../shared/core/sync-states.ts";
import { entityIdSchema, restId } from "../../shared/entities/fields.ts";
import { TENANT_ADMIN, type RouteTable } from "../../shared/rest/route.ts";
import { findEdges, listEdges, readTenantEdgeStatuses, type EdgeStatus } from "../store/edge-store.ts";
import { edgeSyncToRest } from "./edge-sync-status.ts";
import type { EdgeDeps } from "./edges.ts";

const fleetSchema = z
  .object({
    time: z.int(),
    edges: z.int(),
    connected: z.int(),
    outOfSync: z.int().meta({ description: "Connected, and neither in sync nor just sending" }),
    offline: z.int().meta({ description: "Was connected once and is not now" }),
    neverConnected: z.int(),
    states: z
      .array(z.object({ state: z.enum(SYNC_STATE_NAMES), edges: z.int() }))
      .meta({ description: "Gravest first" }),
    backlogItems: z.int().meta({ description: "What edges had not sent when they reported last" }),
    backlogBytes: z.int(),
    parkedItems: z.int(),
    downlinksWaiting: z.int(),
    attention: z
      .array(
        z.object({
          id: entityIdSchema,
          name: z.string(),
          state: z.enum(SYNC_STATE_NAMES),
          sinceTime: z.int().nullable(),
        }),
      )
      .meta({ description: "Edges that are not in sync, gravest first; the first ten" }),
  })
  .meta({ id: "EdgeFleet" });

type Fleet = z.output<typeof fleetSchema>;

/** More than a tenant has; beyond it the sums are of this many. */
const EDGES_MAX = 100_000;
const ATTENTION_MAX = 10;
/** Everybody who looks at a fleet within this time gets the same answer: reading 10,000 edges is not free. */
const FRESH_MS = 2_000;
/** Tenants whose answer is kept; more make the oldest go. */
const TENANTS_MAX = 1_000;
/** Nothing to look after: in sync, on the way to it, or not begun. */
const QUIET: ReadonlySet<SyncState> = new Set<SyncState>(["IN_SYNC", "SENDING", "CONNECTING", "NEVER_CONNECTED"]);

/** GET /api/edges/fleet: all edges of a tenant in one answer. */
export function addEdgeFleetRoute(routes: RouteTable, deps: EdgeDeps): void {
  const { clock } = deps;
  const kept = new Map<Uuid, { readonly readMs: number; readonly fleet: Promise<Fleet> }>();
  routes.add(
    {
      method: "get",
      path: "/api/edges/fleet",
      tag: "Edges",
      summary: "How many edges are in which state, what waits in all, and which need a look",
      access: TENANT_ADMIN,
      answer: fleetSchema,
    },
    ({ principal: { tenantId } }) => {
      const known = kept.get(tenantId);
      const readMs = clock.monotonicMs();
      if (known !== undefined && readMs - known.readMs < FRESH_MS) return known.fleet;
      const fleet = readFleet(deps, tenantId);
      kept.delete(tenantId);
      kept.set(tenantId, { readMs, fleet });
      // What failed is not an answer to others.
      fleet.catch(() => kept.delete(tenantId));
      const [oldest] = kept.keys();
      if (kept.size > TENANTS_MAX && oldest !== undefined) kept.delete(oldest);
      return fleet;
    },
  );
}

async function readFleet({ db, clock }: EdgeDeps, tenantId: Uuid): Promise<Fleet> {
  const [statuses, { totalElements: edges }] = await Promise.all([
    readTenantEdgeStatuses(db, tenantId, EDGES_MAX),
    listEdges(db, { tenantId }, { page: 0, pageSize: 1, sortOrder: "ASC" }),
  ]);
  const nowMs = clock.nowMs();
  const judged = statuses.flatMap((status) => {
    const sync = edgeSyncToRest(status, nowMs);
    return sync === null ? [] : [{ status, sync }];
  });
  const counts = new Map<SyncState, number>();
  for (const { sync } of judged) counts.set(sync.state, (counts.get(sync.state) ?? 0) + 1);
  const connected = judged.filter(({ status }) => status.isConnected);
  const offline = judged.filter(({ status }) => !status.isConnected && status.connectedMs !== null);
  const noRecord = edges - judged.length;
  if (noRecord > 0) counts.set("NEVER_CONNECTED", (counts.get("NEVER_CONNECTED") ?? 0) + noRecord);
  const lanes = judged.flatMap(({ sync }) => sync.backlog);
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  return {
    time: Math.round(nowMs),
    edges,
    connected: connected.length,
    outOfSync: connected.filter(({ sync }) => !QUIET.has(sync.state)).length,
    offline: offline.length,
    neverConnected: edges - connected.length - offline.length,
    states: SYNC_STATE_NAMES.flatMap((state) => {
      const count = counts.get(state) ?? 0;
      return count === 0 ? [] : [{ state, edges: count }];
    }),
    backlogItems: sum(lanes.map(({ items }) => items)),
    backlogBytes: sum(lanes.map(({ bytes }) => bytes ?? 0)),
    parkedItems: sum(judged.map(({ sync }) => sync.parkedItems)),
    downlinksWaiting: sum(judged.map(({ status }) => status.downlinkLast - status.downlinkAcked)),
    attention: await nameWorst(
      db,
      tenantId,
      judged.filter(({ sync }) => !QUIET.has(sync.state)),
    ),
  };
}

interface Judged {
  readonly status: EdgeStatus;
  readonly sync: NonNullable<ReturnType<typeof edgeSyncToRest>>;
}

async function nameWorst(db: EdgeDeps["db"], tenantId: Uuid, judged: readonly Judged[]): Promise<Fleet["attention"]> {
  const rank = ({ sync }: Judged): number => SYNC_STATE_NAMES.indexOf(sync.state);
  const worst = judged
    .toSorted((one, other) => rank(one) - rank(other) || (other.sync.sinceTime ?? 0) - (one.sync.sinceTime ?? 0))
    .slice(0, ATTENTION_MAX);
  const found = await findEdges(db, { tenantId, ids: worst.map(({ status }) => status.edgeId) });
  const names = new Map(found.map(({ id, name }) => [id, name]));
  return worst.flatMap(({ status: { edgeId }, sync: { state, sinceTime } }) => {
    const name = names.get(edgeId);
    return name === undefined ? [] : [{ id: restId("EDGE", edgeId), name, state, sinceTime }];
  });
}
