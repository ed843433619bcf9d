import * as z from "zod";
import { defineNode, tell } from "../node-kind.ts";

export const messageTypeFilter = defineNode({
  type: "filter.TbMsgTypeFilterNode",
  config: z.object({ messageTypes: z.array(z.string()) }),
  make: ({ messageTypes }) => {
    const types = new Set(messageTypes);
    return { handle: (message) => tell(types.has(message.type) ? "True" : "False", message) };
  },
});
