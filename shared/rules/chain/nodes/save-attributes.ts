import * as z from "zod";
import { AppError } from "../../../core/errors.ts";
import { ATTRIBUTE_SCOPES, isAttributeScope, type AttributeScope } from "../../../entities/attributes.ts";
import { readAttributes } from "../../../entities/values.ts";
import { timeOf, type ChainMessage } from "../message.ts";
import { defineNode, succeed } from "../node-kind.ts";
import { fillPattern } from "../patterns.ts";

const scope = z.enum(ATTRIBUTE_SCOPES).nullish();

export const saveAttributes = defineNode({
  type: "telemetry.TbMsgAttributesNode",
  config: z.object({
    scope,
    notifyDevice: z.union([z.boolean(), z.stringbool()]).nullish(),
    updateAttributesOnlyOnValueChange: z.boolean().nullish(),
  }),
  make: (config) => ({
    handle: (message) => {
      const { type, originator: entity, data } = message;
      if (type !== "POST_ATTRIBUTES_REQUEST" && type !== "ATTRIBUTES_UPDATED" && type !== "POST_TELEMETRY_REQUEST") {
        throw new AppError("INVALID_ARGUMENT", `Expected a message with attributes, got ${type}`);
      }
      return succeed(message, [
        {
          kind: "save-attributes",
          entity,
          scope: scopeOf(message, config.scope ?? "CLIENT_SCOPE"),
          tsMs: timeOf(message),
          attributes: readAttributes(data, { nulls: "skip" }),
          notifyDevice: config.notifyDevice ?? message.metadata["notifyDevice"] === "true",
          onlyChanged: config.updateAttributesOnlyOnValueChange ?? false,
        },
      ]);
    },
  }),
});

export const deleteAttributes = defineNode({
  type: "telemetry.TbMsgDeleteAttributesNode",
  config: z.object({ scope, keys: z.array(z.string()).min(1), notifyDevice: z.boolean().nullish() }),
  make: (config) => ({
    handle: (message) =>
      succeed(message, [
        {
          kind: "delete-attributes",
          entity: message.originator,
          scope: scopeOf(message, config.scope ?? "SERVER_SCOPE"),
          keys: config.keys.map((key) => fillPattern(key, message)),
          notifyDevice: config.notifyDevice ?? false,
        },
      ]),
  }),
});

/** The metadata may name another one. */
function scopeOf({ metadata }: ChainMessage, configured: AttributeScope): AttributeScope {
  const named = metadata["scope"] ?? "";
  return isAttributeScope(named) ? named : configured;
}
