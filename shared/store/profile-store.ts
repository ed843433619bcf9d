import { and, eq, sql } from "drizzle-orm";
import type { Uuid } from "../core/ids.ts";
import { newAssetProfileBody } from "../entities/asset-profile.ts";
import type { Change } from "../entities/change.ts";
import { newDeviceProfileBody } from "../entities/device-profile.ts";
import type { EntityRecord } from "../entities/entity-record.ts";
import { entitySaved, findEntityByName, getEntity, insertEntityIfFree, saveEntity } from "./entity-store.ts";
import type { StoreDeps } from "./store-deps.ts";
import { entity } from "./tables.ts";
import type { Outcome, Queryable } from "./unit-of-work.ts";

export type ProfileType = "DEVICE_PROFILE" | "ASSET_PROFILE";

export const DEFAULT_PROFILE_NAME = "default";

export interface ProfileChoice {
  readonly type: ProfileType;
  readonly tenantId: Uuid;
  readonly id: Uuid | null;
  readonly name: string | null;
}

/**
 * The profile by id, else by name (made when there is none), else the default one.
 *
 * @throws AppError NOT_FOUND for an unknown id
 */
export async function resolveProfile(
  tx: Queryable,
  deps: StoreDeps,
  choice: ProfileChoice,
): Promise<Outcome<EntityRecord>> {
  const { type, tenantId, id, name } = choice;
  if (id !== null) return { result: await getEntity(tx, { type, id, tenantId }), changes: [] };
  if (name === null || name.trim() === "") return getDefaultProfile(tx, deps, { type, tenantId });
  return findOrCreateProfile(tx, deps, { type, tenantId, name });
}

async function findOrCreateProfile(
  tx: Queryable,
  deps: StoreDeps,
  { type, tenantId, name }: { type: ProfileType; tenantId: Uuid; name: string },
): Promise<Outcome<EntityRecord>> {
  const found = await findEntityByName(tx, { type, tenantId, name });
  if (found !== null) return { result: found, changes: [] };
  return saveEntity(tx, deps, {
    entityType: type,
    id: null,
    tenantId,
    customerId: null,
    name,
    subtype: null,
    label: null,
    profileId: null,
    expectedVersion: null,
    body: newProfileBody(type, name === DEFAULT_PROFILE_NAME),
  });
}

/** The default profile; made when there is none yet. */
export async function getDefaultProfile(
  tx: Queryable,
  deps: StoreDeps,
  { type, tenantId }: { readonly type: ProfileType; readonly tenantId: Uuid },
): Promise<Outcome<EntityRecord>> {
  const rows = await tx
    .select({ id: entity.id })
    .from(entity)
    .where(and(eq(entity.tenantId, tenantId), eq(entity.entityType, type), sql`${entity.body} ->> 'default' = 'true'`))
    .orderBy(entity.createdMs)
    .limit(1);
  const id = rows[0]?.id as Uuid | undefined;
  if (id !== undefined) return { result: await getEntity(tx, { type, id, tenantId }), changes: [] };
  return findOrCreateProfile(tx, deps, { type, tenantId, name: DEFAULT_PROFILE_NAME });
}

/** Both default profiles of a tenant, for a first start; nothing happens when they are there. */
export async function ensureDefaultProfiles(tx: Queryable, deps: StoreDeps, tenantId: Uuid): Promise<Outcome<void>> {
  const changes: Change[] = [];
  for (const type of ["DEVICE_PROFILE", "ASSET_PROFILE"] as const) {
    changes.push(...(await getDefaultProfile(tx, deps, { type, tenantId })).changes);
  }
  return { result: undefined, changes };
}

/** Makes a profile that another side has made, under its id; for a record that came without the profile it names. */
export async function adoptProfile(
  tx: Queryable,
  profile: {
    readonly type: ProfileType;
    readonly id: Uuid;
    readonly tenantId: Uuid;
    readonly name: string;
    readonly createdMs: number;
  },
): Promise<Change | null> {
  const record: EntityRecord = {
    entityType: profile.type,
    id: profile.id,
    tenantId: profile.tenantId,
    customerId: null,
    name: profile.name,
    subtype: null,
    label: null,
    profileId: null,
    version: 1,
    createdMs: profile.createdMs,
    body: newProfileBody(profile.type, false),
  };
  return (await insertEntityIfFree(tx, record)) ? entitySaved(record) : null;
}

function newProfileBody(type: ProfileType, isDefault: boolean): EntityRecord["body"] {
  return type === "DEVICE_PROFILE" ? newDeviceProfileBody(isDefault) : newAssetProfileBody(isDefault);
}
