import * as z from "zod";
import { AppError } from "../core/errors.ts";
import type { Uuid } from "../core/ids.ts";
import {
  credentialsInput,
  credentialsSchema,
  deviceInfoSchema,
  deviceInput,
  deviceSchema,
  deviceToRest,
} from "../entities/device.ts";
import type { EntityRecord } from "../entities/entity-record.ts";
import { pageSchema, restId } from "../entities/fields.ts";
import { findActive } from "../store/attribute-store.ts";
import { findCredentials, saveDevice, writeCredentials, type DeviceCredentials } from "../store/device-store.ts";
import {
  deleteEntity,
  findEntities,
  findEntityByName,
  getEntity,
  listEntities,
  listSubtypes,
  type EntityFilter,
} from "../store/entity-store.ts";
import type { Queryable } from "../store/unit-of-work.ts";
import { booleanQuery, mapPage, pageQuery, parseIdList, toPageRequest } from "./pages.ts";
import {
  customerColumns,
  readableEntity,
  subtypeSchema,
  toSubtypes,
  visibleTo,
  type ResourceDeps,
} from "./resource.ts";
import { TENANT_ADMIN, TENANT_ROLES, validate, type RouteTable } from "./route.ts";

const tag = "Devices";

/** Reading devices, one by one and in lists. */
export function addDeviceReadRoutes(routes: RouteTable, { db }: Pick<ResourceDeps, "db">): void {
  routes.add(
    {
      method: "get",
      path: "/api/device/types",
      tag,
      summary: "Types in use",
      access: TENANT_ROLES,
      answer: z.array(subtypeSchema),
    },
    async ({ principal: { tenantId } }) => toSubtypes(tenantId, "DEVICE", await listSubtypes(db, "DEVICE", tenantId)),
  );
  routes.add(
    {
      method: "get",
      path: "/api/device/info/{deviceId}",
      tag,
      summary: "A device with what lists show of it",
      access: TENANT_ROLES,
      answer: deviceInfoSchema,
    },
    async (call) => {
      const record = await readableEntity(db, call.principal, { type: "DEVICE", id: call.uuid("deviceId") });
      return (await deviceInfos(db, [record]))(record);
    },
  );
  routes.add(
    {
      method: "get",
      path: "/api/device/{deviceId}",
      tag,
      summary: "A device",
      access: TENANT_ROLES,
      answer: deviceSchema,
    },
    async (call) =>
      deviceToRest(await readableEntity(db, call.principal, { type: "DEVICE", id: call.uuid("deviceId") })),
  );
  routes.add(
    {
      method: "get",
      path: "/api/devices",
      tag,
      summary: "Devices by id; unknown ids are left out",
      access: TENANT_ROLES,
      query: z.object({ deviceIds: z.string({ error: "Required request parameter 'deviceIds' is not present" }) }),
      answer: z.array(deviceSchema),
    },
    async ({ principal, query }) => {
      const visible = visibleTo(principal);
      const records = await findEntities(db, {
        type: "DEVICE",
        tenantId: visible.tenantId,
        ids: parseIdList(query.deviceIds, "deviceIds"),
      });
      return records
        .filter((record) => visible.customerId === undefined || record.customerId === visible.customerId)
        .map(deviceToRest);
    },
  );
}

const listQuery = pageQuery.extend({ type: z.string().optional() });
const infoListQuery = listQuery.extend({ deviceProfileId: z.string().optional(), active: booleanQuery.optional() });

export function addDeviceListRoutes(routes: RouteTable, { db }: Pick<ResourceDeps, "db">): void {
  const byName = async (tenantId: Uuid, name: string) => {
    const record = await findEntityByName(db, { type: "DEVICE", tenantId, name });
    if (record === null) throw new AppError("NOT_FOUND", "Requested item wasn't found!");
    return deviceToRest(record);
  };
  routes.add(
    {
      method: "get",
      path: "/api/tenant/device",
      tag,
      summary: "The device with this name",
      access: TENANT_ADMIN,
      query: z.object({ deviceName: z.string({ error: "Required request parameter 'deviceName' is not present" }) }),
      answer: deviceSchema,
    },
    ({ principal, query }) => byName(principal.tenantId, query.deviceName),
  );
  routes.add(
    {
      method: "get",
      path: "/api/tenant/devices",
      tag,
      summary: "Devices of the tenant; with deviceName the one with this name",
      access: TENANT_ADMIN,
      query: listQuery.partial().extend({
        pageSize: z.string().optional(),
        page: z.string().optional(),
        sortOrder: z.string().optional(),
        deviceName: z.string().optional(),
      }),
      answer: pageSchema(deviceSchema),
    },
    async ({ principal, query }) => {
      if (query.deviceName !== undefined) return byName(principal.tenantId, query.deviceName);
      const { type, ...page } = validate(listQuery, query);
      const filter: EntityFilter = { type: "DEVICE", tenantId: principal.tenantId, subtype: type };
      return mapPage(await listEntities(db, filter, toPageRequest(page)), deviceToRest);
    },
  );
  routes.add(
    {
      method: "get",
      path: "/api/tenant/deviceInfos",
      tag,
      summary: "Devices of the tenant, with what lists show of them",
      access: TENANT_ADMIN,
      query: infoListQuery,
      answer: pageSchema(deviceInfoSchema),
    },
    ({ principal, query }) => deviceInfoPage(db, { tenantId: principal.tenantId }, query),
  );
}

/** @param scope whose devices: a tenant's, or those that a further condition selects */
export async function deviceInfoPage(
  db: Queryable,
  scope: Omit<EntityFilter, "type">,
  query: z.output<typeof infoListQuery> & {
    readonly startTime?: number | undefined;
    readonly endTime?: number | undefined;
  },
) {
  const { type, deviceProfileId, active, ...page } = query;
  const profileId = deviceProfileId === undefined ? undefined : parseIdList(deviceProfileId, "deviceProfileId")[0];
  const filter: EntityFilter = { ...scope, type: "DEVICE", subtype: type, profileId, active };
  const found = await listEntities(db, filter, toPageRequest(page));
  return mapPage(found, await deviceInfos(db, found.data));
}

async function deviceInfos(db: Queryable, records: readonly EntityRecord[]) {
  const [customer, active] = await Promise.all([
    customerColumns(db, records),
    findActive(
      db,
      records.map((record) => record.id),
    ),
  ]);
  return (record: EntityRecord) => ({
    ...deviceToRest(record),
    ...customer(record),
    deviceProfileName: record.subtype ?? "default",
    active: active.has(record.id),
  });
}

/** Creating, changing and deleting devices and their credentials. */
export function addDeviceWriteRoutes(routes: RouteTable, deps: ResourceDeps): void {
  const { db, unitOfWork } = deps;
  routes.add(
    {
      method: "post",
      path: "/api/device",
      tag,
      summary: "Create a device, or update the one with this id",
      access: TENANT_ADMIN,
      query: z.object({ accessToken: z.string().max(255).optional() }),
      body: deviceInput,
      answer: deviceSchema,
    },
    async ({ principal: { tenantId }, body, query: { accessToken } }) => {
      const isGiven = accessToken !== undefined && accessToken !== "";
      const credentials = isGiven
        ? { credentialsType: "ACCESS_TOKEN" as const, credentialsId: accessToken }
        : undefined;
      return deviceToRest(await unitOfWork.run((tx) => saveDevice(tx, deps, { tenantId, input: body, credentials })));
    },
  );
  routes.add(
    {
      method: "post",
      path: "/api/device-with-credentials",
      tag,
      summary: "Create a device with given credentials: all or nothing",
      access: TENANT_ADMIN,
      body: z.object({ device: deviceInput, credentials: credentialsInput }),
      answer: deviceSchema,
    },
    async ({ principal: { tenantId }, body: { device, credentials } }) =>
      deviceToRest(await unitOfWork.run((tx) => saveDevice(tx, deps, { tenantId, input: device, credentials }))),
  );
  routes.add(
    {
      method: "delete",
      path: "/api/device/{deviceId}",
      tag,
      summary: "Delete a device with its data",
      access: TENANT_ADMIN,
    },
    async (call) => {
      const key = { type: "DEVICE", id: call.uuid("deviceId"), tenantId: call.principal.tenantId } as const;
      await unitOfWork.run((tx) => deleteEntity(tx, key));
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
