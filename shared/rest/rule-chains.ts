import * as z from "zod";
import { createUuid, type Uuid } from "../core/ids.ts";
import { entityIdSchema, nameInput, pageSchema, restId } from "../entities/fields.ts";
import {
  inputsTo,
  metadataInput,
  metadataSchema,
  metadataToRest,
  outputLabels,
  readMetadata,
} from "../entities/rule-chain-metadata.ts";
import { ruleChainForm, ruleChainInput, ruleChainSchema, ruleChainToRest } from "../entities/rule-chain.ts";
import { getEntity, listEntities } from "../store/entity-store.ts";
import {
  createDefaultChain,
  deleteRuleChain,
  findReferringChains,
  importRuleChains,
  listAutoAssigned,
  makeRoot,
  saveMetadata,
  saveRuleChain,
  setAutoAssign,
} from "../store/rule-chain-store.ts";
import type { Queryable } from "../store/unit-of-work.ts";
import { createResource, listQuery, looseListQuery, type OwnEntity } from "./entity-resource.ts";
import { addByIdsRoute, addDeleteRoute, addReadRoute, addSaveRoute, showByIds, showPage } from "./entity-routes.ts";
import { booleanQuery } from "./pages.ts";
import type { ResourceDeps } from "./resource.ts";
import { TENANT_ADMIN, validate, type Call, type RouteTable } from "./route.ts";

export const ruleChainResource = createResource({
  form: ruleChainForm,
  tag: "Rule chains",
  readers: TENANT_ADMIN,
  filters: ["type"],
  save: saveRuleChain,
  remove: (tx, _, chain) => deleteRuleChain(tx, chain),
});

const { tag, whole } = ruleChainResource;

const keyOf = (call: Call<unknown, unknown>): OwnEntity => ({
  id: call.uuid("ruleChainId"),
  tenantId: call.principal.tenantId,
});

/** @param checkUnused refuses the deletion of a chain that something else than entities needs; in the same transaction */
export function addRuleChainRoutes(
  routes: RouteTable,
  deps: ResourceDeps,
  checkUnused: (tx: Queryable, chainId: Uuid) => Promise<void> = () => Promise.resolve(),
): void {
  addListRoutes(routes, deps);
  addReadRoute(routes, deps, ruleChainResource);
  addSaveRoute(routes, deps, ruleChainResource);
  addDeleteRoute(routes, deps, {
    ...ruleChainResource,
    remove: async (tx, _, chain) => {
      await checkUnused(tx, chain.id);
      return deleteRuleChain(tx, chain);
    },
  });
  addMetadataRoutes(routes, deps);
  addDefaultRoute(routes, deps);
  addRoleRoutes(routes, deps);
  addLabelRoutes(routes, deps);
  addExchangeRoutes(routes, deps);
}

function addListRoutes(routes: RouteTable, deps: ResourceDeps): void {
  const { db } = deps;
  routes.add(
    {
      method: "get",
      path: "/api/ruleChain/autoAssignToEdgeRuleChains",
      tag,
      summary: "Chains that new edges get",
      access: TENANT_ADMIN,
      answer: z.array(ruleChainSchema),
    },
    async ({ principal: { tenantId } }) => (await listAutoAssigned(db, tenantId)).map(ruleChainToRest),
  );
  addByIdsRoute(routes, deps, ruleChainResource, { path: "/api/ruleChains/list", view: whole, access: TENANT_ADMIN });
  routes.add(
    {
      method: "get",
      path: "/api/ruleChains",
      tag,
      summary: "Rule chains of the tenant; with ruleChainIds those with these ids",
      access: TENANT_ADMIN,
      query: looseListQuery(["type"], ["ruleChainIds"]),
      answer: pageSchema(whole.schema),
    },
    ({ principal, query }) => {
      const ids = query["ruleChainIds"];
      if (ids !== undefined) return showByIds(db, ruleChainResource, { principal, ids, view: whole });
      const { type = "CORE", ...page } = validate(listQuery(["type"]), query);
      const scope = { tenantId: principal.tenantId };
      return showPage(db, ruleChainResource, { scope, query: { ...page, type }, view: whole });
    },
  );
}

function addMetadataRoutes(routes: RouteTable, deps: ResourceDeps): void {
  const { db, unitOfWork } = deps;
  routes.add(
    {
      method: "get",
      path: "/api/ruleChain/{ruleChainId}/metadata",
      tag,
      summary: "Nodes and connections of a chain",
      access: TENANT_ADMIN,
      answer: metadataSchema,
    },
    async (call) => metadataToRest(await getEntity(db, { type: "RULE_CHAIN", ...keyOf(call) })),
  );
  routes.add(
    {
      method: "post",
      path: "/api/ruleChain/metadata",
      tag,
      summary: "Save nodes and connections of a chain",
      access: TENANT_ADMIN,
      query: z.object({ updateRelated: booleanQuery.optional() }),
      body: metadataInput,
      answer: metadataSchema,
    },
    async ({ principal: { tenantId }, body }) =>
      metadataToRest(await unitOfWork.run((tx) => saveMetadata(tx, deps, { tenantId, input: body }))),
  );
}

const defaultInput = z.object({ name: nameInput("Rule chain") }).meta({ id: "DefaultRuleChainInput" });

/** Add it in front of what takes anything behind `/api/ruleChain/`. */
function addDefaultRoute(routes: RouteTable, deps: ResourceDeps): void {
  routes.add(
    {
      method: "post",
      path: "/api/ruleChain/device/default",
      tag,
      summary: "Make a chain with the nodes that a tenant begins with",
      access: TENANT_ADMIN,
      body: defaultInput,
      answer: ruleChainSchema,
    },
    async ({ principal: { tenantId }, body: { name } }) =>
      ruleChainToRest(
        await deps.unitOfWork.run((tx) => createDefaultChain(tx, deps, { tenantId, name, type: "CORE" })),
      ),
  );
}

/** What a chain is to its tenant and to new edges. */
function addRoleRoutes(routes: RouteTable, { unitOfWork }: ResourceDeps): void {
  const route = { tag, access: TENANT_ADMIN, answer: ruleChainSchema } as const;
  routes.add(
    {
      ...route,
      method: "post",
      path: "/api/ruleChain/{ruleChainId}/root",
      summary: "Make the chain the tenant's root",
    },
    async (call) => ruleChainToRest(await unitOfWork.run((tx) => makeRoot(tx, keyOf(call), "CORE"))),
  );
  routes.add(
    {
      ...route,
      method: "post",
      path: "/api/ruleChain/{ruleChainId}/edgeTemplateRoot",
      summary: "Make the chain the root of new edges",
    },
    async (call) => ruleChainToRest(await unitOfWork.run((tx) => makeRoot(tx, keyOf(call), "EDGE"))),
  );
  for (const [method, autoAssign, summary] of [
    ["post", true, "Give the chain to new edges"],
    ["delete", false, "Don't give the chain to new edges"],
  ] as const) {
    routes.add({ ...route, method, path: "/api/ruleChain/{ruleChainId}/autoAssignToEdge", summary }, async (call) =>
      ruleChainToRest(await unitOfWork.run((tx) => setAutoAssign(tx, keyOf(call), autoAssign))),
    );
  }
}

const usageSchema = z.object({
  ruleChainId: entityIdSchema,
  ruleNodeId: entityIdSchema,
  ruleChainName: z.string(),
  ruleNodeName: z.string(),
  labels: z.array(z.string()),
});

function addLabelRoutes(routes: RouteTable, { db }: ResourceDeps): void {
  routes.add(
    {
      method: "get",
      path: "/api/ruleChain/{ruleChainId}/output/labels",
      tag,
      summary: "Labels under which the chain hands messages back",
      access: TENANT_ADMIN,
      answer: z.array(z.string()),
    },
    async (call) => outputLabels(readMetadata(await getEntity(db, { type: "RULE_CHAIN", ...keyOf(call) }))),
  );
  routes.add(
    {
      method: "get",
      path: "/api/ruleChain/{ruleChainId}/output/labels/usage",
      tag,
      summary: "Nodes of other chains that hand messages to this one",
      access: TENANT_ADMIN,
      answer: z.array(usageSchema),
    },
    async (call) => {
      const { id, tenantId } = await getEntity(db, { type: "RULE_CHAIN", ...keyOf(call) });
      const chains = await findReferringChains(db, { id, tenantId });
      return chains.flatMap((chain) =>
        inputsTo(readMetadata(chain), id).map((node): z.input<typeof usageSchema> => ({
          ruleChainId: restId("RULE_CHAIN", chain.id),
          ruleNodeId: { entityType: "RULE_NODE", id: node.id },
          ruleChainName: chain.name,
          ruleNodeName: node.name,
          labels: [...node.labels],
        })),
      );
    },
  );
}

const EXPORTED_MAX = 1_000;

const importInput = z.object({
  ruleChains: z.array(ruleChainInput).max(EXPORTED_MAX),
  metadata: z.array(metadataInput).max(EXPORTED_MAX),
});

const importResult = z.object({
  tenantId: entityIdSchema,
  ruleChainId: entityIdSchema,
  ruleChainName: z.string(),
  updated: z.boolean(),
  error: z.string().nullable(),
});

function addExchangeRoutes(routes: RouteTable, deps: ResourceDeps): void {
  const { db, unitOfWork } = deps;
  routes.add(
    {
      method: "get",
      path: "/api/ruleChains/export",
      tag,
      summary: "Chains of the tenant with their nodes, to be imported elsewhere",
      access: TENANT_ADMIN,
      query: z.object({ limit: z.string().regex(/^\d{1,9}$/, { error: "Incorrect value of parameter 'limit'" }) }),
      answer: z.object({ ruleChains: z.array(ruleChainSchema), metadata: z.array(metadataSchema) }),
    },
    async ({ principal: { tenantId }, query }) => {
      const pageSize = Math.max(1, Math.min(Number(query.limit), EXPORTED_MAX));
      const { data } = await listEntities(db, { type: "RULE_CHAIN", tenantId, subtype: "CORE" }, { pageSize, page: 0 });
      const chains = await Promise.all(data.map(({ id }) => getEntity(db, { type: "RULE_CHAIN", id, tenantId })));
      return { ruleChains: chains.map(ruleChainToRest), metadata: chains.map(metadataToRest) };
    },
  );
  routes.add(
    {
      method: "post",
      path: "/api/ruleChains/import",
      tag,
      summary: "Make chains from an export; overwrite: in place of those with the same name",
      access: TENANT_ADMIN,
      query: z.object({ overwrite: booleanQuery.optional() }),
      body: importInput,
      answer: z.array(importResult),
    },
    async ({ principal: { tenantId }, body, query: { overwrite = false } }) => {
      const chains = body.ruleChains.map((chain) => {
        const id = chain.id ?? createUuid(deps.clock, deps.random);
        return {
          chain: { ...chain, id },
          metadata: body.metadata.find(({ ruleChainId }) => ruleChainId === id) ?? null,
        };
      });
      const made = await unitOfWork.run((tx) => importRuleChains(tx, deps, { tenantId, chains, overwrite }));
      return made.map(({ record, updated }): z.input<typeof importResult> => ({
        tenantId: restId("TENANT", tenantId),
        ruleChainId: restId("RULE_CHAIN", record.id),
        ruleChainName: record.name,
        updated,
        error: null,
      }));
    },
  );
}
