import * as z from "zod";
import { isUuid, type Uuid } from "../core/ids.ts";
import type { EntityForm, EntityKind } from "./entity-kind.ts";
import type { EntityRecord } from "./entity-record.ts";
import { entityIdSchema, idInput, jsonObjectInput, nameInput, optionalRestId, restId, versionInput } from "./fields.ts";

// Nodes and connections of a rule chain are its metadata (rule-chain-metadata.ts): the content of the same record, so that both have one
// version and travel together.

export const ruleChainKind: EntityKind = {
  type: "RULE_CHAIN",
  title: "Rule chain",
  word: "ruleChain",
  nameField: "name",
  hasUniqueName: false,
  isAssignable: true,
  isMadeOnEdges: true,
  profileType: null,
  isSeenBy: () => false,
  references: ({ body }) => referredChains(body).map((id) => ({ type: "RULE_CHAIN", id })),
};

/** CORE: rules of the cloud; EDGE: rules that run on edges. */
export const RULE_CHAIN_TYPES = ["CORE", "EDGE"] as const;
export type RuleChainType = (typeof RULE_CHAIN_TYPES)[number];

export const ruleChainInput = z
  .object({
    id: idInput.nullish(),
    name: nameInput("Rule chain"),
    type: z.enum(RULE_CHAIN_TYPES, { error: "Rule chain type should be CORE or EDGE!" }).nullish(),
    debugMode: z.boolean().nullish(),
    configuration: jsonObjectInput.nullish(),
    version: versionInput.nullish(),
    additionalInfo: jsonObjectInput.nullish(),
  })
  .meta({ id: "RuleChainInput" });

export type RuleChainInput = z.output<typeof ruleChainInput>;

export const ruleChainSchema = z
  .object({
    id: entityIdSchema,
    createdTime: z.int(),
    tenantId: entityIdSchema,
    name: z.string(),
    type: z.enum(RULE_CHAIN_TYPES),
    firstRuleNodeId: entityIdSchema.nullable(),
    root: z.boolean().meta({ description: "Of an EDGE chain: the one that new edges begin with" }),
    debugMode: z.boolean(),
    configuration: z.record(z.string(), z.unknown()).nullable(),
    additionalInfo: z.record(z.string(), z.unknown()).nullable(),
    externalId: entityIdSchema.nullable(),
    version: z.int(),
  })
  .meta({ id: "RuleChain" });

interface RuleChainBody {
  readonly root?: boolean;
  readonly autoAssign?: boolean;
  readonly debugMode?: boolean;
  readonly configuration?: Record<string, unknown> | null;
  readonly additionalInfo?: Record<string, unknown> | null;
  readonly firstRuleNodeId?: string;
}

export function ruleChainType({ subtype }: Pick<EntityRecord, "subtype">): RuleChainType {
  return subtype === "EDGE" ? "EDGE" : "CORE";
}

/** Of a CORE chain: the tenant's root; of an EDGE chain: what new edges get as their root. */
export function isRootChain({ body }: Pick<EntityRecord, "body">): boolean {
  return body["root"] === true;
}

/** Chains that its nodes hand messages to; written with the metadata. */
function referredChains(body: EntityRecord["body"]): readonly Uuid[] {
  const { chainIds } = body;
  return Array.isArray(chainIds) ? chainIds.filter((id): id is Uuid => typeof id === "string" && isUuid(id)) : [];
}

export function ruleChainToRest(record: EntityRecord): z.input<typeof ruleChainSchema> {
  const body = record.body as RuleChainBody; // written by toFields and by the store of rule chains only
  return {
    id: restId("RULE_CHAIN", record.id),
    createdTime: record.createdMs,
    tenantId: restId("TENANT", record.tenantId),
    name: record.name,
    type: ruleChainType(record),
    firstRuleNodeId: optionalRestId("RULE_NODE", body.firstRuleNodeId),
    root: body.root ?? false,
    debugMode: body.debugMode ?? false,
    configuration: body.configuration ?? null,
    additionalInfo: body.additionalInfo ?? null,
    externalId: null,
    version: record.version,
  };
}

export const ruleChainForm: EntityForm<RuleChainInput> = {
  kind: ruleChainKind,
  input: ruleChainInput,
  schema: ruleChainSchema,
  toRest: ruleChainToRest,
  ownKeys: ["root", "autoAssign", "firstRuleNodeId", "chainIds"],
  toFields: (input) => ({
    name: input.name,
    subtype: input.type ?? "CORE",
    body: {
      debugMode: input.debugMode ?? false,
      configuration: input.configuration ?? null,
      additionalInfo: input.additionalInfo ?? null,
    },
  }),
};
