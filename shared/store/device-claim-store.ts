import * as z from "zod";
import { AppError } from "../core/errors.ts";
import { isUuid, type Uuid } from "../core/ids.ts";
import type { Change } from "../entities/change.ts";
import type { EntityRecord } from "../entities/entity-record.ts";
import type { CanonicalJson } from "../entities/telemetry.ts";
import { deleteAttributes, readAttributeRows, saveAttributes } from "./attribute-store.ts";
import { assignCustomer, unassignCustomer } from "./customer-store.ts";
import { findEntityByName, lockEntity, lockEntityIfThere } from "./entity-store.ts";
import type { Outcome, Queryable } from "./unit-of-work.ts";

// Claiming: whoever has a device in hands makes it open a window, within which a user of a customer who knows the secret takes it. The
// window is a server attribute of the device, so that edge and cloud both know of it, whoever opened it. Who owns an entity is said in the
// cloud: what users do on an edge stands in the same attribute, and the cloud does the same when it hears of it.

const KEY = "claimingData";
const windowSchema = z.object({ secretKey: z.string().nullish(), expirationTime: z.number() });

export interface ClaimWindow {
  readonly deviceId: Uuid;
  readonly secretKey: string;
  readonly expiresMs: number;
  readonly nowMs: number;
}

/** Nothing happens while a customer has the device. @throws AppError NOT_FOUND */
export async function openClaim(tx: Queryable, window: ClaimWindow): Promise<Outcome<void>> {
  const { deviceId, expiresMs, nowMs, secretKey } = window;
  const { customerId } = await lockEntity(tx, { type: "DEVICE", id: deviceId });
  if (customerId !== null) return { result: undefined, changes: [] };
  const value = JSON.stringify({ secretKey, expirationTime: Math.round(expiresMs) }) as CanonicalJson; // texts and whole numbers only
  const entity = { type: "DEVICE", id: deviceId };
  return saveAttributes(tx, { entity, scope: "SERVER_SCOPE", readings: [{ key: KEY, value }], nowMs });
}

export interface DeviceClaim {
  readonly tenantId: Uuid;
  readonly customerId: Uuid;
  readonly name: string;
  readonly secretKey: string;
  readonly nowMs: number;
  /** On an edge: the cloud is to do the same. */
  readonly isReported: boolean;
}

/** CLAIMED: a customer has it. FAILURE: no window, or another secret. */
export type ClaimOutcome =
  | { readonly response: "SUCCESS"; readonly device: EntityRecord }
  | { readonly response: "FAILURE" | "CLAIMED" };

/** @throws AppError NOT_FOUND for an unknown name */
export async function claimDevice(tx: Queryable, claim: DeviceClaim): Promise<Outcome<ClaimOutcome>> {
  const { customerId, isReported, name, nowMs, secretKey, tenantId } = claim;
  const { id } = await getDevice(tx, { tenantId, name });
  const stored = await lockEntity(tx, { type: "DEVICE", id, tenantId });
  if (stored.customerId !== null) return { result: { response: "CLAIMED" }, changes: [] };
  const [row] = await readAttributeRows(tx, { entityId: id, scopes: ["SERVER_SCOPE"], keys: [KEY] });
  const window = row === undefined ? null : readWindow(row.value);
  if (window === null || window.secretKey !== secretKey || window.expirationTime <= nowMs) {
    return { result: { response: "FAILURE" }, changes: [] };
  }
  const given = await assignCustomer(tx, { type: "DEVICE", id, tenantId }, customerId);
  const closed = isReported
    ? await report(tx, { deviceId: id, claimedBy: customerId, nowMs })
    : await deleteAttributes(tx, { entity: { type: "DEVICE", id }, scope: "SERVER_SCOPE", keys: [KEY] });
  return { result: { response: "SUCCESS", device: given.result }, changes: [...given.changes, ...closed.changes] };
}

/**
 * Nothing happens when no customer has it.
 *
 * @param customerId whose device it has to be; null: anybody's
 * @throws AppError NOT_FOUND for an unknown name, or the device of another customer
 */
export async function giveDeviceBack(
  tx: Queryable,
  {
    customerId,
    isReported,
    name,
    nowMs,
    tenantId,
  }: Omit<DeviceClaim, "customerId" | "secretKey"> & {
    readonly customerId: Uuid | null;
  },
): Promise<Outcome<void>> {
  const device = await getDevice(tx, { tenantId, name });
  if (device.customerId === null) return { result: undefined, changes: [] };
  if (customerId !== null && device.customerId !== customerId) throw unknownName(name);
  const { changes } = await unassignCustomer(tx, { type: "DEVICE", id: device.id, tenantId });
  const told = isReported ? (await report(tx, { deviceId: device.id, claimedBy: null, nowMs })).changes : [];
  return { result: undefined, changes: [...changes, ...told] };
}

/** What a user did on an edge; null: the device was given back. */
export interface ClaimReport {
  readonly claimedBy: Uuid | null;
}

function report(
  tx: Queryable,
  { claimedBy, deviceId, nowMs }: ClaimReport & { readonly deviceId: Uuid; readonly nowMs: number },
): Promise<Outcome<void>> {
  const value = JSON.stringify({ claimedBy } satisfies ClaimReport) as CanonicalJson; // one text
  const entity = { type: "DEVICE", id: deviceId };
  return saveAttributes(tx, { entity, scope: "SERVER_SCOPE", readings: [{ key: KEY, value }], nowMs });
}

const reportSchema = z.object({ claimedBy: z.string().refine(isUuid).nullable() });

/** The report among changes that were applied here. */
export function findClaimReport(changes: readonly Change[]): ClaimReport | null {
  for (const change of changes) {
    if (change.kind !== "attributes-saved" || change.scope !== "SERVER_SCOPE" || change.entity.type !== "DEVICE")
      continue;
    const entry = change.attributes.find(({ key }) => key === KEY);
    const parsed = entry === undefined ? undefined : reportSchema.safeParse(JSON.parse(entry.value));
    if (parsed?.success === true) return parsed.data;
  }
  return null;
}

/**
 * Does in the cloud what a user of this customer did on an edge, unless somebody did something else meanwhile.
 *
 * @returns the device as it is now
 */
export async function settleClaimReport(
  tx: Queryable,
  { claimedBy, customerId, deviceId }: ClaimReport & { readonly customerId: Uuid; readonly deviceId: Uuid },
): Promise<Outcome<EntityRecord | null>> {
  const stored = await lockEntityIfThere(tx, deviceId);
  if (stored === null) return { result: null, changes: [] };
  const key = { type: "DEVICE", id: deviceId, tenantId: stored.tenantId } as const;
  if (claimedBy === customerId && stored.customerId === null) return assignCustomer(tx, key, customerId);
  if (claimedBy === null && stored.customerId === customerId) return unassignCustomer(tx, key);
  return { result: stored, changes: [] };
}

async function getDevice(
  tx: Queryable,
  { name, tenantId }: { readonly tenantId: Uuid; readonly name: string },
): Promise<EntityRecord> {
  const device = await findEntityByName(tx, { type: "DEVICE", tenantId, name });
  if (device === null) throw unknownName(name);
  return device;
}

function unknownName(name: string): AppError {
  return new AppError("NOT_FOUND", `Device with name [${name}] is not found`);
}

/** People may have written it, too. */
function readWindow(value: string): { readonly secretKey: string; readonly expirationTime: number } | null {
  const parsed = windowSchema.safeParse(JSON.parse(value));
  return parsed.success ? { ...parsed.data, secretKey: parsed.data.secretKey ?? "" } : null;
}
