import * as z from "zod";
import { MESSAGE_LABELS } from "../message-types.ts";
import { defineNode, tell } from "../node-kind.ts";

export const messageTypeSwitch = defineNode({
  type: "filter.TbMsgTypeSwitchNode",
  config: z.unknown(),
  make: () => ({ handle: (message) => tell(MESSAGE_LABELS[message.type] ?? "Other", message) }),
});
