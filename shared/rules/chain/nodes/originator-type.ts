import * as z from "zod";
import { defineNode, tell, type NodeKind } from "../node-kind.ts";

export const originatorTypeFilter = defineNode({
  type: "filter.TbOriginatorTypeFilterNode",
  config: z.object({ originatorTypes: z.array(z.string()) }),
  make: ({ originatorTypes }) => {
    const types = new Set(originatorTypes);
    return { handle: (message) => tell(types.has(message.originator.type) ? "True" : "False", message) };
  },
});

/** Labels that are not the type in words. */
const LABELS: Readonly<Record<string, string>> = { EDGE: "Edge", ENTITY_VIEW: "Entity View", RULE_CHAIN: "Rule chain" };

export const originatorTypeSwitch = defineNode({
  type: "filter.TbOriginatorTypeSwitchNode",
  config: z.unknown(),
  make: () => ({
    handle: (message) => {
      const { type } = message.originator;
      return tell(LABELS[type] ?? `${type.charAt(0)}${type.slice(1).toLowerCase().replaceAll("_", " ")}`, message);
    },
  }),
});

/** Sends on by the name of the profile. */
function profileSwitch(entityType: "DEVICE" | "ASSET", type: string): NodeKind {
  return defineNode({
    type,
    config: z.unknown(),
    make: () => ({
      handle: async (message, { reads }) => {
        const facts = message.originator.type === entityType ? await reads.entity(message.originator) : null;
        return tell(facts?.type ?? "Other", message);
      },
    }),
  });
}

export const deviceProfileSwitch = profileSwitch("DEVICE", "filter.TbDeviceTypeSwitchNode");
export const assetProfileSwitch = profileSwitch("ASSET", "filter.TbAssetTypeSwitchNode");
