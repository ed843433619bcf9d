import type { AttributeScope } from "../../shared/entities/attributes.ts";
import { isAttributeScope } from "../../shared/entities/attributes.ts";
import type { Change, EntityRef } from "../../shared/entities/change.ts";
import { isProfileType } from "../../shared/entities/entity-kinds.ts";
import { loadAttributes, loadCredentials, loadEntity, loadRecord } from "../../shared/store/entity-state.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { isAlarmEvent, loadAlarmChanges } from "./alarm-downlinks.ts";
import { isAssigned } from "./assignment-store.ts";
import { loadBackfillChanges } from "./backfill-downlinks.ts";
import { isOfEdgeItself, loadEdgeAttributes } from "./edge-attributes.ts";
import type { AlarmEventAction, EdgeEvent } from "./edge-event.ts";
import { loadRelationChanges, loadRelationsOnEdge } from "./relation-downlinks.ts";
import { loadOpenRpcs, loadRpcChanges } from "./rpc-downlinks.ts";
import { loadUserChanges } from "./user-downlinks.ts";

/**
 * What a downlink row says, with the state of its entity as it is now: the edge always gets the newest, however long the row waited.
 * - ADDED, ASSIGNED_TO_EDGE: the entity with all that is its own: record, credentials, attributes, alarms, relations, requests;
 *   of the edge itself its attributes
 * - UPDATED: the record; the profile comes by a row of its own before it
 * - CREDENTIALS_UPDATED, ATTRIBUTES_UPDATED: just these
 * - RPC_CALL: a request to the device, with what is known of it
 * - BACKFILL: a request for history, with what is known of it
 * - ENTITY_MERGE_REQUEST: the question for an entity that only the edge has
 *
 * Empty when the entity is gone or no longer on the edge: the row that removes it there follows, or was sent before.
 */
export async function loadEntityChanges(db: Queryable, event: EdgeEvent, nowMs: number): Promise<Change[]> {
  if (isAlarmEvent(event)) return loadAlarmChanges(db, event);
  if (event.type === "RELATION") return loadRelationChanges(db, event);
  if (event.type === "USER") return loadUserChanges(db, event);
  if (event.action === "RPC_CALL") return loadRpcChanges(db, event, nowMs);
  if (event.action === "BACKFILL") return loadBackfillChanges(db, event);
  const ref: EntityRef = { type: event.type, id: event.entityId };
  switch (event.action) {
    case "DELETED":
      return [{ kind: "entity-removed", entity: ref, deleted: true }];
    case "UNASSIGNED_FROM_EDGE":
      return [{ kind: "entity-removed", entity: ref, deleted: false }];
    case "ATTRIBUTES_DELETED":
      return loadDeleted(ref, event);
    case "ENTITY_MERGE_REQUEST":
      return [{ kind: "entity-wanted", entity: ref }];
    default:
      break;
  }
  // Side by side: whether it is wanted is seldom "no".
  const [wanted, changes] = await Promise.all([isWanted(db, event), loadState(db, event, nowMs)]);
  return wanted ? changes : [];
}

async function loadState(db: Queryable, event: EdgeEvent, nowMs: number): Promise<Change[]> {
  const ref: EntityRef = { type: event.type, id: event.entityId };
  switch (event.action) {
    case "ADDED":
    case "ASSIGNED_TO_EDGE": {
      const { edgeId, entityId } = event;
      if (isOfEdgeItself(event)) return loadEdgeAttributes(db, event);
      const relations = loadRelationsOnEdge(db, { edgeId, entityId, withRemoved: event.body?.["repair"] === true });
      const rpcs = event.type === "DEVICE" ? loadOpenRpcs(db, entityId, nowMs) : [];
      return (await Promise.all([loadEntity(db, ref), relations, rpcs])).flat();
    }
    case "UPDATED":
      return loadRecord(db, ref);
    case "CREDENTIALS_UPDATED":
      return loadCredentials(db, ref);
    case "ATTRIBUTES_UPDATED": {
      const named = readNamed(event);
      return named === null ? [] : loadAttributes(db, ref, { scopes: [named.scope], keys: named.keys });
    }
    default:
      // These are not about a state, or not about an entity.
      event.action satisfies
        | "DELETED"
        | "UNASSIGNED_FROM_EDGE"
        | "ATTRIBUTES_DELETED"
        | "ENTITY_MERGE_REQUEST"
        | "RELATION_ADD_OR_UPDATE"
        | "RELATION_DELETED"
        | "RPC_CALL"
        | "BACKFILL"
        | AlarmEventAction;
      return [];
  }
}

/** Profiles are assigned to nobody; they go with what refers to them. An edge has itself. */
async function isWanted(db: Queryable, { type, edgeId, entityId }: EdgeEvent): Promise<boolean> {
  if (type === "EDGE") return entityId === edgeId;
  return isProfileType(type) || (await isAssigned(db, { edgeId, entityId }));
}

function loadDeleted(ref: EntityRef, event: EdgeEvent): Change[] {
  const named = readNamed(event);
  return named === null ? [] : [{ kind: "attributes-deleted", entity: ref, scope: named.scope, keys: named.keys }];
}

/** `{ scope, keys }` as toEvent writes it. */
function readNamed({ body }: EdgeEvent): { readonly scope: AttributeScope; readonly keys: readonly string[] } | null {
  const scope = body?.["scope"];
  const keys = body?.["keys"];
  if (typeof scope !== "string" || !isAttributeScope(scope) || !Array.isArray(keys)) return null;
  return { scope, keys: keys.map(String) };
}
