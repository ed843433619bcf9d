import { pageSchema } from "../../shared/entities/fields.ts";
import { gapSchema, gapToRest } from "../../shared/rest/gaps.ts";
import { mapPage, pageQuery, toPageRequest } from "../../shared/rest/pages.ts";
import type { RouteTable } from "../../shared/rest/route.ts";
import { EVERY_ROLE } from "../../shared/rest/route.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { listGaps } from "../store/gap-store.ts";

/** What this edge removed before it was sent, because its disk quota was reached. */
export function addGapRoutes(routes: RouteTable, { db }: { readonly db: Queryable }): void {
  routes.add(
    {
      method: "get",
      path: "/api/edge/gaps",
      tag: "Edge",
      summary: "Telemetry that was removed before it was sent, per device, newest removal first",
      access: EVERY_ROLE,
      query: pageQuery,
      answer: pageSchema(gapSchema),
    },
    async ({ query }) => mapPage(await listGaps(db, toPageRequest(query)), gapToRest),
  );
}
