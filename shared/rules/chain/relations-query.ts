import * as z from "zod";
import type { RelationQuery } from "./reads.ts";

const LEVELS_MAX = 10;

const direction = z.enum(["FROM", "TO"]);

/** As nodes that look for related entities are configured. */
export const relationsQuery = z.object({
  direction,
  maxLevel: z.number().nullish(),
  filters: z
    .array(z.object({ relationType: z.string().nullish(), entityTypes: z.array(z.string()).nullish() }))
    .nullish(),
});

/** Those that look for related devices. */
export const deviceRelationsQuery = z.object({
  direction,
  maxLevel: z.number().nullish(),
  relationType: z.string().nullish(),
  deviceTypes: z.array(z.string()).nullish(),
});

export function toRelationQuery(query: z.output<typeof relationsQuery> | null | undefined): RelationQuery {
  return {
    direction: query?.direction ?? "FROM",
    maxLevel: Math.min(Math.max(query?.maxLevel ?? 1, 1), LEVELS_MAX),
    filters: (query?.filters ?? []).map(({ relationType, entityTypes }) => ({
      relationType: relationType ?? null,
      entityTypes: entityTypes ?? [],
    })),
  };
}
