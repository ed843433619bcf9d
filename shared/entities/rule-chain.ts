import { isUuid, type Uuid } from "../core/ids.ts";
import type { EntityKind } from "./entity-kind.ts";
import type { EntityRecord } from "./entity-record.ts";

// Nodes and connections of a rule chain are its metadata: the content of the same record, so that both have one
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

/** Chains that its nodes hand messages to; written with the metadata. */
function referredChains(body: EntityRecord["body"]): readonly Uuid[] {
  const { chainIds } = body;
  return Array.isArray(chainIds) ? chainIds.filter((id): id is Uuid => typeof id === "string" && isUuid(id)) : [];
}
