import type { Uuid } from "../core/ids.ts";
import { bodyReferences, OTA_REFERENCES, type Reference } from "./entity-kind.ts";
import type { EntityRecord, Json } from "./entity-record.ts";
import type { KindType } from "./entity-types.ts";
import { withoutNulls } from "./fields.ts";

// What device and asset profiles have in common.

interface ProfileInput {
  readonly description?: string | null | undefined;
  readonly image?: string | null | undefined;
  readonly defaultRuleChainId?: Uuid | null | undefined;
  readonly defaultDashboardId?: Uuid | null | undefined;
  readonly defaultQueueName?: string | null | undefined;
  readonly defaultEdgeRuleChainId?: Uuid | null | undefined;
}

export function profileBody(input: ProfileInput): { readonly [key: string]: Json } {
  const { image, defaultRuleChainId, defaultDashboardId, defaultQueueName, defaultEdgeRuleChainId } = input;
  return {
    default: false,
    description: input.description ?? null,
    ...withoutNulls({ image, defaultRuleChainId, defaultDashboardId, defaultQueueName, defaultEdgeRuleChainId }),
  };
}

const REFERENCES: Readonly<Record<string, KindType>> = {
  defaultRuleChainId: "RULE_CHAIN",
  defaultEdgeRuleChainId: "RULE_CHAIN",
  defaultDashboardId: "DASHBOARD",
  ...OTA_REFERENCES,
};

export function profileReferences(record: Pick<EntityRecord, "body">): readonly Reference[] {
  return bodyReferences(record, REFERENCES);
}
