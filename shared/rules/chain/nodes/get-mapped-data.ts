import * as z from "zod";
import { AppError } from "../../../core/errors.ts";
import type { EntityRef } from "../../../entities/change.ts";
import type { Json } from "../../../entities/entity-record.ts";
import { enriched, fetchToMembers } from "../enrich.ts";
import type { ChainMessage } from "../message.ts";
import { defineNode, succeed, type NodeContext, type NodeKind } from "../node-kind.ts";
import { fillPattern } from "../patterns.ts";
import type { ChainReads, EntityFacts } from "../reads.ts";
import { relationsQuery, toRelationQuery } from "../relations-query.ts";

// Server attributes, newest telemetry or fields of an entity that the originator leads to, under other names. `attrMapping` with
// `telemetry`, and `fieldsMapping`, are older forms.

const mapping = z.record(z.string(), z.string()).nullish();

const config = z.object({
  dataMapping: mapping,
  attrMapping: mapping,
  fieldsMapping: mapping,
  dataToFetch: z.enum(["ATTRIBUTES", "LATEST_TELEMETRY", "FIELDS"]).nullish(),
  telemetry: z.boolean().nullish(),
  ignoreNullStrings: z.boolean().nullish(),
  relationsQuery: relationsQuery.nullish(),
  ...fetchToMembers,
});
type Config = z.output<typeof config>;

type Finder = (message: ChainMessage, context: NodeContext, settings: Config) => Promise<EntityRef | null>;

export const getCustomerData = mappedData("metadata.TbGetCustomerAttributeNode", async ({ originator }, { reads }) =>
  originator.type === "CUSTOMER" ? originator : ((await reads.entity(originator))?.customer ?? null),
);

export const getTenantData = mappedData("metadata.TbGetTenantAttributeNode", (_, { tenant }) =>
  Promise.resolve(tenant),
);

export const getRelatedData = mappedData(
  "metadata.TbGetRelatedAttributeNode",
  async ({ originator }, { reads }, settings) => {
    const [found] = await reads.related(originator, toRelationQuery(settings.relationsQuery), 1);
    return found ?? null;
  },
);

export const getOriginatorFields = mappedData("metadata.TbGetOriginatorFieldsNode", ({ originator }) =>
  Promise.resolve(originator),
);

function mappedData(type: string, find: Finder): NodeKind {
  const isFields = type.includes("Fields");
  return defineNode({
    type,
    config,
    make: (settings) => ({
      handle: async (message, context) => {
        const entity = await find(message, context, settings);
        if (entity === null) throw new AppError("NOT_FOUND", "There is no entity to read from");
        const names = settings.dataMapping ?? settings.attrMapping ?? settings.fieldsMapping ?? {};
        const pairs = Object.entries(names).map(
          ([from, to]) => [fillPattern(from, message), fillPattern(to, message)] as const,
        );
        const keys = pairs.map(([from]) => from);
        const source = isFields
          ? "FIELDS"
          : (settings.dataToFetch ?? ((settings.telemetry ?? false) ? "LATEST_TELEMETRY" : "ATTRIBUTES"));
        const found = await readValues(entity, keys, { source, reads: context.reads });
        const values = pairs.flatMap(([from, to]): (readonly [string, Json])[] => {
          const value = found.get(from);
          return value === undefined ? [] : [[to, value]];
        });
        return succeed(enriched(message, new Map(values), settings));
      },
    }),
  });
}

async function readValues(
  entity: EntityRef,
  keys: readonly string[],
  { source, reads }: { readonly source: "ATTRIBUTES" | "LATEST_TELEMETRY" | "FIELDS"; readonly reads: ChainReads },
): Promise<ReadonlyMap<string, Json>> {
  switch (source) {
    case "ATTRIBUTES":
      return reads.attributes(entity, "SERVER_SCOPE", keys);
    case "LATEST_TELEMETRY":
      return new Map(Array.from(await reads.latest(entity, keys), ([key, { value }]) => [key, value]));
    case "FIELDS": {
      const facts = await reads.entity(entity);
      if (facts === null) throw new AppError("NOT_FOUND", `There is no ${entity.type} ${entity.id}`);
      return fieldsOf(entity, facts);
    }
  }
}

function fieldsOf({ id, type: entityType }: EntityRef, facts: EntityFacts): ReadonlyMap<string, Json> {
  const { name, type, label, createdMs } = facts;
  const fields: readonly (readonly [string, Json])[] = [
    ["id", id],
    ["entityType", entityType],
    ["name", name],
    ["title", name],
    ["type", type],
    ["label", label],
    ["createdTime", createdMs],
  ];
  return new Map(fields.filter(([, value]) => value !== null));
}
