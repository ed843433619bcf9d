import type { Uuid } from "../../shared/core/ids.ts";
import type { Change } from "../../shared/entities/change.ts";

/** Leaves out what the batch says already: an entity that changed several times is read as it is now each time. */
export function createRepeatFilter(): (changes: readonly Change[]) => readonly Change[] {
  const said = new Map<Uuid, string>();
  return (changes) =>
    changes.filter((change) => {
      const { id } = change.entity;
      if (change.kind !== "entity-saved") {
        if (change.kind === "entity-removed") said.delete(id);
        return true;
      }
      const isRepeat = said.get(id) === change.body;
      said.set(id, change.body);
      return !isRepeat;
    });
}
