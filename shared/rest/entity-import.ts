import { AppError } from "../core/errors.ts";
import type { Change } from "../entities/change.ts";
import type { CredentialsInput } from "../entities/device-credentials.ts";
import type { EntityInput } from "../entities/entity-kind.ts";
import type { EntityRecord } from "../entities/entity-record.ts";
import type { TelemetryRecord } from "../entities/telemetry.ts";
import { saveAttributes } from "../store/attribute-store.ts";
import { writeCredentials } from "../store/device-store.ts";
import { findEntityByName } from "../store/entity-store.ts";
import type { Outcome, Queryable } from "../store/unit-of-work.ts";
import { assetResource } from "./assets.ts";
import { bulkImportAnswer, bulkImportInput, importCsv, KEYED_COLUMNS, type ImportRow } from "./bulk-import.ts";
import { deviceResource } from "./devices.ts";
import type { EntityResource } from "./entity-resource.ts";
import type { ResourceDeps } from "./resource.ts";
import { TENANT_ADMIN, validate, type RouteTable } from "./route.ts";

export interface ImportRouteDeps extends ResourceDeps {
  /** Resolves after the commit. */
  readonly saveTelemetry: (records: readonly TelemetryRecord[]) => Promise<void>;
}

const MQTT_COLUMNS = ["MQTT_CLIENT_ID", "MQTT_USER_NAME", "MQTT_PASSWORD"] as const;
const DEVICE_COLUMNS = [...KEYED_COLUMNS, "ACCESS_TOKEN", "X509", ...MQTT_COLUMNS, "IS_GATEWAY"];

/** Devices and assets out of a CSV text. */
export function addEntityImportRoutes(routes: RouteTable, deps: ImportRouteDeps): void {
  addImportRoute(routes, deps, { resource: deviceResource, columns: DEVICE_COLUMNS });
  addImportRoute(routes, deps, { resource: assetResource, columns: KEYED_COLUMNS });
}

function addImportRoute<Input extends EntityInput>(
  routes: RouteTable,
  deps: ImportRouteDeps,
  { columns, resource }: { readonly resource: EntityResource<Input>; readonly columns: readonly string[] },
): void {
  const { kind } = resource.form;
  routes.add(
    {
      method: "post",
      path: `/api/${kind.word}/bulk_import`,
      tag: resource.tag,
      summary: `Create or update ${kind.word}s out of CSV, a line each; lines that fail are told and stop nothing`,
      access: TENANT_ADMIN,
      body: bulkImportInput,
      answer: bulkImportAnswer,
    },
    ({ body, principal: { tenantId } }) => {
      const save = (row: ImportRow, mayUpdate: boolean) =>
        deps.unitOfWork.run((tx) => saveRow(tx, deps, { resource, tenantId, row, mayUpdate }));
      const { saveTelemetry } = deps;
      return importCsv(body, { save, saveTelemetry, nowMs: () => deps.clock.nowMs(), columns });
    },
  );
}

interface RowSave<Input extends EntityInput> {
  readonly resource: EntityResource<Input>;
  readonly tenantId: EntityRecord["tenantId"];
  readonly row: ImportRow;
  readonly mayUpdate: boolean;
}

async function saveRow<Input extends EntityInput>(
  tx: Queryable,
  deps: ImportRouteDeps,
  { mayUpdate, resource, row, tenantId }: RowSave<Input>,
): Promise<Outcome<{ readonly id: EntityRecord["id"]; readonly isNew: boolean }>> {
  const { kind } = resource.form;
  const stored = await findEntityByName(tx, { type: kind.type, tenantId, name: row.name });
  if (stored !== null && !mayUpdate)
    throw new AppError("ALREADY_EXISTS", `${kind.title} with such name already exists!`, { field: "name" });
  const input = toInput(resource, row, stored);
  const saved = await resource.save(tx, deps, { tenantId, input, parameters: {} });
  const entity = { type: kind.type, id: saved.result.id };
  const changes: Change[] = [...saved.changes];
  const credentials = credentialsOf(row.cells);
  if (credentials !== null) {
    changes.push(...(await writeCredentials(tx, deps, { deviceId: entity.id, input: credentials })).changes);
  }
  const nowMs = deps.clock.nowMs();
  for (const [scope, readings] of row.attributes) {
    changes.push(...(await saveAttributes(tx, { entity, scope, readings, nowMs })).changes);
  }
  return { result: { id: entity.id, isNew: stored === null }, changes };
}

/** What the line says over what is stored. @throws AppError INVALID_ARGUMENT */
function toInput<Input extends EntityInput>(
  { form }: EntityResource<Input>,
  { cells, name }: ImportRow,
  stored: EntityRecord | null,
): Input {
  const base = (stored === null ? {} : form.toRest(stored)) as Readonly<Record<string, unknown>>;
  const type = cells.get("TYPE");
  const profile = type === undefined ? {} : { type, [`${form.kind.word}ProfileId`]: null };
  const label = cells.get("LABEL") ?? base["label"] ?? null;
  const additionalInfo = additionalInfoOf(cells, base["additionalInfo"]);
  return validate(form.input, { ...base, ...profile, name, label, additionalInfo, version: null });
}

/** null: nothing is known. */
export function additionalInfoOf(cells: ImportRow["cells"], stored: unknown): Record<string, unknown> | null {
  const description = cells.get("DESCRIPTION");
  const gateway = cells.get("IS_GATEWAY");
  const known = typeof stored === "object" && stored !== null ? stored : {};
  const info = {
    ...known,
    ...(description === undefined ? {} : { description }),
    ...(gateway === undefined ? {} : { gateway: /^(true|1|yes)$/i.test(gateway) }),
  };
  return Object.keys(info).length === 0 ? null : info;
}

function credentialsOf(cells: ImportRow["cells"]): CredentialsInput | null {
  const token = cells.get("ACCESS_TOKEN");
  if (token !== undefined) return { credentialsType: "ACCESS_TOKEN", credentialsId: token };
  const certificate = cells.get("X509");
  if (certificate !== undefined) return { credentialsType: "X509_CERTIFICATE", credentialsValue: certificate };
  const [clientId, userName, password] = MQTT_COLUMNS.map((column) => cells.get(column));
  if (clientId === undefined && userName === undefined && password === undefined) return null;
  return { credentialsType: "MQTT_BASIC", credentialsValue: JSON.stringify({ clientId, userName, password }) };
}
