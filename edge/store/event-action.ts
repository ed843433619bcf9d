import type { Change } from "../../shared/entities/change.ts";
import { relationAction } from "../../shared/entities/relation.ts";

/** The name under which the REST convention lists a change among the events. */
export function eventAction(change: Change): string {
  switch (change.kind) {
    case "entity-saved":
      return isFirstVersion(change.body) ? "ADDED" : "UPDATED";
    case "user-saved":
      return "UPDATED";
    case "entity-removed":
      return change.deleted ? "DELETED" : "UNASSIGNED_FROM_EDGE";
    case "attributes-saved":
      return "ATTRIBUTES_UPDATED";
    case "attributes-deleted":
      return "ATTRIBUTES_DELETED";
    case "credentials-saved":
      return "CREDENTIALS_UPDATED";
    case "telemetry-gap":
      return "TELEMETRY_GAP";
    case "entity-wanted":
      return "ENTITY_MERGE_REQUEST";
    case "alarm-saved":
    case "alarm-comment-saved":
      return change.action;
    case "alarm-removed":
      return "ALARM_DELETE";
    case "relation-saved":
      return relationAction(change);
    case "rpc-saved":
      return "RPC_CALL";
    case "backfill-saved":
      return "BACKFILL";
  }
}

function isFirstVersion(body: string): boolean {
  const record: unknown = JSON.parse(body);
  return typeof record === "object" && record !== null && "version" in record && record.version === 1;
}
