import { isUuid } from "../core/ids.ts";
import { isOwnedBy, type EntityKind } from "./entity-kind.ts";
import type { EntityRecord } from "./entity-record.ts";

/** What a view may be of. */
const VIEWED_TYPES = ["DEVICE", "ASSET"] as const;

export const entityViewKind: EntityKind = {
  type: "ENTITY_VIEW",
  title: "Entity view",
  word: "entityView",
  nameField: "name",
  hasUniqueName: true,
  isAssignable: true,
  isMadeOnEdges: true,
  profileType: null,
  isSeenBy: isOwnedBy,
  references: ({ body }) => {
    const viewed = viewedOf(body);
    return viewed === null ? [] : [viewed];
  },
};

/** What a view is of. */
function viewedOf(body: EntityRecord["body"]) {
  const { viewedType, viewedId } = body;
  const type = VIEWED_TYPES.find((known) => known === viewedType);
  return type !== undefined && typeof viewedId === "string" && isUuid(viewedId) ? { type, id: viewedId } : null;
}
