import * as z from "zod";
import type { Uuid } from "../core/ids.ts";
import type { EntityRef } from "../entities/change.ts";
import { entityIdSchema, pageSchema, restId } from "../entities/fields.ts";
import type { LifecycleEvent } from "../entities/lifecycle-event.ts";
import { toPage, type Page, type PageRequest } from "../store/entity-store.ts";
import { mapPage, timePageQuery, toPageRequest } from "./pages.ts";
import type { Principal } from "./principal.ts";
import { readableRef, type ResourceDeps } from "./resource.ts";
import { TENANT_ADMIN, validate, type Call, type RouteTable } from "./route.ts";
import { ruleDebugEventSchema, ruleDebugEventToRest, type RuleDebugSource } from "./rule-debug.ts";

/** The sessions of edges, on the side that keeps them. */
export interface LifecycleSource {
  /** @throws AppError NOT_FOUND for an edge that the caller may not read */
  check(principal: Principal, edgeId: Uuid): Promise<void>;
  list(edgeId: Uuid, page: PageRequest): Promise<Page<LifecycleEvent>>;
  clear(edgeId: Uuid, range: { readonly startTime: number; readonly endTime: number }): Promise<void>;
}

export interface EntityEventDeps extends Pick<ResourceDeps, "clock" | "db"> {
  /** @default none are kept */
  readonly lifecycle?: LifecycleSource;
  /** @default no nodes run here */
  readonly ruleDebug?: RuleDebugSource;
}

const lifecycleEventSchema = z
  .object({
    id: z.object({ id: z.uuid() }),
    createdTime: z.int(),
    tenantId: entityIdSchema,
    entityId: entityIdSchema,
    type: z.literal("LC_EVENT"),
    uid: z.string(),
    body: z.object({
      server: z.string().meta({ description: "The cloud process that held the session" }),
      event: z.enum(["CONNECTED", "DISCONNECTED"]),
      success: z.boolean().meta({ description: "False for a session that did not end in an orderly way" }),
      error: z.string().nullable().meta({ description: "Why the session ended; a code" }),
      session: z.int(),
      edgeVersion: z.string(),
    }),
  })
  .meta({ id: "LifecycleEvent" });

const EVENT_TYPES = ["LC_EVENT", "STATS", "ERROR", "DEBUG_RULE_NODE", "DEBUG_RULE_CHAIN"] as const;

const eventType = z.enum(EVENT_TYPES, { error: `Unsupported event type: expected one of ${EVENT_TYPES.join(", ")}` });

const filterInput = z
  .object({
    eventType,
    server: z.string().nullish(),
    event: z.string().nullish(),
    status: z.string().nullish().meta({ description: "Success or Failure" }),
    errorStr: z.string().nullish(),
  })
  .meta({ id: "EventFilter" });
type EventFilter = z.output<typeof filterInput>;

const query = timePageQuery.extend({ tenantId: z.string().optional() });
const clearQuery = timePageQuery.pick({ startTime: true, endTime: true });

const tag = "Events";
/** All that are kept of one. */
const ALL: PageRequest = { pageSize: 1_000, page: 0 };

/**
 * Events of entities: of an edge when it connected and disconnected, in its newest 500 sessions; of a node of a rule chain that is debugged
 * what came and went, where it runs; of others none are kept.
 */
export function addEntityEventRoutes(routes: RouteTable, deps: EntityEventDeps): void {
  const answer = pageSchema(z.union([lifecycleEventSchema, ruleDebugEventSchema]));
  routes.add(
    {
      method: "get",
      path: "/api/events/{entityType}/{entityId}/{eventType}",
      tag,
      summary: "Events of an entity, the newest first: of an edge when it connected and disconnected",
      access: TENANT_ADMIN,
      query,
      answer,
    },
    (call) => eventPage(deps, call, { eventType: validate(eventType, call.param("eventType")) }),
  );
  routes.add(
    {
      method: "post",
      path: "/api/events/{entityType}/{entityId}",
      tag,
      summary: "Events of an entity that pass a filter",
      access: TENANT_ADMIN,
      query,
      body: filterInput,
      answer,
    },
    (call) => eventPage(deps, call, call.body),
  );
  routes.add(
    {
      method: "post",
      path: "/api/events/{entityType}/{entityId}/clear",
      tag,
      summary: "Forget events of an entity; what of an edge's session goes on stays",
      access: TENANT_ADMIN,
      query: clearQuery,
      body: z.object({ eventType: eventType.nullish() }),
    },
    async (call) => {
      const ref = await readRef(deps, call);
      if (isOfRules(ref)) deps.ruleDebug?.forget(ref.id);
      if (ref.type !== "EDGE" || (call.body.eventType ?? "LC_EVENT") !== "LC_EVENT") return;
      const { startTime = 0, endTime = Math.round(deps.clock.nowMs()) } = call.query;
      await deps.lifecycle?.clear(ref.id, { startTime, endTime });
    },
  );
}

/** Where nodes run there is one tenant. */
function isOfRules({ type }: EntityRef): boolean {
  return type === "RULE_NODE" || type === "RULE_CHAIN";
}

async function readRef(
  { db, lifecycle, ruleDebug }: EntityEventDeps,
  call: Call<unknown, unknown>,
): Promise<EntityRef> {
  const ref = { type: call.param("entityType"), id: call.uuid("entityId") };
  if (ruleDebug !== undefined && isOfRules(ref)) return ref;
  if (ref.type === "EDGE" && lifecycle !== undefined) await lifecycle.check(call.principal, ref.id);
  else await readableRef(db, call.principal, ref);
  return ref;
}

async function eventPage(deps: EntityEventDeps, call: Call<z.output<typeof query>, unknown>, filter: EventFilter) {
  const ref = await readRef(deps, call);
  const page: PageRequest = {
    ...toPageRequest(call.query),
    sortOrder: call.query.sortOrder?.toUpperCase() === "ASC" ? "ASC" : "DESC",
  };
  const { lifecycle, ruleDebug } = deps;
  if (ruleDebug !== undefined && isOfRules(ref)) {
    const { startTime = 0, endTime = Infinity } = page;
    const isAsked = filter.eventType === "DEBUG_RULE_NODE" || filter.eventType === "DEBUG_RULE_CHAIN";
    const events = isAsked ? ruleDebug.list(ref.id) : [];
    const within = events.filter(({ createdMs }) => createdMs >= startTime && createdMs <= endTime);
    const ordered = page.sortOrder === "ASC" ? within.toReversed() : within;
    const first = page.pageSize * page.page;
    const some = toPage(ordered.slice(first, first + page.pageSize), ordered.length, page);
    return mapPage(some, (event) => ruleDebugEventToRest(event, call.principal.tenantId));
  }
  if (ref.type !== "EDGE" || filter.eventType !== "LC_EVENT" || lifecycle === undefined) return toPage([], 0, page);
  const { startTime, endTime, sortOrder } = page;
  const { data } = await lifecycle.list(ref.id, { ...ALL, startTime, endTime, sortOrder });
  const found = data.filter((event) => passes(filter, event));
  const start = page.pageSize * page.page;
  const shown = toPage(found.slice(start, start + page.pageSize), found.length, page);
  return mapPage(shown, (event) => eventToRest({ tenantId: call.principal.tenantId, ref }, event));
}

function passes({ errorStr, event, server, status }: EventFilter, happened: LifecycleEvent): boolean {
  const contains = (text: string, part: string | null | undefined): boolean =>
    text.toLowerCase().includes((part ?? "").toLowerCase());
  const isStatus = !status || contains(isOrderly(happened) ? "success" : "failure", status);
  return (
    isStatus &&
    contains(happened.replicaId, server) &&
    contains(happened.event, event) &&
    contains(happened.reason ?? "", errorStr)
  );
}

function isOrderly({ reason }: LifecycleEvent): boolean {
  return reason === null || reason === "CANCELLED";
}

function eventToRest(
  { ref, tenantId }: { readonly ref: EntityRef; readonly tenantId: Uuid },
  event: LifecycleEvent,
): z.input<typeof lifecycleEventSchema> {
  const { edgeVersion, reason, session } = event;
  return {
    id: { id: event.id },
    createdTime: event.createdMs,
    tenantId: restId("TENANT", tenantId),
    entityId: restId("EDGE", ref.id),
    type: "LC_EVENT",
    uid: event.id,
    body: {
      server: event.replicaId,
      event: event.event,
      success: isOrderly(event),
      error: reason,
      session,
      edgeVersion,
    },
  };
}
