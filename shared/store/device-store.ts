import { asc, eq, inArray, or } from "drizzle-orm";
import { AppError } from "../core/errors.ts";
import { createUuid, type Uuid } from "../core/ids.ts";
import { createToken } from "../core/random.ts";
import type { Change } from "../entities/change.ts";
import { type CredentialsInput, type CredentialsType, resolveCredentials } from "../entities/device-credentials.ts";
import { deviceForm, type DeviceInput } from "../entities/device.ts";
import type { EntityRecord } from "../entities/entity-record.ts";
import { saveForm, type NamePolicy } from "./entity-save.ts";
import { keepEntities, notFound } from "./entity-store.ts";
import { checkOtaUse } from "./ota-store.ts";
import type { StoreDeps } from "./store-deps.ts";
import { deviceCredentials } from "./tables.ts";
import type { Outcome, Queryable } from "./unit-of-work.ts";

/** 119 bits: not to be guessed. */
const ACCESS_TOKEN_LENGTH = 20;

export interface DeviceCredentials {
  readonly deviceId: Uuid;
  readonly id: Uuid;
  readonly credentialsType: CredentialsType;
  /** By which it is found; unique over all devices. */
  readonly credentialsId: string;
  readonly credentialsValue: string | null;
  readonly version: number;
  readonly createdMs: number;
}

export interface DeviceSave {
  readonly tenantId: Uuid;
  readonly input: DeviceInput;
  /** Of a new device. @default an access token of 20 random characters */
  readonly credentials?: CredentialsInput | undefined;
  /** @default FAIL */
  readonly naming?: NamePolicy | undefined;
}

/**
 * Creates a device with its credentials, or updates one; its profile is made when it is only named.
 *
 * @throws AppError NOT_FOUND, VERSION_CONFLICT, ALREADY_EXISTS, INVALID_ARGUMENT
 */
export async function saveDevice(tx: Queryable, deps: StoreDeps, save: DeviceSave): Promise<Outcome<EntityRecord>> {
  const { input, tenantId } = save;
  const saved = await saveForm(tx, deps, { form: deviceForm, tenantId, input, naming: save.naming });
  await checkOtaUse(tx, saved.result);
  const changes: Change[] = [...saved.changes];
  if (input.id === undefined || input.id === null) {
    const credentials = save.credentials ?? {
      credentialsType: "ACCESS_TOKEN",
      credentialsId: createToken(deps.random, ACCESS_TOKEN_LENGTH),
    };
    changes.push(...(await writeCredentials(tx, deps, { deviceId: saved.result.id, input: credentials })).changes);
  } else if (save.credentials !== undefined) {
    changes.push(...(await writeCredentials(tx, deps, { deviceId: saved.result.id, input: save.credentials })).changes);
  }
  return { result: saved.result, changes };
}

/** The device must be one of the caller's; see getEntity. */
export async function findCredentials(db: Queryable, deviceId: Uuid): Promise<DeviceCredentials | null> {
  const rows = await db.select().from(deviceCredentials).where(eq(deviceCredentials.deviceId, deviceId));
  return rows[0] === undefined ? null : toCredentials(rows[0]);
}

/** Of those devices that have any, in no order. */
export async function findCredentialsOf(db: Queryable, deviceIds: readonly Uuid[]): Promise<DeviceCredentials[]> {
  const rows = await db
    .select()
    .from(deviceCredentials)
    .where(inArray(deviceCredentials.deviceId, [...deviceIds]));
  return rows.map(toCredentials);
}

/**
 * Replaces the credentials of a device that the caller has checked to be theirs.
 *
 * @throws AppError NOT_FOUND, VERSION_CONFLICT, ALREADY_EXISTS, INVALID_ARGUMENT
 */
export async function writeCredentials(
  tx: Queryable,
  deps: StoreDeps,
  { deviceId, input }: { readonly deviceId: Uuid; readonly input: CredentialsInput },
): Promise<Outcome<DeviceCredentials>> {
  if (!(await keepEntities(tx, [deviceId])).has(deviceId)) throw notFound("DEVICE", deviceId);
  const { credentialsId, credentialsValue } = resolveCredentials(input);
  const { stored, isTaken } = await lockCredentialsFor(tx, deviceId, credentialsId);
  if (stored !== null && typeof input.version === "number" && input.version !== stored.version) {
    throw new AppError("VERSION_CONFLICT", "Device credentials were already changed by someone else");
  }
  if (isTaken) throw credentialsTaken();
  const next: DeviceCredentials = {
    deviceId,
    id: stored?.id ?? createUuid(deps.clock, deps.random),
    credentialsType: input.credentialsType,
    credentialsId,
    credentialsValue,
    version: (stored?.version ?? 0) + 1,
    createdMs: stored?.createdMs ?? deps.clock.nowMs(),
  };
  if (!(await putCredentials(tx, next, stored))) throw credentialsTaken();
  return { result: next, changes: [credentialsSaved(next)] };
}

function credentialsTaken(): AppError {
  return new AppError("ALREADY_EXISTS", "Device credentials are already assigned to another device!");
}

/** The credentials of the device, locked until the commit, and whether another device has this id. */
export async function lockCredentialsFor(
  tx: Queryable,
  deviceId: Uuid,
  credentialsId: string,
): Promise<{ readonly stored: DeviceCredentials | null; readonly isTaken: boolean }> {
  const rows = await tx
    .select()
    .from(deviceCredentials)
    .where(or(eq(deviceCredentials.deviceId, deviceId), eq(deviceCredentials.credentialsId, credentialsId)))
    .orderBy(asc(deviceCredentials.deviceId))
    .for("update");
  const own = rows.find((row) => row.deviceId === deviceId);
  return { stored: own === undefined ? null : toCredentials(own), isTaken: rows.some((row) => row !== own) };
}

/**
 * False when another device took the id meanwhile; no statement fails.
 *
 * @param stored the row of the device, locked; null when it has none
 */
export async function putCredentials(
  tx: Queryable,
  credentials: DeviceCredentials,
  stored: DeviceCredentials | null,
): Promise<boolean> {
  // Replaced by delete and insert: an update could fail on the unique id, an insert can be told to do nothing.
  if (stored !== null) await tx.delete(deviceCredentials).where(eq(deviceCredentials.deviceId, credentials.deviceId));
  const rows = await tx
    .insert(deviceCredentials)
    .values({ ...credentials })
    .onConflictDoNothing()
    .returning({ id: deviceCredentials.id });
  return rows.length === 1;
}

/** Of devices that have none; those whose id is taken are left out. @returns how many were written */
export async function insertCredentials(tx: Queryable, list: readonly DeviceCredentials[]): Promise<number> {
  if (list.length === 0) return 0;
  const rows = await tx
    .insert(deviceCredentials)
    .values([...list])
    .onConflictDoNothing()
    .returning({ id: deviceCredentials.id });
  return rows.length;
}

export function credentialsSaved(credentials: DeviceCredentials): Change {
  return {
    kind: "credentials-saved",
    entity: { type: "DEVICE", id: credentials.deviceId },
    credentialsType: credentials.credentialsType,
    credentialsId: credentials.credentialsId,
    credentialsValue: credentials.credentialsValue,
  };
}

function toCredentials(row: typeof deviceCredentials.$inferSelect): DeviceCredentials {
  return {
    ...row,
    deviceId: row.deviceId as Uuid,
    id: row.id as Uuid,
    // Written from a validated input or a validated change only.
    credentialsType: row.credentialsType as CredentialsType,
  };
}
