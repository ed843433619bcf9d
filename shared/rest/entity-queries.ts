import * as z from "zod";
import { alarmCountQuery, alarmDataQuery, alarmDataSchema } from "../entities/alarm-query.ts";
import { ATTRIBUTE_SCOPES } from "../entities/attributes.ts";
import { entityCountQuery, entityDataQuery, entityDataSchema } from "../entities/entity-query.ts";
import { pageSchema } from "../entities/fields.ts";
import { countAlarmsOf, findAlarmData, type AlarmQueryContext } from "../store/alarm-query.ts";
import {
  countEntities,
  findEntityData,
  findEntityKeys,
  type EntitySources,
  type QueryContext,
} from "../store/entity-query.ts";
import { booleanQuery } from "./pages.ts";
import type { Principal } from "./principal.ts";
import { visibleTo, type ResourceDeps } from "./resource.ts";
import { EVERY_ROLE, TENANT_ROLES, type RouteTable } from "./route.ts";

export interface EntityQueryDeps extends Pick<ResourceDeps, "clock" | "db"> {
  /** Kinds of entities that lie in tables of their own. @default none */
  readonly entitySources?: EntitySources;
  /** Resolves when the newest values of what was saved can be read. @default at once */
  readonly settleLatest?: () => Promise<void>;
}

const tag = "Entity queries";

/** What a caller may ask about. */
export function queryContext(
  { entitySources }: Pick<EntityQueryDeps, "entitySources">,
  principal: Principal,
): QueryContext {
  const { customerId, tenantId, userId } = principal;
  return { scope: visibleTo(principal), sources: entitySources, asker: { customerId, tenantId, userId } };
}

/** What a caller may ask about alarms. */
export function alarmContext(
  deps: Pick<EntityQueryDeps, "clock" | "entitySources">,
  principal: Principal,
): AlarmQueryContext {
  return { ...queryContext(deps, principal), nowMs: deps.clock.nowMs() };
}

/** Entities of any kind by type, name, relations and values. */
export function addEntityQueryRoutes(routes: RouteTable, deps: EntityQueryDeps): void {
  const { db } = deps;
  routes.add(
    {
      method: "post",
      path: "/api/entitiesQuery/count",
      tag,
      summary: "How many entities there are",
      access: EVERY_ROLE,
      body: entityCountQuery,
      answer: z.int(),
    },
    async ({ body, principal }) => {
      await deps.settleLatest?.();
      return countEntities(db, queryContext(deps, principal), body);
    },
  );
  routes.add(
    {
      method: "post",
      path: "/api/entitiesQuery/find",
      tag,
      summary: "A page of entities with their fields and newest values, all as text",
      access: EVERY_ROLE,
      body: entityDataQuery,
      answer: pageSchema(entityDataSchema),
    },
    async ({ body, principal }) => {
      await deps.settleLatest?.();
      return findEntityData(db, queryContext(deps, principal), body);
    },
  );
  routes.add(
    {
      method: "post",
      path: "/api/entitiesQuery/find/keys",
      tag,
      summary: "Names of the telemetry and attributes that entities have",
      access: EVERY_ROLE,
      query: z.object({
        timeseries: booleanQuery.optional(),
        attributes: booleanQuery.optional(),
        scope: z
          .enum(ATTRIBUTE_SCOPES, { error: (issue) => `Invalid scope: ${String(issue.input).slice(0, 64)}` })
          .optional()
          .meta({ description: "Of the attributes; absent: all" }),
      }),
      body: entityCountQuery,
      answer: z.object({
        timeseries: z.array(z.string()),
        attribute: z.array(z.string()),
        entityTypes: z.array(z.string()),
      }),
    },
    async ({ body, principal, query }) => {
      await deps.settleLatest?.();
      const found = await findEntityKeys(db, queryContext(deps, principal), body, query.scope);
      return {
        timeseries: query.timeseries === false ? [] : found.timeseries,
        attribute: query.attributes === false ? [] : found.attribute,
        entityTypes: found.entityTypes,
      };
    },
  );
  addAlarmQueryRoutes(routes, deps);
}

/** Alarms of the entities that a query finds. */
function addAlarmQueryRoutes(routes: RouteTable, deps: EntityQueryDeps): void {
  const spec = { method: "post", tag, access: TENANT_ROLES } as const;
  routes.add(
    {
      ...spec,
      path: "/api/alarmsQuery/find",
      summary: "A page of alarms of entities, with fields and newest values of these",
      body: alarmDataQuery,
      answer: pageSchema(alarmDataSchema),
    },
    async ({ body, principal }) => {
      await deps.settleLatest?.();
      return findAlarmData(deps.db, alarmContext(deps, principal), body);
    },
  );
  routes.add(
    {
      ...spec,
      path: "/api/alarmsQuery/count",
      summary: "How many alarms there are",
      body: alarmCountQuery,
      answer: z.int(),
    },
    ({ body, principal }) => countAlarmsOf(deps.db, alarmContext(deps, principal), body),
  );
}
