import * as z from "zod";
import { AppError } from "../core/errors.ts";
import type { Uuid } from "../core/ids.ts";
import type { EntityInput } from "../entities/entity-kind.ts";
import { pageSchema } from "../entities/fields.ts";
import { assignCustomer, assignPublicCustomer, unassignCustomer } from "../store/customer-store.ts";
import type { NamePolicy } from "../store/entity-save.ts";
import {
  findEntities,
  findEntityByName,
  listEntities,
  listSubtypes,
  type EntityFilter,
} from "../store/entity-store.ts";
import type { Queryable } from "../store/unit-of-work.ts";
import {
  listQuery,
  looseListQuery,
  showOne,
  toFilter,
  type EntityResource,
  type FilterName,
  type ListQuery,
  type View,
} from "./entity-resource.ts";
import { mapPage, parseIdList, toPageRequest } from "./pages.ts";
import { permissionDenied, type Principal } from "./principal.ts";
import { isVisible, readableEntity, subtypeSchema, toSubtypes, visibleTo, type ResourceDeps } from "./resource.ts";
import { TENANT_ADMIN, TENANT_ROLES, validate, type RouteTable } from "./route.ts";

// The routes that kinds have in common, each made from an EntityResource. Paths without a parameter go before those with one.

/** What most kinds have: reading, lists of tenant and customer, saving, deleting, customers. */
export function addStandardRoutes<Input extends EntityInput>(
  routes: RouteTable,
  deps: ResourceDeps,
  resource: EntityResource<Input>,
): void {
  addTypesRoute(routes, deps, resource);
  addInfoRoute(routes, deps, resource);
  addReadRoute(routes, deps, resource);
  addTenantListRoutes(routes, deps, resource);
  addCustomerListRoutes(routes, deps, resource);
  addSaveRoute(routes, deps, resource);
  addDeleteRoute(routes, deps, resource);
  addCustomerRoutes(routes, deps, resource);
}

type Reading = Pick<ResourceDeps, "db">;

export function addReadRoute<Input extends EntityInput>(
  routes: RouteTable,
  { db }: Reading,
  { form: { kind }, tag, readers, whole }: EntityResource<Input>,
): void {
  const parameter = `${kind.word}Id`;
  routes.add(
    {
      method: "get",
      path: `/api/${kind.word}/{${parameter}}`,
      tag,
      summary: `${kind.title} by id`,
      access: readers,
      answer: whole.schema,
    },
    async (call) =>
      showOne(db, whole, await readableEntity(db, call.principal, { type: kind.type, id: call.uuid(parameter) })),
  );
}

export function addInfoRoute<Input extends EntityInput>(
  routes: RouteTable,
  { db }: Reading,
  { form: { kind }, tag, readers, info }: EntityResource<Input>,
): void {
  if (info === null) return;
  const parameter = `${kind.word}Id`;
  routes.add(
    {
      method: "get",
      path: `/api/${kind.word}/info/{${parameter}}`,
      tag,
      summary: `${kind.title} with what lists show of it`,
      access: readers,
      answer: info.schema,
    },
    async (call) =>
      showOne(db, info, await readableEntity(db, call.principal, { type: kind.type, id: call.uuid(parameter) })),
  );
}

export function addTypesRoute<Input extends EntityInput>(
  routes: RouteTable,
  { db }: Reading,
  { form: { kind }, tag }: EntityResource<Input>,
): void {
  routes.add(
    {
      method: "get",
      path: `/api/${kind.word}/types`,
      tag,
      summary: "Types in use",
      access: TENANT_ROLES,
      answer: z.array(subtypeSchema),
    },
    async ({ principal }) =>
      toSubtypes(principal.tenantId, kind.type, await listSubtypes(db, kind.type, visibleTo(principal))),
  );
}

/** Those of the ids that there are and that the caller may read. */
export async function showByIds<Input extends EntityInput>(
  db: Queryable,
  { form: { kind } }: Pick<EntityResource<Input>, "form">,
  { principal, ids, view }: { readonly principal: Principal; readonly ids: string; readonly view: View },
): Promise<unknown[]> {
  const found = await findEntities(db, {
    type: kind.type,
    tenantId: principal.tenantId,
    ids: parseIdList(ids, `${kind.word}Ids`),
  });
  const visible = found.filter((record) => isVisible(principal, record));
  return visible.map(await view.load(db, visible));
}

/** `/api/devices?deviceIds=` */
export function addByIdsRoute<Input extends EntityInput>(
  routes: RouteTable,
  { db }: Reading,
  resource: EntityResource<Input>,
  {
    path,
    view,
    access,
  }: { readonly path: `/${string}`; readonly view: View; readonly access: EntityResource<Input>["readers"] },
): void {
  const { kind } = resource.form;
  const parameter = `${kind.word}Ids`;
  routes.add(
    {
      method: "get",
      path,
      tag: resource.tag,
      summary: `${kind.title}s by id; unknown ids are left out`,
      access,
      query: z.object({ [parameter]: z.string({ error: `Required request parameter '${parameter}' is not present` }) }),
      answer: z.array(view.schema),
    },
    ({ principal, query }) => showByIds(db, resource, { principal, ids: query[parameter] ?? "", view }),
  );
}

/** A page of entities in a form. @param scope whose: a tenant's, or those that a further condition selects */
export async function showPage<Input extends EntityInput>(
  db: Queryable,
  { form: { kind } }: Pick<EntityResource<Input>, "form">,
  {
    scope,
    query,
    view,
  }: { readonly scope: Omit<EntityFilter, "type">; readonly query: ListQuery; readonly view: View },
) {
  const found = await listEntities(db, { ...scope, ...toFilter(query), type: kind.type }, toPageRequest(query));
  return mapPage(found, await view.load(db, found.data));
}

export function addTenantListRoutes<Input extends EntityInput>(
  routes: RouteTable,
  { db }: Reading,
  resource: EntityResource<Input>,
): void {
  const { form, tag, listed, info, filters, infoFilters } = resource;
  const { kind } = form;
  const parameter = `${kind.word}Name`;
  addByNameRoute(routes, { db }, resource);
  routes.add(
    {
      method: "get",
      path: `/api/tenant/${kind.word}s`,
      tag,
      summary: `${kind.title}s of the tenant; with ${parameter} the one with this name`,
      access: TENANT_ADMIN,
      query: looseListQuery(filters, [parameter]),
      answer: pageSchema(listed.schema),
    },
    async ({ principal: { tenantId }, query }) => {
      const name = query[parameter];
      if (name !== undefined) return showByName(db, resource, { tenantId, name });
      return showPage(db, resource, { scope: { tenantId }, query: validate(listQuery(filters), query), view: listed });
    },
  );
  if (info === null) return;
  routes.add(
    {
      method: "get",
      path: `/api/tenant/${kind.word}Infos`,
      tag,
      summary: `${kind.title}s of the tenant, with what lists show of them`,
      access: TENANT_ADMIN,
      query: listQuery(infoFilters),
      answer: pageSchema(info.schema),
    },
    ({ principal: { tenantId }, query }) => showPage(db, resource, { scope: { tenantId }, query, view: info }),
  );
}

function addByNameRoute<Input extends EntityInput>(
  routes: RouteTable,
  { db }: Reading,
  resource: EntityResource<Input>,
): void {
  const { kind } = resource.form;
  const parameter = `${kind.word}Name`;
  routes.add(
    {
      method: "get",
      path: `/api/tenant/${kind.word}`,
      tag: resource.tag,
      summary: `The ${kind.title.toLowerCase()} with this name`,
      access: TENANT_ADMIN,
      query: z.object({ [parameter]: z.string({ error: `Required request parameter '${parameter}' is not present` }) }),
      answer: resource.whole.schema,
    },
    ({ principal: { tenantId }, query }) => showByName(db, resource, { tenantId, name: query[parameter] ?? "" }),
  );
}

async function showByName<Input extends EntityInput>(
  db: Queryable,
  { form: { kind }, whole }: EntityResource<Input>,
  { tenantId, name }: { readonly tenantId: Uuid; readonly name: string },
): Promise<unknown> {
  const record = await findEntityByName(db, { type: kind.type, tenantId, name });
  if (record === null) throw new AppError("NOT_FOUND", "Requested item wasn't found!");
  return showOne(db, whole, record);
}

export function addCustomerListRoutes<Input extends EntityInput>(
  routes: RouteTable,
  { db }: Reading,
  resource: EntityResource<Input>,
): void {
  const { form, tag, listed, info, filters, infoFilters } = resource;
  const { kind } = form;
  const addList = (name: string, view: View, names: readonly FilterName[]): void =>
    routes.add(
      {
        method: "get",
        path: `/api/customer/{customerId}/${name}`,
        tag,
        summary: `${kind.title}s of a customer`,
        access: TENANT_ROLES,
        query: listQuery(names),
        answer: pageSchema(view.schema),
      },
      async (call) => {
        const customer = await readableEntity(db, call.principal, { type: "CUSTOMER", id: call.uuid("customerId") });
        const scope = { tenantId: customer.tenantId, customerId: customer.id };
        return showPage(db, resource, { scope, query: call.query, view });
      },
    );
  addList(`${kind.word}s`, listed, filters);
  if (info !== null) addList(`${kind.word}Infos`, info, infoFilters);
}

const namingQuery = z.object({
  nameConflictPolicy: z.enum(["FAIL", "UNIQUIFY"]).optional(),
  uniquifySeparator: z.string().max(16).optional(),
  uniquifyStrategy: z.enum(["RANDOM", "INCREMENTAL"]).optional(),
});

type SaveQuery = z.output<typeof namingQuery> & Readonly<Record<string, string | undefined>>;

export function addSaveRoute<Input extends EntityInput>(
  routes: RouteTable,
  deps: ResourceDeps,
  resource: EntityResource<Input>,
): void {
  const { form, tag, writers, whole, hasNamePolicy, saveParameters, check, save } = resource;
  const { kind, input } = form;
  const more = Object.fromEntries(saveParameters.map((name) => [name, z.string().max(255).optional()]));
  const query: z.ZodType<SaveQuery> = hasNamePolicy ? namingQuery.extend(more) : z.object(more);
  routes.add(
    {
      method: "post",
      path: `/api/${kind.word}`,
      tag,
      summary: `Create a new ${kind.title.toLowerCase()}, or update the one with this id`,
      access: writers,
      query,
      body: input,
      answer: whole.schema,
    },
    async ({ principal, body, query: parameters }) => {
      const naming = toNamePolicy(parameters);
      await check(body);
      const saved = await deps.unitOfWork.run(async (tx) => {
        await checkMayWrite(tx, principal, { resource, input: body });
        return save(tx, deps, { tenantId: principal.tenantId, input: body, naming, parameters });
      });
      return showOne(deps.db, whole, saved);
    },
  );
}

function toNamePolicy(query: SaveQuery): NamePolicy {
  const { nameConflictPolicy = "FAIL", uniquifySeparator, uniquifyStrategy } = query;
  return { onConflict: nameConflictPolicy, separator: uniquifySeparator, strategy: uniquifyStrategy };
}

/** A customer user changes what its customer has, and neither makes entities nor gives them away. @throws AppError PERMISSION_DENIED, NOT_FOUND */
export async function checkMayWrite<Input extends EntityInput>(
  tx: Queryable,
  principal: Principal,
  { resource, input }: { readonly resource: EntityResource<Input>; readonly input: Input },
): Promise<void> {
  if (principal.authority !== "CUSTOMER_USER") return;
  const { id, customerId } = input;
  if (id === undefined || id === null) throw permissionDenied();
  const stored = await readableEntity(tx, principal, { type: resource.form.kind.type, id });
  if (customerId !== undefined && customerId !== null && customerId !== stored.customerId) throw permissionDenied();
}

export function addDeleteRoute<Input extends EntityInput>(
  routes: RouteTable,
  deps: ResourceDeps,
  { form: { kind }, tag, remove }: EntityResource<Input>,
): void {
  const parameter = `${kind.word}Id`;
  routes.add(
    {
      method: "delete",
      path: `/api/${kind.word}/{${parameter}}`,
      tag,
      summary: `Delete the ${kind.title.toLowerCase()} with what is its own`,
      access: TENANT_ADMIN,
    },
    async (call) => {
      const entity = { id: call.uuid(parameter), tenantId: call.principal.tenantId };
      await deps.unitOfWork.run((tx) => remove(tx, deps, entity));
    },
  );
}

/** Whose it is. */
export function addCustomerRoutes<Input extends EntityInput>(
  routes: RouteTable,
  deps: ResourceDeps,
  { form: { kind }, tag, whole }: EntityResource<Input>,
): void {
  const { db, unitOfWork } = deps;
  const parameter = `${kind.word}Id`;
  const what = kind.title.toLowerCase();
  const answer = whole.schema;
  const { type } = kind;
  // Before the path with {customerId}, which would take "public" for an id.
  routes.add(
    {
      method: "post",
      path: `/api/customer/public/${kind.word}/{${parameter}}`,
      tag,
      summary: `Make the ${what} public`,
      access: TENANT_ADMIN,
      answer,
    },
    async (call) => {
      const key = { type, id: call.uuid(parameter), tenantId: call.principal.tenantId };
      return showOne(db, whole, await unitOfWork.run((tx) => assignPublicCustomer(tx, deps, key)));
    },
  );
  routes.add(
    {
      method: "post",
      path: `/api/customer/{customerId}/${kind.word}/{${parameter}}`,
      tag,
      summary: `Give the ${what} to a customer`,
      access: TENANT_ADMIN,
      answer,
    },
    async (call) => {
      const key = { type, id: call.uuid(parameter), tenantId: call.principal.tenantId };
      const customerId = call.uuid("customerId");
      return showOne(db, whole, await unitOfWork.run((tx) => assignCustomer(tx, key, customerId)));
    },
  );
  routes.add(
    {
      method: "delete",
      path: `/api/customer/${kind.word}/{${parameter}}`,
      tag,
      summary: `Take the ${what} from its customer`,
      access: TENANT_ADMIN,
      answer,
    },
    async (call) => {
      const key = { type, id: call.uuid(parameter), tenantId: call.principal.tenantId };
      return showOne(db, whole, await unitOfWork.run((tx) => unassignCustomer(tx, key)));
    },
  );
}
