import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { bulkImportAnswer, bulkImportInput, importCsv, type ImportRow } from "../../shared/rest/bulk-import.ts";
import { additionalInfoOf } from "../../shared/rest/entity-import.ts";
import { TENANT_ADMIN, validate, type RouteTable } from "../../shared/rest/route.ts";
import { saveEdgeWithChains } from "../store/edge-chains.ts";
import { findEdgeByName, type Edge } from "../store/edge-store.ts";
import { edgeInput, edgeToRest, toEdgeSave, type EdgeInput } from "./edge-form.ts";
import type { EdgeDeps } from "./edges.ts";

/** Edges out of a CSV text. They have no attributes of their own, so there are no columns for them. */
export function addEdgeImportRoute(routes: RouteTable, deps: EdgeDeps): void {
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
        columns: ["ROUTING_KEY", "SECRET"],
        save: (row, mayUpdate) => saveRow(deps, tenantId, { row, mayUpdate }),
        saveTelemetry: () => Promise.resolve(),
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
  const { edge, fence } = await deps.unitOfWork.runEvents((tx) =>
    saveEdgeWithChains(tx, deps, toEdgeSave(input, tenantId)),
  );
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
