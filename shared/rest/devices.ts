import * as z from "zod";
import { AppError } from "../core/errors.ts";
import { credentialsInput, credentialsSchema } from "../entities/device-credentials.ts";
import { deviceForm, deviceInfoSchema, deviceInput, deviceSchema, deviceToRest } from "../entities/device.ts";
import type { EntityRecord } from "../entities/entity-record.ts";
import { restId } from "../entities/fields.ts";
import { findActive } from "../store/attribute-store.ts";
import { findCredentials, saveDevice, writeCredentials, type DeviceCredentials } from "../store/device-store.ts";
import { getEntity } from "../store/entity-store.ts";
import type { Queryable } from "../store/unit-of-work.ts";
import { createResource, type View } from "./entity-resource.ts";
import { addByIdsRoute, addStandardRoutes, checkMayWrite } from "./entity-routes.ts";
import { customerColumns, readableEntity, type ResourceDeps } from "./resource.ts";
import { TENANT_ADMIN, TENANT_ROLES, type RouteTable } from "./route.ts";

const info: View = { schema: deviceInfoSchema, load: deviceInfos };
const infoFilters = ["type", "deviceProfileId", "active"] as const;

export const deviceResource = createResource({
  form: deviceForm,
  tag: "Devices",
  writers: TENANT_ROLES,
  info,
  onEdge: info,
  filters: ["type"],
  infoFilters,
  edgeFilters: infoFilters,
  hasNamePolicy: true,
  saveParameters: ["accessToken"],
  save: (tx, deps, { parameters: { accessToken = "" }, ...save }) =>
    saveDevice(tx, deps, {
      ...save,
      credentials:
        accessToken === "" ? undefined : { credentialsType: "ACCESS_TOKEN" as const, credentialsId: accessToken },
    }),
});

async function deviceInfos(db: Queryable, records: readonly EntityRecord[]) {
  const ids = records.map((record) => record.id);
  const [customer, active] = await Promise.all([customerColumns(db, records), findActive(db, ids)]);
  return (record: EntityRecord) => ({
    ...deviceToRest(record),
    ...customer(record),
    deviceProfileName: record.subtype ?? "default",
    active: active.has(record.id),
  });
}

export function addDeviceRoutes(routes: RouteTable, deps: ResourceDeps): void {
  const { whole } = deviceResource;
  addStandardRoutes(routes, deps, deviceResource);
  addByIdsRoute(routes, deps, deviceResource, { path: "/api/devices", view: whole, access: TENANT_ROLES });
  addCredentialsRoutes(routes, deps);
}

const { tag } = deviceResource;

function addCredentialsRoutes(routes: RouteTable, deps: ResourceDeps): void {
  const { db, unitOfWork } = deps;
  routes.add(
    {
      method: "post",
      path: "/api/device-with-credentials",
      tag,
      summary: "Create or update a device together with its credentials: all or nothing",
      access: TENANT_ROLES,
      body: z.object({ device: deviceInput, credentials: credentialsInput }),
      answer: deviceSchema,
    },
    async ({ principal, body: { device, credentials } }) => {
      const { tenantId } = principal;
      const saved = await unitOfWork.run(async (tx) => {
        await checkMayWrite(tx, principal, { resource: deviceResource, input: device });
        return saveDevice(tx, deps, { tenantId, input: device, credentials });
      });
      return deviceToRest(saved);
    },
  );
  routes.add(
    {
      method: "get",
      path: "/api/device/{deviceId}/credentials",
      tag,
      summary: "What the device signs in with",
      access: TENANT_ROLES,
      answer: credentialsSchema,
    },
    async (call) => {
      const { id } = await readableEntity(db, call.principal, { type: "DEVICE", id: call.uuid("deviceId") });
      const credentials = await findCredentials(db, id);
      if (credentials === null) throw new AppError("NOT_FOUND", "Requested item wasn't found!");
      return credentialsToRest(credentials);
    },
  );
  routes.add(
    {
      method: "post",
      path: "/api/device/credentials",
      tag,
      summary: "Replace the credentials of a device; its connections end",
      access: TENANT_ADMIN,
      body: credentialsInput,
      answer: credentialsSchema,
    },
    async ({ principal: { tenantId }, body }) => {
      const { deviceId } = body;
      if (deviceId === undefined || deviceId === null) {
        throw new AppError("INVALID_ARGUMENT", "Device id should be specified!", { field: "deviceId" });
      }
      const saved = await unitOfWork.run(async (tx) => {
        await getEntity(tx, { type: "DEVICE", id: deviceId, tenantId });
        return writeCredentials(tx, deps, { deviceId, input: body });
      });
      return credentialsToRest(saved);
    },
  );
}

function credentialsToRest(credentials: DeviceCredentials): z.input<typeof credentialsSchema> {
  const { id, createdMs, deviceId, credentialsType, credentialsId, credentialsValue, version } = credentials;
  return {
    id: { id },
    createdTime: createdMs,
    deviceId: restId("DEVICE", deviceId),
    credentialsType,
    credentialsId,
    credentialsValue,
    version,
  };
}
