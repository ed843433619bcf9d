import * as z from "zod";
import { AppError } from "../core/errors.ts";
import type { Uuid } from "../core/ids.ts";
import { customerForm, customerSummary } from "../entities/customer.ts";
import { pageSchema } from "../entities/fields.ts";
import { deleteCustomer } from "../store/customer-store.ts";
import { findEntityByName } from "../store/entity-store.ts";
import type { Outcome, Queryable } from "../store/unit-of-work.ts";
import { createResource, listQuery, looseListQuery, showOne } from "./entity-resource.ts";
import { addByIdsRoute, addDeleteRoute, addReadRoute, addSaveRoute, showByIds, showPage } from "./entity-routes.ts";
import { readableEntity, type ResourceDeps } from "./resource.ts";
import { TENANT_ADMIN, TENANT_ROLES, validate, type RouteTable } from "./route.ts";

export const customerResource = createResource({
  form: customerForm,
  tag: "Customers",
  hasNamePolicy: true,
  remove: (tx, _, customer) => deleteCustomer(tx, customer),
});

const { tag, whole } = customerResource;

export function addCustomerReadRoutes(routes: RouteTable, deps: Pick<ResourceDeps, "db">): void {
  const { db } = deps;
  addByIdsRoute(routes, deps, customerResource, { path: "/api/customers/list", view: whole, access: TENANT_ADMIN });
  routes.add(
    {
      method: "get",
      path: "/api/customers",
      tag,
      summary: "Customers of the tenant; with customerIds those with these ids",
      access: TENANT_ADMIN,
      query: looseListQuery([], ["customerIds"]),
      answer: pageSchema(whole.schema),
    },
    async ({ principal, query }) => {
      const ids = query["customerIds"];
      if (ids !== undefined) return showByIds(db, customerResource, { principal, ids, view: whole });
      const scope = { tenantId: principal.tenantId };
      return showPage(db, customerResource, { scope, query: validate(listQuery([]), query), view: whole });
    },
  );
  routes.add(
    {
      method: "get",
      path: "/api/tenant/customers",
      tag,
      summary: "The customer with this title",
      access: TENANT_ADMIN,
      query: z.object({
        customerTitle: z.string({ error: "Required request parameter 'customerTitle' is not present" }),
      }),
      answer: whole.schema,
    },
    async ({ principal: { tenantId }, query: { customerTitle } }) => {
      const record = await findEntityByName(db, { type: "CUSTOMER", tenantId, name: customerTitle });
      if (record === null) throw new AppError("NOT_FOUND", `Customer with title [${customerTitle}] is not found`);
      return showOne(db, whole, record);
    },
  );
  addReadRoute(routes, deps, customerResource);
  routes.add(
    {
      method: "get",
      path: "/api/customer/{customerId}/shortInfo",
      tag,
      summary: "Title of a customer, and whether it is public",
      access: TENANT_ROLES,
      answer: z.object({ title: z.string(), isPublic: z.boolean() }),
    },
    async (call) =>
      customerSummary(await readableEntity(db, call.principal, { type: "CUSTOMER", id: call.uuid("customerId") })),
  );
  routes.add(
    {
      method: "get",
      path: "/api/customer/{customerId}/title",
      tag,
      summary: "Title of a customer as plain text",
      access: TENANT_ROLES,
      answer: z.string(),
      answerType: "text/plain",
    },
    async (call) => {
      const { name } = await readableEntity(db, call.principal, { type: "CUSTOMER", id: call.uuid("customerId") });
      return new Response(name, { headers: { "content-type": "text/plain; charset=utf-8" } });
    },
  );
}

/** @param release what else a customer has that is deleted leaves it; in the same transaction */
export function addCustomerWriteRoutes(
  routes: RouteTable,
  deps: ResourceDeps,
  release: (tx: Queryable, customerId: Uuid) => Promise<void>,
): void {
  addSaveRoute(routes, deps, customerResource);
  addDeleteRoute(routes, deps, {
    ...customerResource,
    remove: async (tx, _, customer): Promise<Outcome<unknown>> => {
      const deleted = await deleteCustomer(tx, customer);
      await release(tx, customer.id);
      return deleted;
    },
  });
}
