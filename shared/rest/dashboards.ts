import * as z from "zod";
import { parseUuid, type Uuid } from "../core/ids.ts";
import { customerSummary } from "../entities/customer.ts";
import {
  dashboardCustomers,
  dashboardForm,
  dashboardInfoSchema,
  dashboardInput,
  dashboardSchema,
  dashboardToRest,
} from "../entities/dashboard.ts";
import type { EntityRecord } from "../entities/entity-record.ts";
import { pageSchema, restId } from "../entities/fields.ts";
import { rawMember } from "../entities/json-member.ts";
import { ensurePublicCustomer } from "../store/customer-store.ts";
import { shareDashboard } from "../store/dashboard-store.ts";
import { saveForm } from "../store/entity-save.ts";
import { findCustomers, getEntity } from "../store/entity-store.ts";
import type { Outcome, Queryable } from "../store/unit-of-work.ts";
import { createResource, listQuery, showOne, type View } from "./entity-resource.ts";
import { addByIdsRoute, addDeleteRoute, showPage } from "./entity-routes.ts";
import { JSON_TYPE } from "./errors.ts";
import { exportNamedFiles, inlineImagesQuery, withInlineImages } from "./named-files.ts";
import type { OtaReadDeps } from "./ota-packages.ts";
import { booleanQuery } from "./pages.ts";
import { readableEntity, type ResourceDeps } from "./resource.ts";
import { EVERY_ROLE, parseJson, TENANT_ADMIN, TENANT_ROLES, validate, type Call, type RouteTable } from "./route.ts";

const info: View = { schema: dashboardInfoSchema, load: dashboardInfos };
const whole: View = { schema: dashboardSchema, load: wholeDashboards };

export const dashboardResource = createResource({
  form: dashboardForm,
  tag: "Dashboards",
  whole,
  listed: info,
  info,
  onEdge: info,
});

const { tag } = dashboardResource;

async function dashboardInfos(db: Queryable, records: readonly EntityRecord[]) {
  const customers = await findCustomers(db, [...new Set(records.flatMap(dashboardCustomers))]);
  return (record: EntityRecord) => ({
    ...dashboardToRest(record),
    assignedCustomers: dashboardCustomers(record).flatMap((id) => {
      const customer = customers.get(id);
      if (customer === undefined) return [];
      const { title, isPublic } = customerSummary(customer);
      return [{ customerId: restId("CUSTOMER", id), title, public: isPublic }];
    }),
  });
}

/** An answer of its own each: the configuration goes out as the text that came. */
async function wholeDashboards(db: Queryable, records: readonly EntityRecord[]) {
  const toInfo = await dashboardInfos(db, records);
  return (record: EntityRecord) => rawDashboard(record, toInfo(record));
}

/** The answer with a dashboard, and what there is to say beside it. */
export async function wholeDashboard(db: Queryable, record: EntityRecord, more: object): Promise<Response> {
  const toInfo = await dashboardInfos(db, [record]);
  return rawDashboard(record, { ...toInfo(record), ...more });
}

function rawDashboard({ content }: EntityRecord, info: object): Response {
  // Put together as bytes: a text that holds the configuration once more would be another 20 MB.
  const parts = [JSON.stringify(info).slice(0, -1), ',"configuration":', content ?? "null", "}"];
  return new Response(new Blob(parts), { headers: { "content-type": JSON_TYPE } });
}

export interface DashboardDeps extends ResourceDeps, OtaReadDeps {
  /**
   * Stores files that came with a dashboard; gives their links by what they are called in it.
   *
   * @default they are passed over
   */
  readonly importFiles?: (tenantId: Uuid, given: unknown) => Promise<ReadonlyMap<string, string>>;
}

export function addDashboardRoutes(routes: RouteTable, deps: DashboardDeps): void {
  addSettingRoutes(routes, deps);
  addDashboardInfoRoute(routes, deps);
  addWholeRoute(routes, deps);
  addListRoutes(routes, deps);
  addSaveRoute(routes, deps);
  addDeleteRoute(routes, deps, dashboardResource);
  addSharingRoutes(routes, deps);
}

const wholeQuery = inlineImagesQuery.extend({ includeResources: booleanQuery.optional() });

function addWholeRoute(routes: RouteTable, deps: DashboardDeps): void {
  const { db } = deps;
  routes.add(
    {
      method: "get",
      path: "/api/dashboard/{dashboardId}",
      tag,
      summary:
        "Dashboard by id; includeResources: with the files that it names, inlineImages: with images in place of links",
      access: dashboardResource.readers,
      query: wholeQuery,
      answer: whole.schema,
    },
    async (call) => {
      const { principal } = call;
      const { includeResources = false, inlineImages = false } = call.query;
      const record = await readableEntity(db, principal, { type: "DASHBOARD", id: call.uuid("dashboardId") });
      const resources = includeResources ? await exportNamedFiles(deps, principal, record) : null;
      const shown = inlineImages ? await withInlineImages(deps, principal, record) : record;
      return wholeDashboard(db, shown, { resources });
    },
  );
}

/** The system administrator, too, sees what dashboards are called. */
function addDashboardInfoRoute(routes: RouteTable, { db }: ResourceDeps): void {
  routes.add(
    {
      method: "get",
      path: "/api/dashboard/info/{dashboardId}",
      tag,
      summary: "Dashboard with what lists show of it",
      access: EVERY_ROLE,
      answer: info.schema,
    },
    async (call) => {
      const key = { type: "DASHBOARD", id: call.uuid("dashboardId") } as const;
      const { authority } = call.principal;
      const record =
        authority === "SYS_ADMIN" ? await getEntity(db, key) : await readableEntity(db, call.principal, key);
      return showOne(db, info, record);
    },
  );
}

/** Dashboards of a tenant for the system administrator. */
export function addTenantDashboardsRoute(routes: RouteTable, { db }: Pick<ResourceDeps, "db">): void {
  routes.add(
    {
      method: "get",
      path: "/api/tenant/{tenantId}/dashboards",
      tag,
      summary: "Dashboards of a tenant",
      access: ["SYS_ADMIN"],
      query: listQuery([]),
      answer: pageSchema(info.schema),
    },
    (call) =>
      showPage(db, dashboardResource, { scope: { tenantId: call.uuid("tenantId") }, query: call.query, view: info }),
  );
}

const DATAPOINTS_MAX = 50_000;

function addSettingRoutes(routes: RouteTable, { clock }: ResourceDeps): void {
  const number = { method: "get", tag, access: EVERY_ROLE, answer: z.int() } as const;
  routes.add({ ...number, path: "/api/dashboard/serverTime", summary: "The time of the server in ms" }, () =>
    Promise.resolve(clock.nowMs()),
  );
  routes.add(
    { ...number, path: "/api/dashboard/maxDatapointsLimit", summary: "Points that a widget may ask for at once" },
    () => Promise.resolve(DATAPOINTS_MAX),
  );
}

function addListRoutes(routes: RouteTable, deps: ResourceDeps): void {
  const { db } = deps;
  const query = listQuery(["mobile"]);
  const answer = pageSchema(info.schema);
  for (const path of ["/api/dashboards/list", "/api/dashboards"] as const) {
    addByIdsRoute(routes, deps, dashboardResource, { path, view: info, access: TENANT_ROLES });
  }
  routes.add(
    {
      method: "get",
      path: "/api/tenant/dashboards",
      tag,
      summary: "Dashboards of the tenant",
      access: TENANT_ADMIN,
      query,
      answer,
    },
    (call) =>
      showPage(db, dashboardResource, { scope: { tenantId: call.principal.tenantId }, query: call.query, view: info }),
  );
  routes.add(
    {
      method: "get",
      path: "/api/customer/{customerId}/dashboards",
      tag,
      summary: "Dashboards that a customer sees",
      access: TENANT_ROLES,
      query,
      answer,
    },
    async (call) => {
      const customer = await readableEntity(db, call.principal, { type: "CUSTOMER", id: call.uuid("customerId") });
      const scope = { tenantId: customer.tenantId, sharedWith: customer.id };
      return showPage(db, dashboardResource, { scope, query: call.query, view: info });
    },
  );
}

const BODY_EXAMPLE = '{"title":"Pumps","configuration":{"widgets":{}}}';

function addSaveRoute(routes: RouteTable, deps: DashboardDeps): void {
  routes.add(
    {
      method: "post",
      path: "/api/dashboard",
      tag,
      summary: "Create a dashboard, or update the one with this id; its configuration is kept as it is written",
      access: TENANT_ADMIN,
      textBody: BODY_EXAMPLE,
      answer: whole.schema,
    },
    async (call) => {
      const { tenantId } = call.principal;
      const { input, resources } = parseDashboard(await call.text());
      const links = resources.length === 0 ? undefined : await deps.importFiles?.(tenantId, resources);
      for (const [exported, link] of links ?? []) {
        if (exported === link) continue;
        input.configuration = input.configuration?.replaceAll(exported, link);
        input.image = input.image?.replaceAll(exported, link);
      }
      return showOne(
        deps.db,
        whole,
        await deps.unitOfWork.run((tx) => saveForm(tx, deps, { form: dashboardForm, tenantId, input })),
      );
    },
  );
}

/** @throws AppError INVALID_PAYLOAD, INVALID_ARGUMENT */
function parseDashboard(text: string) {
  const json = parseJson(text);
  if (typeof json !== "object" || json === null || Array.isArray(json))
    return { input: validate(dashboardInput, json), resources: [] };
  const { configuration: _parsed, resources, ...fields } = json as Record<string, unknown>;
  const configuration = rawMember(text, "configuration");
  const input = validate(dashboardInput, configuration === undefined ? fields : { ...fields, configuration });
  return { input, resources: Array.isArray(resources) ? resources : [] };
}

/** Who sees a dashboard. */
function addSharingRoutes(routes: RouteTable, deps: ResourceDeps): void {
  const { db, unitOfWork } = deps;
  const share = async (
    call: Call<unknown, unknown>,
    work: (tx: Queryable, key: { readonly id: Uuid; readonly tenantId: Uuid }) => Promise<Outcome<EntityRecord>>,
  ): Promise<unknown> => {
    const key = { id: call.uuid("dashboardId"), tenantId: call.principal.tenantId };
    return showOne(db, whole, await unitOfWork.run((tx) => work(tx, key)));
  };
  const route = { tag, access: TENANT_ADMIN, answer: whole.schema } as const;
  for (const [method, verb] of [
    ["post", "Show the dashboard to"],
    ["delete", "Hide the dashboard from"],
  ] as const) {
    const change = (ids: readonly Uuid[], id: Uuid): readonly Uuid[] =>
      method === "post" ? [...ids, id] : ids.filter((other) => other !== id);
    routes.add(
      { ...route, method, path: "/api/customer/public/dashboard/{dashboardId}", summary: `${verb} everybody` },
      (call) =>
        share(call, async (tx, key) => {
          const customer = await ensurePublicCustomer(tx, deps, key.tenantId);
          const shared = await shareDashboard(tx, key, (ids) => change(ids, customer.result.id));
          return { result: shared.result, changes: [...customer.changes, ...shared.changes] };
        }),
    );
    routes.add(
      { ...route, method, path: "/api/customer/{customerId}/dashboard/{dashboardId}", summary: `${verb} a customer` },
      (call) => share(call, (tx, key) => shareDashboard(tx, key, (ids) => change(ids, call.uuid("customerId")))),
    );
  }
  const idList = z.array(z.string({ error: "Incorrect customer id: a text is expected" })).max(1000);
  const addListRoute = (
    suffix: string,
    summary: string,
    change: (before: readonly Uuid[], given: readonly Uuid[]) => readonly Uuid[],
  ): void =>
    routes.add(
      { ...route, method: "post", path: `/api/dashboard/{dashboardId}/customers${suffix}`, summary, body: idList },
      (call) => {
        const given = call.body.map((id) => parseUuid(id, "customerId"));
        return share(call, (tx, key) => shareDashboard(tx, key, (before) => change(before, given)));
      },
    );
  addListRoute("", "Show the dashboard to these customers only", (_, given) => given);
  addListRoute("/add", "Show the dashboard to these customers too", (before, given) => [...before, ...given]);
  addListRoute("/remove", "Hide the dashboard from these customers", (before, given) =>
    before.filter((id) => !given.includes(id)),
  );
}
