import * as z from "zod";
import { NULL_UUID, parseUuid } from "../../shared/core/ids.ts";
import { BACKFILL_KEYS_MAX, BACKFILL_STATES } from "../../shared/entities/backfill.ts";
import { entityIdSchema, pageSchema, restId } from "../../shared/entities/fields.ts";
import { mapPage, pageQuery, toPageRequest } from "../../shared/rest/pages.ts";
import { TENANT_ADMIN, type Call, type RouteTable } from "../../shared/rest/route.ts";
import type { StoredBackfill } from "../../shared/store/backfill-store.ts";
import type { StoreDeps } from "../../shared/store/store-deps.ts";
import { cancelBackfill, getBackfill, listBackfills, requestBackfill } from "../store/backfill-requests.ts";
import type { CloudUnitOfWork } from "../store/downlink-store.ts";
import { readableEdge, type EdgeDeps } from "./edges.ts";

export interface BackfillDeps extends EdgeDeps, StoreDeps {
  readonly unitOfWork: CloudUnitOfWork;
}

const backfillInput = z
  .object({
    entityId: z.object({
      entityType: z.string({ error: "Entity type should be specified!" }).max(64),
      id: z.uuid({ error: "Invalid UUID string" }),
    }),
    keys: z
      .array(z.string().min(1).max(255))
      .min(1)
      .max(BACKFILL_KEYS_MAX)
      .nullish()
      .meta({ description: "Without it all keys" }),
    startTs: z.int(),
    endTs: z.int().meta({ description: "Not included" }),
  })
  .refine(({ endTs, startTs }) => startTs < endTs, { error: "startTs should be before endTs!", path: ["endTs"] })
  .meta({ id: "BackfillInput" });

const backfillSchema = z
  .object({
    id: z.object({ id: z.uuid() }),
    createdTime: z.int(),
    updatedTime: z.int(),
    edgeId: entityIdSchema,
    entityId: entityIdSchema,
    keys: z.array(z.string()).nullable(),
    startTs: z.int(),
    endTs: z.int(),
    state: z.enum(BACKFILL_STATES),
    reason: z.string().nullable(),
    sentUpToTs: z.int().meta({ description: "Everything that was measured before this time is on its way, or here" }),
    records: z.int().meta({ description: "Records that the edge has sent" }),
  })
  .meta({ id: "Backfill" });

const tag = "Edges";

/** History that an edge has and did not send, because it was thinned or is from before the edge had a cloud. */
export function addBackfillRoutes(routes: RouteTable, deps: BackfillDeps): void {
  const { db, unitOfWork } = deps;
  const path = "/api/edge/{edgeId}/backfill";
  const common = { tag, access: TENANT_ADMIN } as const;
  const edgeOf = async (call: Pick<Call<unknown, unknown>, "principal" | "uuid">) =>
    (await readableEdge(deps, call.principal, call.uuid("edgeId"))).id;
  routes.add(
    {
      ...common,
      method: "post",
      path,
      summary:
        "Have an edge send history of a device, which it has and did not send; an edge that is offline does it later",
      body: backfillInput,
      answer: backfillSchema,
    },
    async (call) => {
      const { endTs: endMs, entityId, keys = null, startTs: startMs } = call.body;
      const entity = { type: entityId.entityType, id: parseUuid(entityId.id, "entityId.id") };
      const question = { edgeId: await edgeOf(call), entity, keys, startMs, endMs };
      return backfillToRest(await requestBackfill(unitOfWork, deps, question));
    },
  );
  routes.add(
    {
      ...common,
      method: "get",
      path,
      summary: "Requests for history of an edge, newest first",
      query: pageQuery,
      answer: pageSchema(backfillSchema),
    },
    async (call) => mapPage(await listBackfills(db, await edgeOf(call), toPageRequest(call.query)), backfillToRest),
  );
  const one = { ...common, answer: backfillSchema } as const;
  routes.add(
    { ...one, method: "get", path: `${path}/{backfillId}`, summary: "A request for history, and how far it came" },
    async (call) => backfillToRest(await getBackfill(db, { edgeId: await edgeOf(call), id: call.uuid("backfillId") })),
  );
  routes.add(
    {
      ...one,
      method: "post",
      path: `${path}/{backfillId}/cancel`,
      summary: "Cancel a request for history; what was sent stays, and what has ended stays as it is",
    },
    async (call) => {
      const key = { edgeId: await edgeOf(call), id: call.uuid("backfillId") };
      return backfillToRest(await cancelBackfill(unitOfWork, deps, key));
    },
  );
}

function backfillToRest({ edgeId, record, updatedMs }: StoredBackfill): z.input<typeof backfillSchema> {
  return {
    id: { id: record.id },
    createdTime: record.createdMs,
    updatedTime: updatedMs,
    edgeId: restId("EDGE", edgeId ?? NULL_UUID),
    entityId: { entityType: record.entity.type, id: record.entity.id },
    keys: record.keys === null ? null : [...record.keys],
    startTs: record.startMs,
    endTs: record.endMs,
    state: record.state,
    reason: record.reason,
    sentUpToTs: record.nextMs,
    records: record.records,
  };
}
