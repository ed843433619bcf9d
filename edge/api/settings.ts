import * as z from "zod";
import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { RouteTable } from "../../shared/rest/route.ts";
import { TENANT_ROLES } from "../../shared/rest/route.ts";

/** What the cloud has told of this edge. */
export interface SiteIdentity {
  /** Null before the first session. */
  readonly edgeId: Uuid | null;
  readonly tenantId: Uuid;
  readonly name: string;
  readonly type: string;
}

export interface EdgeSettingsDeps {
  readonly readSite: () => Promise<SiteIdentity>;
  /** Null: there is none. */
  readonly readRootChainId: () => Promise<Uuid | null>;
  /** Null: this edge works without a cloud. */
  readonly routingKey: string | null;
}

const edgeSettingsSchema = z
  .object({
    edgeId: z.uuid(),
    tenantId: z.uuid(),
    name: z.string(),
    type: z.string(),
    routingKey: z.string(),
    rootRuleChainId: z.uuid().nullable().meta({ description: "The chain that messages go through first" }),
    fullSyncRequired: z.boolean(),
  })
  .meta({ id: "EdgeSettings" });

export function addEdgeSettingsRoutes(routes: RouteTable, deps: EdgeSettingsDeps): void {
  routes.add(
    {
      method: "get",
      path: "/api/edge/settings",
      tag: "Edge",
      summary: "Who this edge is to the cloud; 404 before the first session",
      access: TENANT_ROLES,
      answer: edgeSettingsSchema,
    },
    async (): Promise<z.output<typeof edgeSettingsSchema>> => {
      const { edgeId, tenantId, name, type } = await deps.readSite();
      if (edgeId === null) throw new AppError("NOT_FOUND", "Edge has not had a session with a cloud yet");
      // Digests find and repair what differs; the cloud never has to send everything again.
      return {
        edgeId,
        tenantId,
        name,
        type,
        routingKey: deps.routingKey ?? "",
        rootRuleChainId: await deps.readRootChainId(),
        fullSyncRequired: false,
      };
    },
  );
}
