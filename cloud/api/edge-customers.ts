import * as z from "zod";
import { pageSchema } from "../../shared/entities/fields.ts";
import { mapPage, pageQuery, toPageRequest } from "../../shared/rest/pages.ts";
import { readableEntity } from "../../shared/rest/resource.ts";
import { TENANT_ADMIN, TENANT_ROLES, type Call, type RouteTable } from "../../shared/rest/route.ts";
import { assignEdgeToCustomer, assignEdgeToPublic, unassignEdgeFromCustomer } from "../store/edge-customer.ts";
import { listEdges } from "../store/edge-store.ts";
import { edgeInfoSchema, edgeSchema, edgeToRest, readEdgeSchema } from "./edge-form.ts";
import { edgeInfos, edgesWithStatus, type EdgeDeps } from "./edges.ts";

const tag = "Edges";

/** Which customer has which edges. */
export function addEdgeCustomerRoutes(routes: RouteTable, deps: EdgeDeps): void {
  const { unitOfWork } = deps;
  const keyOf = (call: Call<unknown, unknown>) => ({ id: call.uuid("edgeId"), tenantId: call.principal.tenantId });
  routes.add(
    {
      method: "post",
      path: "/api/customer/public/edge/{edgeId}",
      tag,
      summary: "Make an edge public: the public customer has it",
      access: TENANT_ADMIN,
      answer: edgeSchema,
    },
    async (call) => edgeToRest(await unitOfWork.runEvents((tx) => assignEdgeToPublic(tx, deps, keyOf(call)))),
  );
  routes.add(
    {
      method: "post",
      path: "/api/customer/{customerId}/edge/{edgeId}",
      tag,
      summary: "Give an edge to a customer, whose users sign in there from now on",
      access: TENANT_ADMIN,
      answer: edgeSchema,
    },
    async (call) => {
      const customerId = call.uuid("customerId");
      return edgeToRest(
        await unitOfWork.runEvents((tx) => assignEdgeToCustomer(tx, deps, { ...keyOf(call), customerId })),
      );
    },
  );
  routes.add(
    {
      method: "delete",
      path: "/api/customer/edge/{edgeId}",
      tag,
      summary: "Take an edge from its customer",
      access: TENANT_ADMIN,
      answer: edgeSchema,
    },
    async (call) => edgeToRest(await unitOfWork.runEvents((tx) => unassignEdgeFromCustomer(tx, deps, keyOf(call)))),
  );
  addCustomerLists(routes, deps);
}

function addCustomerLists(routes: RouteTable, deps: EdgeDeps): void {
  const { db } = deps;
  const query = pageQuery.extend({ type: z.string().optional() });
  const list = async (call: Call<z.output<typeof query>, unknown>) => {
    const { id: customerId, tenantId } = await readableEntity(db, call.principal, {
      type: "CUSTOMER",
      id: call.uuid("customerId"),
    });
    const { type, ...page } = call.query;
    return listEdges(db, { tenantId, customerId, type }, toPageRequest(page));
  };
  routes.add(
    {
      method: "get",
      path: "/api/customer/{customerId}/edges",
      tag,
      summary: "Edges of a customer",
      access: TENANT_ROLES,
      query,
      answer: pageSchema(readEdgeSchema),
    },
    async (call) => {
      const found = await list(call);
      return mapPage(found, await edgesWithStatus(deps, found.data));
    },
  );
  routes.add(
    {
      method: "get",
      path: "/api/customer/{customerId}/edgeInfos",
      tag,
      summary: "Edges of a customer with their presence",
      access: TENANT_ROLES,
      query,
      answer: pageSchema(edgeInfoSchema),
    },
    async (call) => {
      const found = await list(call);
      return mapPage(found, await edgeInfos(deps, found.data));
    },
  );
}
