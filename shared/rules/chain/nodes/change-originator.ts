import * as z from "zod";
import { AppError } from "../../../core/errors.ts";
import type { EntityRef } from "../../../entities/change.ts";
import type { ChainMessage } from "../message.ts";
import { defineNode, succeed, type NodeContext } from "../node-kind.ts";
import { fillPattern } from "../patterns.ts";
import { relationsQuery, toRelationQuery } from "../relations-query.ts";

const config = z.object({
  originatorSource: z.enum(["CUSTOMER", "TENANT", "RELATED", "ENTITY"]),
  relationsQuery: relationsQuery.nullish(),
  entityType: z.string().nullish(),
  entityNamePattern: z.string().nullish(),
});

export const changeOriginator = defineNode({
  type: "transform.TbChangeOriginatorNode",
  config,
  make: (settings) => ({
    handle: async (message, context) => {
      const originator = await findOriginator(message, context, settings);
      if (originator === null) {
        throw new AppError("NOT_FOUND", `There is no ${settings.originatorSource.toLowerCase()} to take as originator`);
      }
      return succeed({ ...message, originator });
    },
  }),
});

async function findOriginator(
  message: ChainMessage,
  { reads, tenant }: NodeContext,
  settings: z.output<typeof config>,
): Promise<EntityRef | null> {
  const { originator } = message;
  switch (settings.originatorSource) {
    case "CUSTOMER":
      return originator.type === "CUSTOMER" ? originator : ((await reads.entity(originator))?.customer ?? null);
    case "TENANT":
      return tenant;
    case "RELATED": {
      const [found] = await reads.related(originator, toRelationQuery(settings.relationsQuery), 1);
      return found ?? null;
    }
    case "ENTITY":
      return reads.entityByName(settings.entityType ?? "", fillPattern(settings.entityNamePattern ?? "", message));
  }
}
