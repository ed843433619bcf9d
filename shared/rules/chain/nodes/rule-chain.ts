import * as z from "zod";
import { parseUuid, type Uuid } from "../../../core/ids.ts";
import { defineNode, succeed } from "../node-kind.ts";

/** Hands messages to another chain. */
export const ruleChainInput = defineNode({
  type: "flow.TbRuleChainInputNode",
  config: z.object({ ruleChainId: z.string().nullish(), forwardMsgToDefaultRuleChain: z.boolean().nullish() }),
  make: ({ ruleChainId, forwardMsgToDefaultRuleChain }, { note }) => {
    if (forwardMsgToDefaultRuleChain ?? false) note("it always leads to its own chain, never to that of the profile");
    const chainId: Uuid = parseUuid(ruleChainId ?? "", "ruleChainId");
    return { leadsTo: chainId, handle: (message) => ({ emissions: [], enter: { chainId, message } }) };
  },
});

/** Hands messages back to the chain that they came from; its name is the label of the connection there. */
export const ruleChainOutput = defineNode({
  type: "flow.TbRuleChainOutputNode",
  config: z.unknown(),
  make: (_, { name }) => ({ handle: (message) => ({ emissions: [], leave: { label: name, message } }) }),
});

/** Moves messages to another queue where there are queues; here they go on. */
export const checkpoint = defineNode({
  type: "flow.TbCheckpointNode",
  config: z.unknown(),
  make: (_, { note }) => {
    note("there are no queues: messages go on at once");
    return { handle: (message) => succeed(message) };
  },
});

/** Acknowledges a message early where they wait for that; here they go on. */
export const acknowledge = defineNode({
  type: "flow.TbAckNode",
  config: z.unknown(),
  make: () => ({ handle: (message) => succeed(message) }),
});
