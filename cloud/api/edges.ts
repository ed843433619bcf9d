import * as z from "zod";
import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { pageSchema } from "../../shared/entities/fields.ts";
import { mapPage, pageQuery, parseIdList, toPageRequest } from "../../shared/rest/pages.ts";
import type { Principal } from "../../shared/rest/principal.ts";
import { customerColumns, subtypeSchema, toSubtypes, type ResourceDeps } from "../../shared/rest/resource.ts";
import { EVERY_ROLE, TENANT_ADMIN, TENANT_ROLES, validate, type RouteTable } from "../../shared/rest/route.ts";
import { runTransaction, type CloudUnitOfWork } from "../store/downlink-store.ts";
import { saveEdgeWithChains } from "../store/edge-chains.ts";
import {
  deleteEdge,
  EDGE_PRESENCES,
  edgeNotFound,
  findEdgeByName,
  findEdges,
  getEdge,
  listEdges,
  listEdgeTypes,
  readEdgeStatuses,
  rotateEdgeSecret,
  type Edge,
} from "../store/edge-store.ts";
import {
  edgeInfoSchema,
  edgeInput,
  edgeSchema,
  edgeToRest,
  readEdgeSchema,
  presenceToRest,
  toEdgeSave,
} from "./edge-form.ts";
import type { EdgeSessions } from "./edge-sessions.ts";

export interface EdgeDeps extends Pick<ResourceDeps, "db" | "clock" | "random"> {
  readonly sessions: EdgeSessions;
  readonly unitOfWork: CloudUnitOfWork;
  /** How long the secret before the newest one opens sessions. */
  readonly secretGraceMs: number;
  /** How long a claim code is good. */
  readonly claimCodeLifeMs: number;
}

const tag = "Edges";

/** The caller's edge: of its tenant and, for a customer user, of its customer. @throws AppError NOT_FOUND */
export async function readableEdge({ db }: Pick<EdgeDeps, "db">, principal: Principal, id: Uuid): Promise<Edge> {
  const edge = await getEdge(db, { id, tenantId: principal.tenantId });
  if (principal.authority === "CUSTOMER_USER" && edge.customerId !== principal.customerId) throw edgeNotFound(id);
  return edge;
}

/** Whether the caller, who is of its tenant, may read it. */
export function isVisible({ authority, customerId }: Principal, edge: Edge): boolean {
  return authority !== "CUSTOMER_USER" || edge.customerId === customerId;
}

export function addEdgeReadRoutes(routes: RouteTable, deps: EdgeDeps): void {
  const { db } = deps;
  routes.add(
    {
      method: "get",
      path: "/api/edges/enabled",
      tag,
      summary: "Whether edges are offered",
      access: EVERY_ROLE,
      answer: z.boolean(),
    },
    () => Promise.resolve(true),
  );
  routes.add(
    {
      method: "get",
      path: "/api/edge/types",
      tag,
      summary: "Types in use",
      access: TENANT_ROLES,
      answer: z.array(subtypeSchema),
    },
    async ({ principal: { tenantId } }) => toSubtypes(tenantId, "EDGE", await listEdgeTypes(db, tenantId)),
  );
  routes.add(
    {
      method: "get",
      path: "/api/edge/info/{edgeId}",
      tag,
      summary: "An edge with its presence",
      access: TENANT_ROLES,
      answer: edgeInfoSchema,
    },
    async (call) => {
      const edge = await readableEdge(deps, call.principal, call.uuid("edgeId"));
      return (await edgeInfos(deps, [edge]))(edge);
    },
  );
  routes.add(
    {
      method: "get",
      path: "/api/edge/{edgeId}",
      tag,
      summary: "An edge with its state",
      access: TENANT_ROLES,
      answer: readEdgeSchema,
    },
    async (call) => {
      const edge = await readableEdge(deps, call.principal, call.uuid("edgeId"));
      return (await edgesWithStatus(deps, [edge]))(edge);
    },
  );
  const byIds = async (principal: Principal, text: string) => {
    const edges = await findEdges(db, { tenantId: principal.tenantId, ids: parseIdList(text, "edgeIds") });
    const visible = edges.filter((edge) => isVisible(principal, edge));
    return visible.map(await edgesWithStatus(deps, visible));
  };
  const idsQuery = z.object({ edgeIds: z.string({ error: "Required request parameter 'edgeIds' is not present" }) });
  routes.add(
    {
      method: "get",
      path: "/api/edges/list",
      tag,
      summary: "Edges by id; unknown ids are left out",
      access: TENANT_ROLES,
      query: idsQuery,
      answer: z.array(readEdgeSchema),
    },
    ({ principal, query }) => byIds(principal, query.edgeIds),
  );
  routes.add(
    {
      method: "get",
      path: "/api/edges",
      tag,
      summary: "Edges of the tenant; with edgeIds those with these ids",
      access: TENANT_ROLES,
      query: optionalPageQuery.extend({ edgeIds: z.string().optional() }),
      answer: pageSchema(readEdgeSchema),
    },
    ({ principal, query }) => {
      if (query.edgeIds !== undefined) return byIds(principal, query.edgeIds);
      if (principal.authority !== "TENANT_ADMIN")
        throw new AppError("PERMISSION_DENIED", "You don't have permission to perform this operation!");
      return edgePage(deps, principal.tenantId, validate(listQuery, query));
    },
  );
}

const presenceQuery = z.enum(EDGE_PRESENCES).optional().meta({ description: "By the connection" });
const listQuery = pageQuery.extend({ type: z.string().optional(), presence: presenceQuery });
/** For lists that answer something else when another parameter is given. */
const optionalPageQuery = z.object({
  pageSize: z.string().optional(),
  page: z.string().optional(),
  textSearch: z.string().optional(),
  sortProperty: z.string().optional(),
  sortOrder: z.string().optional(),
  type: z.string().optional(),
  presence: z.string().optional(),
});

async function edgePage(deps: EdgeDeps, tenantId: Uuid, { type, presence, ...page }: z.output<typeof listQuery>) {
  const found = await listEdges(deps.db, { tenantId, type, presence }, toPageRequest(page));
  return mapPage(found, await edgesWithStatus(deps, found.data));
}

export function addEdgeListRoutes(routes: RouteTable, deps: EdgeDeps): void {
  const { db } = deps;
  const byName = async (tenantId: Uuid, name: string) => {
    const edge = await findEdgeByName(db, tenantId, name);
    if (edge === null) throw new AppError("NOT_FOUND", "Requested item wasn't found!");
    return (await edgesWithStatus(deps, [edge]))(edge);
  };
  routes.add(
    {
      method: "get",
      path: "/api/tenant/edge",
      tag,
      summary: "The edge with this name",
      access: TENANT_ADMIN,
      query: z.object({ edgeName: z.string({ error: "Required request parameter 'edgeName' is not present" }) }),
      answer: readEdgeSchema,
    },
    ({ principal, query }) => byName(principal.tenantId, query.edgeName),
  );
  routes.add(
    {
      method: "get",
      path: "/api/tenant/edges",
      tag,
      summary: "Edges of the tenant; with edgeName the one with this name",
      access: TENANT_ADMIN,
      query: optionalPageQuery.extend({ edgeName: z.string().optional() }),
      answer: pageSchema(readEdgeSchema),
    },
    ({ principal, query }) =>
      query.edgeName === undefined
        ? edgePage(deps, principal.tenantId, validate(listQuery, query))
        : byName(principal.tenantId, query.edgeName),
  );
  routes.add(
    {
      method: "get",
      path: "/api/tenant/edgeInfos",
      tag,
      summary: "Edges of the tenant with their presence",
      access: TENANT_ADMIN,
      query: listQuery,
      answer: pageSchema(edgeInfoSchema),
    },
    async ({ principal: { tenantId }, query: { type, presence, ...page } }) => {
      const found = await listEdges(db, { tenantId, type, presence }, toPageRequest(page));
      return mapPage(found, await edgeInfos(deps, found.data));
    },
  );
}

export async function edgeInfos(deps: EdgeDeps, edges: readonly Edge[]) {
  const [withStatus, customer] = await Promise.all([edgesWithStatus(deps, edges), customerColumns(deps.db, edges)]);
  return (edge: Edge) => ({ ...withStatus(edge), ...customer(edge) });
}

export async function edgesWithStatus({ db, clock }: EdgeDeps, edges: readonly Edge[]) {
  const ids = edges.map((edge) => edge.id);
  const statuses = await readEdgeStatuses(db, ids);
  const nowMs = clock.nowMs();
  return (edge: Edge) => ({
    ...edgeToRest(edge),
    status: presenceToRest({ status: statuses.get(edge.id), nowMs }),
  });
}

export function addEdgeWriteRoutes(routes: RouteTable, deps: EdgeDeps): void {
  const { db, sessions } = deps;
  routes.add(
    {
      method: "post",
      path: "/api/edge",
      tag,
      summary: "Create an edge, or update the one with this id",
      access: TENANT_ADMIN,
      body: edgeInput,
      answer: edgeSchema,
    },
    async ({ principal: { tenantId }, body }) => {
      const { edge, fence, newSecret } = await deps.unitOfWork.runEvents((tx) =>
        saveEdgeWithChains(tx, deps, toEdgeSave(body, tenantId)),
      );
      if (fence !== null) sessions.end({ edgeId: edge.id, fence, code: "UNAUTHENTICATED" });
      return edgeToRest(edge, newSecret);
    },
  );
  routes.add(
    {
      method: "post",
      path: "/api/edge/{edgeId}/secret",
      tag,
      summary: "Give an edge another secret, shown in this answer only; the old one still works for the grace time",
      access: TENANT_ADMIN,
      answer: edgeSchema,
    },
    async (call) => {
      const key = { id: call.uuid("edgeId"), tenantId: call.principal.tenantId, graceMs: deps.secretGraceMs };
      const { edge, newSecret } = await runTransaction(db, (tx) => rotateEdgeSecret(tx, deps, key));
      return edgeToRest(edge, newSecret);
    },
  );
  routes.add(
    {
      method: "delete",
      path: "/api/edge/{edgeId}",
      tag,
      summary: "Delete an edge; what was assigned to it stays",
      access: TENANT_ADMIN,
    },
    async (call) => {
      const id = call.uuid("edgeId");
      await runTransaction(db, (tx) => deleteEdge(tx, deps, { id, tenantId: call.principal.tenantId }));
      sessions.end({ edgeId: id, fence: Number.MAX_SAFE_INTEGER, code: "NOT_FOUND" });
    },
  );
}
