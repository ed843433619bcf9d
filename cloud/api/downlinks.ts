import * as z from "zod";
import { AppError } from "../../shared/core/errors.ts";
import { entityIdSchema, pageSchema, restId } from "../../shared/entities/fields.ts";
import type { Log } from "../../shared/observe/log.ts";
import { mapPage, timePageQuery, toPageRequest } from "../../shared/rest/pages.ts";
import { TENANT_ADMIN, type RouteTable } from "../../shared/rest/route.ts";
import { discardFailed, findDownlinkSeq, replayFailed } from "../store/downlink-replay.ts";
import { DOWNLINK_STATES, listDownlinks, type CloudUnitOfWork, type DownlinkStatus } from "../store/downlink-store.ts";
import { readEdgeStatuses } from "../store/edge-store.ts";
import { readableEdge, type EdgeDeps } from "./edges.ts";

export interface DownlinkDeps extends EdgeDeps {
  readonly unitOfWork: CloudUnitOfWork;
  readonly log: Log;
}

const edgeEventSchema = z
  .object({
    id: z.object({ id: z.uuid() }),
    createdTime: z.int(),
    seqId: z.int(),
    tenantId: entityIdSchema,
    edgeId: entityIdSchema,
    action: z.string(),
    entityId: z.uuid(),
    uid: z.string(),
    type: z.string(),
    body: z.record(z.string(), z.unknown()).nullable(),
    state: z.enum(DOWNLINK_STATES),
    reason: z.string().nullable(),
    appliedTime: z.int().nullable(),
    replaySeqId: z.int().nullable().meta({ description: "The event that was made in place of a refused one" }),
  })
  .meta({ id: "EdgeEvent" });

/** What was and is on its way to an edge, with the state of each. */
export function addDownlinkRoutes(routes: RouteTable, deps: DownlinkDeps): void {
  const { db, sessions } = deps;
  routes.add(
    {
      method: "get",
      path: "/api/edge/{edgeId}/events",
      tag: "Edges",
      summary: "Downlinks of an edge with their state",
      access: TENANT_ADMIN,
      query: timePageQuery.extend({ state: z.enum(DOWNLINK_STATES).optional() }),
      answer: pageSchema(edgeEventSchema),
    },
    async (call) => {
      const { id } = await readableEdge(deps, call.principal, call.uuid("edgeId"));
      const status = (await readEdgeStatuses(db, [id])).get(id);
      const sentElsewhere = status?.isConnected === true ? status.downlinkSent : 0;
      const sentSeq = sessions.sentSeq(id) ?? sentElsewhere;
      const { state, ...query } = call.query;
      const filter = { edgeId: id, sentSeq, ackedSeq: status?.downlinkAcked ?? 0, state };
      return mapPage(await listDownlinks(db, filter, toPageRequest(query)), downlinkToRest);
    },
  );
  addDecisionRoutes(routes, deps);
}

const replaySchema = z
  .object({ replayed: z.array(z.int()).meta({ description: "seqId of the events that were made" }) })
  .meta({ id: "DownlinkReplay" });

const codeQuery = z.object({ code: z.string().optional().meta({ description: "Of the refusal, e.g. NOT_FOUND" }) });

/** What an edge refused is sent again, or given up. `event` is the seqId or the id of an event. */
function addDecisionRoutes(routes: RouteTable, deps: DownlinkDeps): void {
  const { db, log, unitOfWork } = deps;
  const common = { tag: "Edges", access: TENANT_ADMIN } as const;
  routes.add(
    {
      ...common,
      method: "post",
      path: "/api/edge/{edgeId}/events/{event}/replay",
      summary: "Send a downlink that the edge refused again, with the state of now",
      answer: replaySchema,
    },
    async (call) => {
      const { id } = await readableEdge(deps, call.principal, call.uuid("edgeId"));
      const seq = await findDownlinkSeq(db, id, call.param("event"));
      const replayed = await replayFailed(unitOfWork, { edgeId: id, seq });
      if (replayed.length === 0) throw notFailed(seq);
      return { replayed };
    },
  );
  routes.add(
    {
      ...common,
      method: "post",
      path: "/api/edge/{edgeId}/events/replay",
      summary: "Send all downlinks that the edge refused again, at most 1,000 a call",
      query: codeQuery,
      answer: replaySchema,
    },
    async (call) => {
      const { id } = await readableEdge(deps, call.principal, call.uuid("edgeId"));
      return { replayed: await replayFailed(unitOfWork, { edgeId: id, code: call.query.code }) };
    },
  );
  routes.add(
    {
      ...common,
      method: "delete",
      path: "/api/edge/{edgeId}/events/{event}",
      summary: "Give a downlink that the edge refused up",
    },
    async (call) => {
      const { id } = await readableEdge(deps, call.principal, call.uuid("edgeId"));
      const seq = await findDownlinkSeq(db, id, call.param("event"));
      if ((await discardFailed(db, { edgeId: id, seq })) === 0) throw notFailed(seq);
      // A change is given up: who did it has to be found later.
      log.warn("Failed downlink was discarded", { edgeId: id, seq, userId: call.principal.userId });
    },
  );
}

function notFailed(seq: number): AppError {
  return new AppError("NOT_FOUND", `Event ${seq} is not one that the edge refused and nobody has decided about`);
}

function downlinkToRest(event: DownlinkStatus): z.input<typeof edgeEventSchema> {
  return {
    id: { id: event.id },
    createdTime: event.createdMs,
    seqId: event.seq,
    tenantId: restId("TENANT", event.tenantId),
    edgeId: restId("EDGE", event.edgeId),
    // Clients of the convention refuse actions that they don't know; it is the edge that will say what the entity is.
    action: event.action === "ENTITY_MERGE_REQUEST" ? "UPDATED" : event.action,
    entityId: event.entityId,
    uid: event.id,
    type: event.type,
    body: event.body,
    state: event.state,
    reason: event.reason,
    appliedTime: event.appliedMs,
    replaySeqId: event.replaySeq,
  };
}
