import * as z from "zod";
import { AppError } from "../../../core/errors.ts";
import { ATTRIBUTE_SCOPES } from "../../../entities/attributes.ts";
import { defineNode, succeed } from "../node-kind.ts";

const PUSHED: ReadonlySet<string> = new Set([
  "POST_TELEMETRY_REQUEST",
  "POST_ATTRIBUTES_REQUEST",
  "ATTRIBUTES_UPDATED",
  "ATTRIBUTES_DELETED",
  "ALARM",
]);

/** What is saved on an edge goes to the cloud anyway; the node sends what is not saved. */
export const pushToCloud = defineNode({
  type: "edge.TbMsgPushToCloudNode",
  config: z.object({ scope: z.enum(ATTRIBUTE_SCOPES).nullish() }),
  make: ({ scope }) => ({
    handle: (message) => {
      if (!PUSHED.has(message.type)) {
        throw new AppError("INVALID_ARGUMENT", `Messages of type ${message.type} can't be pushed to the cloud`);
      }
      return succeed(message, [{ kind: "push-to-cloud", message, scope: scope ?? "SERVER_SCOPE" }]);
    },
  }),
});
