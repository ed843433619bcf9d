import type { Uuid } from "../../shared/core/ids.ts";
import type { CanonicalJson } from "../../shared/entities/telemetry.ts";
import type { DataSubject } from "../../shared/rest/data-target.ts";
import { readableRef } from "../../shared/rest/resource.ts";
import type { AttributeRow } from "../../shared/store/attribute-store.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import type { CloudEvents } from "./events.ts";

/**
 * The edge itself has the attributes that are set of it in the cloud, and some that say up to where its events have arrived there;
 * nothing can be saved.
 */
export function createDataSubjects(deps: {
  readonly db: Queryable;
  readonly events: Pick<CloudEvents, "readStart">;
}): Readonly<Record<string, DataSubject>> {
  return {
    EDGE: {
      check: (principal, id) => readableRef(deps.db, principal, { type: "EDGE", id }),
      made: async (id) => {
        const { createdMs, seq } = await deps.events.readStart();
        const rowOf = (key: string, value: number): AttributeRow =>
          madeOf(id, { key, value, updatedMs: createdMs ?? 0 });
        return [...(createdMs === null ? [] : [rowOf("queueStartTs", createdMs)]), rowOf("queueStartSeqId", seq)];
      },
    },
  };
}

function madeOf(
  entityId: Uuid,
  { key, updatedMs, value }: { readonly key: string; readonly value: number; readonly updatedMs: number },
): AttributeRow {
  // JSON of a whole number is canonical.
  return { entityId, scope: "SERVER_SCOPE", key, value: JSON.stringify(value) as CanonicalJson, updatedMs };
}
