import * as z from "zod";
import { defineNode, tell } from "../node-kind.ts";

/** More related entities than this are not looked through. */
const RELATED_MAX = 1_000;

export const checkRelation = defineNode({
  type: "filter.TbCheckRelationNode",
  config: z.object({
    direction: z.enum(["FROM", "TO"]),
    relationType: z.string(),
    checkForSingleEntity: z.boolean().nullish(),
    entityType: z.string().nullish(),
    entityId: z.string().nullish(),
  }),
  make: ({ direction, relationType, checkForSingleEntity, entityType, entityId }) => ({
    handle: async (message, { reads }) => {
      const filters = [{ relationType, entityTypes: [] }];
      // The direction says on which end the other entity is.
      const query = { direction: direction === "FROM" ? ("TO" as const) : ("FROM" as const), maxLevel: 1, filters };
      const isSingle = checkForSingleEntity ?? true;
      const related = await reads.related(message.originator, query, isSingle ? RELATED_MAX : 1);
      const found = isSingle
        ? related.some(({ id, type }) => id === entityId && type === entityType)
        : related.length > 0;
      return tell(found ? "True" : "False", message);
    },
  }),
});
