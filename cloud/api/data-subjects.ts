import type { DataSubject } from "../../shared/rest/data-target.ts";
import type { Principal } from "../../shared/rest/principal.ts";
import { manageableUser } from "../../shared/rest/user-access.ts";
import { keepUser } from "../../shared/store/user-store.ts";
import { keepEdge, readEdgeStatuses } from "../store/edge-store.ts";
import { getTenant, keepTenant, tenantNotFound } from "../store/tenant-store.ts";
import { presenceAttributes } from "./edge-form.ts";
import { readableEdge, type EdgeDeps } from "./edges.ts";

/** What has attributes and telemetry in the cloud beside entities; edges get only the attributes of themselves. */
export function createDataSubjects(deps: EdgeDeps): Readonly<Record<string, DataSubject>> {
  const { clock, db } = deps;
  return {
    EDGE: {
      check: async (principal, id) => void (await readableEdge(deps, principal, id)),
      keep: keepEdge,
      isSent: true,
      made: async (id) => {
        const statuses = await readEdgeStatuses(db, [id]);
        return presenceAttributes(id, { status: statuses.get(id), nowMs: clock.nowMs() });
      },
    },
    TENANT: {
      check: async (principal, id) => {
        if (!mayUseTenant(principal, id)) throw tenantNotFound(id);
        await getTenant(db, id);
      },
      keep: keepTenant,
    },
    USER: { check: async (principal, id) => void (await manageableUser(db, principal, id)), keep: keepUser },
  };
}

function mayUseTenant({ authority, tenantId }: Principal, id: string): boolean {
  return authority === "SYS_ADMIN" || (authority === "TENANT_ADMIN" && id === tenantId);
}
