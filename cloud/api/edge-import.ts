import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import {
  bulkImportAnswer,
  bulkImportInput,
  importCsv,
  KEYED_COLUMNS,
  type ImportRow,
} from "../../shared/rest/bulk-import.ts";
import { additionalInfoOf, type ImportRouteDeps } from "../../shared/rest/entity-import.ts";
import { TENANT_ADMIN, validate, type RouteTable } from "../../shared/rest/route.ts";
import { saveAttributes } from "../../shared/store/attribute-store.ts";
import { toEvent } from "../store/downlink-store.ts";
import { saveEdgeWithChains } from "../store/edge-chains.ts";
import type { EdgeEvent } from "../store/edge-event.ts";
import { findEdgeByName, keepEdge, type Edge } from "../store/edge-store.ts";
import { edgeInput, edgeToRest, toEdgeSave, type EdgeInput } from "./edge-form.ts";
import type { EdgeDeps } from "./edges.ts";

export interface EdgeImportDeps extends EdgeDeps, Pick<ImportRouteDeps, "saveTelemetry"> {}

/** Edges out of a CSV text. */
export function addEdgeImportRoute(routes: RouteTable, deps: EdgeImportDeps): void {
  routes.add(
    {
      method: "post",
      path: "/api/edge/bulk_import",
      tag: "Edges",
      summary: "Create or update edges out of CSV, a line each; lines that fail are told and stop nothing",
      access: TENANT_ADMIN,
      body: bulkImportInput,
      answer: bulkImportAnswer,
    },
    ({ body, principal: { tenantId } }) =>
      importCsv(body, {
        columns: [...KEYED_COLUMNS, "ROUTING_KEY", "SECRET"],
        save: (row, mayUpdate) => saveRow(deps, tenantId, { row, mayUpdate }),
        saveTelemetry: deps.saveTelemetry,
        nowMs: () => deps.clock.nowMs(),
      }),
  );
}

async function saveRow(
  deps: EdgeDeps,
  tenantId: Uuid,
  { mayUpdate, row }: { readonly row: ImportRow; readonly mayUpdate: boolean },
): Promise<{ readonly id: Uuid; readonly isNew: boolean }> {
  const stored = await findEdgeByName(deps.db, tenantId, row.name);
  if (stored !== null && !mayUpdate)
    throw new AppError("ALREADY_EXISTS", "Edge with such name already exists!", { field: "name" });
  const input = toInput(row, stored);
  const nowMs = deps.clock.nowMs();
  const { edge, fence } = await deps.unitOfWork.runEvents(async (tx) => {
    const saved = await saveEdgeWithChains(tx, deps, toEdgeSave(input, tenantId));
    const entity = { type: "EDGE", id: saved.result.edge.id };
    const told: EdgeEvent[] = [];
    for (const [scope, readings] of row.attributes) {
      const { changes } = await saveAttributes(tx, { entity, scope, readings, nowMs, keep: keepEdge });
      told.push(...changes.map((change) => ({ edgeId: entity.id, ...toEvent(change) })));
    }
    return { ...saved, events: [...saved.events, ...told] };
  });
  if (fence !== null) deps.sessions.end({ edgeId: edge.id, fence, code: "UNAUTHENTICATED" });
  return { id: edge.id, isNew: stored === null };
}

function toInput({ cells, name }: ImportRow, stored: Edge | null): EdgeInput {
  const routingKey = cells.get("ROUTING_KEY");
  const secret = cells.get("SECRET");
  // A secret that is made up could be shown nowhere.
  if (stored === null && routingKey === undefined)
    throw new AppError("INVALID_ARGUMENT", "Edge routing key should be specified!", { field: "routingKey" });
  if (stored === null && secret === undefined)
    throw new AppError("INVALID_ARGUMENT", "Edge secret should be specified!", { field: "secret" });
  const base = stored === null ? {} : edgeToRest(stored);
  const additionalInfo = additionalInfoOf(cells, stored?.additionalInfo);
  const type = cells.get("TYPE") ?? stored?.type;
  const label = cells.get("LABEL") ?? stored?.label;
  return validate(edgeInput, {
    ...base,
    ...(routingKey === undefined ? {} : { routingKey }),
    ...(secret === undefined ? {} : { secret }),
    name,
    type,
    label,
    additionalInfo,
    version: null,
  });
}
