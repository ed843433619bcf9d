import type { Uuid } from "../../shared/core/ids.ts";
import type { Change, EntityRef } from "../../shared/entities/change.ts";
import type { EntityRecord, Json } from "../../shared/entities/entity-record.ts";
import { saveDevice } from "../../shared/store/device-store.ts";
import {
  entitySaved,
  findEntity,
  findEntityByName,
  lockEntity,
  replaceEntity,
} from "../../shared/store/entity-store.ts";
import { findRelations, saveRelation } from "../../shared/store/relation-store.ts";
import type { StoreDeps } from "../../shared/store/store-deps.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import type { AuthenticatedDevice, DeviceDirectory } from "../devices/ports.ts";
import type { GroupCommit } from "./group-commit.ts";
import type { EdgeOutcome } from "./group-writer.ts";
import { readSite } from "./site-store.ts";

/** Between a gateway and the devices that it has made. */
const RELATION = { type: "Created", typeGroup: "COMMON" } as const;

export interface GatewayDevicesDeps extends StoreDeps {
  readonly groupCommit: Pick<GroupCommit, "run">;
}

/** Devices that gateways speak for: found by their names, or made, with or without a link. */
export function createGatewayDevices(deps: GatewayDevicesDeps): Pick<DeviceDirectory, "openBehind"> {
  return {
    openBehind: (gateway, device) => deps.groupCommit.run((tx) => openDevice(tx, deps, { gateway, ...device })),
  };
}

interface Opening {
  readonly gateway: AuthenticatedDevice;
  readonly name: string;
  readonly type: string;
}

async function openDevice(tx: Queryable, deps: StoreDeps, opening: Opening): Promise<EdgeOutcome<AuthenticatedDevice>> {
  const { tenantId } = await readSite(tx);
  const { gateway, name, type } = opening;
  const changes: Change[] = [];
  let record = await findEntityByName(tx, { type: "DEVICE", tenantId, name });
  if (record === null) {
    const owner = await findEntity(tx, { type: "DEVICE", id: gateway.deviceId });
    const input = { name, type, customerId: owner?.customerId ?? null, additionalInfo: gatewayInfo(gateway.deviceId) };
    const saved = await saveDevice(tx, deps, { tenantId, input });
    record = saved.result;
    changes.push(...saved.changes);
  } else if (!isBehind(record, gateway.deviceId)) {
    changes.push(await moveBehind(tx, record, gateway.deviceId));
  }
  changes.push(...(await relate(tx, deps, { tenantId, gatewayId: gateway.deviceId, deviceId: record.id })));
  const profile = record.profileId === null ? {} : { profileId: record.profileId };
  return { result: { deviceId: record.id, name, isGateway: false, ...profile }, changes };
}

function gatewayInfo(gatewayId: Uuid): { readonly lastConnectedGateway: Uuid } {
  return { lastConnectedGateway: gatewayId };
}

function additionalInfoOf({ body }: EntityRecord): { readonly [key: string]: Json } {
  const info = body["additionalInfo"];
  const isObject = typeof info === "object" && info !== null && !Array.isArray(info);
  return isObject ? (info as { readonly [key: string]: Json }) : {};
}

function isBehind(record: EntityRecord, gatewayId: Uuid): boolean {
  return additionalInfoOf(record)["lastConnectedGateway"] === gatewayId;
}

async function moveBehind(tx: Queryable, { id }: EntityRecord, gatewayId: Uuid): Promise<Change> {
  const stored = await lockEntity(tx, { type: "DEVICE", id });
  const additionalInfo = { ...additionalInfoOf(stored), ...gatewayInfo(gatewayId) };
  const moved = { ...stored, version: stored.version + 1, body: { ...stored.body, additionalInfo } };
  await replaceEntity(tx, moved);
  return entitySaved(moved, stored);
}

async function relate(
  tx: Queryable,
  deps: StoreDeps,
  { tenantId, gatewayId, deviceId }: { readonly tenantId: Uuid; readonly gatewayId: Uuid; readonly deviceId: Uuid },
): Promise<readonly Change[]> {
  const from: EntityRef = { type: "DEVICE", id: gatewayId };
  const to: EntityRef = { type: "DEVICE", id: deviceId };
  const there = await findRelations(tx, tenantId, { from, to, ...RELATION });
  if (there.length > 0) return [];
  return (await saveRelation(tx, deps, { tenantId, input: { from, to, ...RELATION, additionalInfo: null } })).changes;
}
