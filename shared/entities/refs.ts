import * as z from "zod";
import { isUuid, type Uuid } from "../core/ids.ts";
import type { EntityRef } from "./change.ts";

/** A field that names an entity of any kind: both parts of the id count. */
export function refInput(missing: string) {
  return z
    .object(
      {
        entityType: z.string({ error: missing }).max(64),
        id: z.string({ error: missing }).refine(isUuid, {
          error: (issue) => `Invalid UUID string: ${String(issue.input).slice(0, 64)}`,
        }),
      },
      { error: missing },
    )
    .transform(({ entityType, id }): EntityRef => ({ type: entityType, id: id.toLowerCase() as Uuid }));
}
