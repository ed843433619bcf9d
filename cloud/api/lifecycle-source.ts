import type { LifecycleSource } from "../../shared/rest/entity-events.ts";
import { clearLifecycleEvents, listLifecycleEvents } from "../store/session-history.ts";
import { readableEdge, type EdgeDeps } from "./edges.ts";

/** The newest 500 sessions of each edge, as events. */
export function createLifecycleSource({ db }: Pick<EdgeDeps, "db">): LifecycleSource {
  return {
    check: async (principal, edgeId) => void (await readableEdge({ db }, principal, edgeId)),
    list: (edgeId, page) => listLifecycleEvents(db, edgeId, page),
    clear: (edgeId, range) => clearLifecycleEvents(db, edgeId, range),
  };
}
