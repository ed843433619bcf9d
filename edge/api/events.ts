import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { SeqRange } from "../../shared/core/seq-range.ts";
import { pageSchema } from "../../shared/entities/fields.ts";
import { mapPage, timePageQuery, toPageRequest } from "../../shared/rest/pages.ts";
import type { RouteTable } from "../../shared/rest/route.ts";
import { EVERY_ROLE } from "../../shared/rest/route.ts";
import type { Page, PageRequest } from "../../shared/store/entity-store.ts";
import type { UplinkLane } from "../../shared/sync/lanes.ts";
import type { CloudEvent } from "./cloud-event.ts";
import { cloudEventSchema, cloudEventToRest } from "./cloud-event.ts";

export interface CloudEventList {
  readonly page: Page<CloudEvent>;
  /** What the cloud has committed of the lane, read together with the rows. */
  readonly committed: readonly SeqRange[];
}

/** The outbox as a list, ordered by sequence. */
export interface CloudEvents {
  /**
   * `startTime` and `endTime` are about `createdMs`, `textSearch` about action and entity type;
   * `sortProperty` was looked at already: the order is by sequence, `sortOrder` says which way.
   */
  list(lane: UplinkLane, request: PageRequest): Promise<CloudEventList>;
  /** Up to where the cloud has all events, telemetry apart, and when the last of them was made; null: none, or it is not listed any more. */
  readStart(): Promise<{ readonly seq: number; readonly createdMs: number | null }>;
}

export interface CloudEventsDeps {
  readonly events: Pick<CloudEvents, "list">;
  /** What is on its way to the cloud. */
  readonly inFlight: (lane: UplinkLane) => readonly SeqRange[];
  readonly readTenantId: () => Uuid | Promise<Uuid>;
}

/** Both are the order of the outbox. */
const SORT_PROPERTIES: ReadonlySet<string> = new Set(["", "createdTime", "seqId"]);

export function addCloudEventRoutes(routes: RouteTable, deps: CloudEventsDeps): void {
  addList(routes, deps, {
    lane: "config",
    path: "/api/edge/events",
    summary: "What goes to the cloud, telemetry apart",
  });
  addList(routes, deps, {
    lane: "telemetry",
    path: "/api/edge/events/timeseries",
    summary: "Telemetry that goes to the cloud, in batches of records",
  });
}

interface ListSpec {
  readonly lane: UplinkLane;
  readonly path: `/${string}`;
  readonly summary: string;
}

function addList(routes: RouteTable, deps: CloudEventsDeps, { lane, path, summary }: ListSpec): void {
  const { events, inFlight, readTenantId } = deps;
  const answer = pageSchema(cloudEventSchema);
  routes.add(
    { method: "get", path, tag: "Edge", summary, access: EVERY_ROLE, query: timePageQuery, answer },
    async ({ query }) => {
      const request = toPageRequest(query);
      checkSortProperty(request.sortProperty);
      // Before the rows are read: what is sent meanwhile may show as queued, never the other way round.
      const sent = inFlight(lane);
      const { page, committed } = await events.list(lane, request);
      const tenantId = await readTenantId();
      return mapPage(page, (event) => cloudEventToRest(event, { inFlight: sent, committed }, tenantId));
    },
  );
}

function checkSortProperty(name = ""): void {
  if (SORT_PROPERTIES.has(name)) return;
  throw new AppError("INVALID_ARGUMENT", `Unsupported sort property '${name.slice(0, 32)}'!`, {
    field: "sortProperty",
  });
}
