import { and, eq, ne, sql } from "drizzle-orm";
import { AppError } from "../core/errors.ts";
import { createUuid, type Uuid } from "../core/ids.ts";
import { newAssetProfileBody } from "../entities/asset-profile.ts";
import type { Change } from "../entities/change.ts";
import { newDeviceProfileBody } from "../entities/device-profile.ts";
import type { ProfileType } from "../entities/entity-kind.ts";
import { isProfileType } from "../entities/entity-kinds.ts";
import type { EntityRecord } from "../entities/entity-record.ts";
import { entitySaved, findEntityByName, getEntity, insertEntityIfFree } from "./entity-store.ts";
import type { StoreDeps } from "./store-deps.ts";
import { entity } from "./tables.ts";
import type { Outcome, Queryable } from "./unit-of-work.ts";

const DEFAULT_PROFILE_NAME = "default";

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
  const made = newProfile(
    { type, tenantId, name, id: createUuid(deps.clock, deps.random), createdMs: deps.clock.nowMs() },
    name === DEFAULT_PROFILE_NAME,
  );
  if (await insertEntityIfFree(tx, made)) return { result: made, changes: [entitySaved(made)] };
  // Somebody else has just made it.
  const other = await findEntityByName(tx, { type, tenantId, name });
  if (other === null) throw new AppError("ALREADY_EXISTS", `Profile ${name} came and went`, { retryable: true });
  return { result: other, changes: [] };
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

interface NewProfile {
  readonly type: ProfileType;
  readonly id: Uuid;
  readonly tenantId: Uuid;
  readonly name: string;
  readonly createdMs: number;
}

/** Makes a profile that another side has made, under its id; for a record that came without the profile it names. */
export async function adoptProfile(tx: Queryable, profile: NewProfile): Promise<Change | null> {
  const record = newProfile(profile, false);
  return (await insertEntityIfFree(tx, record)) ? entitySaved(record) : null;
}

function newProfile({ type, id, tenantId, name, createdMs }: NewProfile, isDefault: boolean): EntityRecord {
  return {
    entityType: type,
    id,
    tenantId,
    customerId: null,
    name,
    subtype: null,
    label: null,
    profileId: null,
    version: 1,
    createdMs,
    body: type === "DEVICE_PROFILE" ? newDeviceProfileBody(isDefault) : newAssetProfileBody(isDefault),
  };
}

/** The "type" of devices and assets is the name of their profile, whatever that becomes. */
export async function renameSubtypes(tx: Queryable, { entityType, id, name }: EntityRecord): Promise<void> {
  if (!isProfileType(entityType)) return;
  await tx
    .update(entity)
    .set({ subtype: name })
    .where(and(eq(entity.profileId, id), ne(entity.subtype, name)));
}
