import * as z from "zod";
import { AppError } from "../../shared/core/errors.ts";
import type { SentChange } from "../../shared/entities/change.ts";
import { pageSchema } from "../../shared/entities/fields.ts";
import type { Log } from "../../shared/observe/log.ts";
import { mapPage, pageQuery, toPageRequest } from "../../shared/rest/pages.ts";
import type { RouteTable } from "../../shared/rest/route.ts";
import { UPLINK_LANES } from "../../shared/sync/lanes.ts";
import type { ParkedContent, ParkedFilter, ParkedItem, ParkedItems } from "../store/parked-items.ts";

// What the cloud refused for good: listed, sent again, given up.

export interface ParkedDeps {
  readonly parked: Pick<ParkedItems, "list" | "replay" | "discard">;
  readonly log: Log;
}

const ADMINISTRATORS = ["SYS_ADMIN", "TENANT_ADMIN"] as const;

const laneSchema = z.enum(UPLINK_LANES, { error: `Expected lane ${UPLINK_LANES.join(" or ")}` });

const filterQuery = z.object({
  lane: laneSchema.optional(),
  code: z.string().optional().meta({ description: "Of the refusal, e.g. NOT_FOUND" }),
});

export const parkedItemSchema = z
  .object({
    lane: laneSchema,
    seq: z.int(),
    code: z.string(),
    reason: z.string(),
    refusedBy: z.string().meta({ description: "Version of the cloud that refused" }),
    parkedTime: z.int(),
    entity: z.object({ entityType: z.string(), id: z.string() }).nullable(),
    body: z.record(z.string(), z.unknown()).nullable().meta({ description: "What was sent; credentials are left out" }),
  })
  .meta({ id: "ParkedItem" });

export const replayResultSchema = z
  .object({
    replayed: z.int(),
    kept: z.int().meta({ description: "Still parked: what they are about is no longer on this edge" }),
  })
  .meta({ id: "ReplayResult" });

export const discardResultSchema = z.object({ discarded: z.int() }).meta({ id: "DiscardResult" });

const SORT_PROPERTIES: ReadonlySet<string> = new Set(["", "parkedTime", "createdTime"]);

export function addParkedRoutes(routes: RouteTable, deps: ParkedDeps): void {
  const { parked } = deps;
  const common = { tag: "Edge", access: ADMINISTRATORS } as const;
  routes.add(
    {
      ...common,
      method: "get",
      path: "/api/edge/parked",
      summary: "What the cloud refused for good, with the reason",
      query: pageQuery.extend(filterQuery.shape),
      answer: pageSchema(parkedItemSchema),
    },
    async ({ query: { lane, code, ...query } }) => {
      const request = toPageRequest(query);
      checkSortProperty(request.sortProperty);
      return mapPage(await parked.list({ lane, code }, request), parkedToRest);
    },
  );
  addReplayRoutes(routes, deps);
  routes.add(
    {
      ...common,
      method: "delete",
      path: "/api/edge/parked/{lane}/{seq}",
      summary: "Give a parked item up",
      answer: discardResultSchema,
    },
    async (call) => {
      const item = readItem(call.param("lane"), call.param("seq"));
      const result = await discard(deps, item, call.principal.userId);
      if (result.discarded === 0) throw notParked(item);
      return result;
    },
  );
  routes.add(
    {
      ...common,
      method: "delete",
      path: "/api/edge/parked",
      summary: "Give up all parked items, or those of a lane or with a code",
      query: filterQuery,
      answer: discardResultSchema,
    },
    ({ principal, query }) => discard(deps, query, principal.userId),
  );
}

function addReplayRoutes(routes: RouteTable, { parked, log }: ParkedDeps): void {
  const common = { method: "post", tag: "Edge", access: ADMINISTRATORS, answer: replayResultSchema } as const;
  routes.add(
    { ...common, path: "/api/edge/parked/{lane}/{seq}/replay", summary: "Send a parked item again" },
    async (call) => {
      const item = readItem(call.param("lane"), call.param("seq"));
      const result = await parked.replay(item);
      if (result.kept > 0) {
        throw new AppError("INVALID_ARGUMENT", "What the item is about is no longer on this edge; discard it");
      }
      if (result.replayed === 0) throw notParked(item);
      log.info("Parked item is sent again", { ...item, userId: call.principal.userId });
      return result;
    },
  );
  routes.add(
    {
      ...common,
      path: "/api/edge/parked/replay",
      summary: "Send all parked items again, or those of a lane or with a code",
      query: filterQuery,
    },
    async ({ principal, query }) => {
      const result = await parked.replay(query);
      log.info("Parked items are sent again", { ...query, ...result, userId: principal.userId });
      return result;
    },
  );
}

async function discard({ parked, log }: ParkedDeps, filter: ParkedFilter, userId: string) {
  const discarded = await parked.discard(filter);
  // Data is given up: who did it has to be found later.
  if (discarded > 0) log.warn("Parked items were discarded", { ...filter, discarded, userId });
  return { discarded };
}

function readItem(laneText: string, seqText: string): { readonly lane: ParkedItem["lane"]; readonly seq: number } {
  const lane = UPLINK_LANES.find((known) => known === laneText);
  if (lane === undefined)
    throw new AppError("INVALID_ARGUMENT", `Expected lane ${UPLINK_LANES.join(" or ")}`, { field: "lane" });
  if (!/^\d{1,15}$/.test(seqText))
    throw new AppError("INVALID_ARGUMENT", "Expected a sequence number", { field: "seq" });
  return { lane, seq: Number(seqText) };
}

function notParked({ lane, seq }: { readonly lane: string; readonly seq: number }): AppError {
  return new AppError("NOT_FOUND", `No item ${seq} of lane ${lane} is parked`);
}

function checkSortProperty(name = ""): void {
  if (SORT_PROPERTIES.has(name)) return;
  throw new AppError("INVALID_ARGUMENT", `Unsupported sort property '${name.slice(0, 32)}'!`, {
    field: "sortProperty",
  });
}

function parkedToRest({ content, parkedMs, ...item }: ParkedItem): z.input<typeof parkedItemSchema> {
  return { ...item, parkedTime: parkedMs, entity: entityOf(content), body: bodyOf(content) };
}

function entityOf(content: ParkedContent): { readonly entityType: string; readonly id: string } | null {
  switch (content.kind) {
    case "change":
      return { entityType: content.change.entity.type, id: content.change.entity.id };
    case "record":
      return { entityType: "DEVICE", id: content.entityId };
    case "unreadable":
      return null;
  }
}

function bodyOf(content: ParkedContent): Record<string, unknown> | null {
  switch (content.kind) {
    case "change":
      return changeToBody(content.change);
    case "record":
      return { ts: content.tsMs, values: JSON.parse(content.values) };
    case "unreadable":
      return null;
  }
}

function changeToBody(change: SentChange): Record<string, unknown> {
  const { kind } = change;
  switch (change.kind) {
    case "large-change":
      return { kind, bytes: change.content.bytes };
    case "entity-saved":
      return { kind, entity: JSON.parse(change.body) };
    case "entity-removed":
      return { kind, deleted: change.deleted };
    case "attributes-saved": {
      const attributes = change.attributes.map(({ key, value }): [string, unknown] => [key, JSON.parse(value)]);
      return { kind, scope: change.scope, attributes: Object.fromEntries(attributes) };
    }
    case "attributes-deleted":
      return { kind, scope: change.scope, keys: change.keys };
    case "credentials-saved":
      return { kind, credentialsType: change.credentialsType };
    case "entity-wanted":
    case "user-saved":
    case "alarm-removed":
      return { kind };
    case "alarm-saved":
      return { kind, alarm: JSON.parse(change.body) };
    case "alarm-comment-saved":
      return { kind, comment: JSON.parse(change.body) };
    case "relation-saved":
      return { kind, relation: JSON.parse(change.body) };
    case "rpc-saved":
      return { kind, rpc: JSON.parse(change.body) };
    case "backfill-saved":
      return { kind, backfill: JSON.parse(change.body) };
    case "telemetry-gap":
      return { kind, startTs: change.fromMs, endTs: change.toMs, records: change.records, reason: change.reason };
  }
}
