import { and, asc, eq, ne, sql } from "drizzle-orm";
import { AppError } from "../core/errors.ts";
import type { Uuid } from "../core/ids.ts";
import type { Change } from "../entities/change.ts";
import type { EntityInput, ProfileType } from "../entities/entity-kind.ts";
import { ENTITY_KINDS, titleOf } from "../entities/entity-kinds.ts";
import type { EntityRecord } from "../entities/entity-record.ts";
import { KIND_TYPES } from "../entities/entity-types.ts";
import { saveForm, type FormSave } from "./entity-save.ts";
import { deleteEntity, entitySaved, getEntity, lockEntity, replaceEntity } from "./entity-store.ts";
import { checkOtaUse } from "./ota-store.ts";
import type { StoreDeps } from "./store-deps.ts";
import { attribute, entity, telemetryLatest } from "./tables.ts";
import type { Outcome, Queryable } from "./unit-of-work.ts";

// What people do with profiles; how entities find theirs is in profile-store.ts.

export interface ProfileKey {
  readonly type: ProfileType;
  readonly id: Uuid;
  readonly tenantId: Uuid;
}

/** @throws AppError NOT_FOUND, VERSION_CONFLICT, ALREADY_EXISTS, INVALID_ARGUMENT */
export async function saveProfile<Input extends EntityInput>(
  tx: Queryable,
  deps: StoreDeps,
  save: FormSave<Input>,
): Promise<Outcome<EntityRecord>> {
  const saved = await saveForm(tx, deps, save);
  await checkProvisionKey(tx, saved.result);
  await checkOtaUse(tx, saved.result);
  return saved;
}

/** Devices that provision themselves name their profile by this key, whatever their tenant. @throws AppError ALREADY_EXISTS */
async function checkProvisionKey(tx: Queryable, { id, body }: EntityRecord): Promise<void> {
  const { provisionDeviceKey } = body;
  if (typeof provisionDeviceKey !== "string") return;
  const [other] = await tx
    .select({ id: entity.id })
    .from(entity)
    .where(
      and(
        eq(entity.entityType, "DEVICE_PROFILE"),
        ne(entity.id, id),
        sql`${entity.body} ->> 'provisionDeviceKey' = ${provisionDeviceKey}`,
      ),
    )
    .limit(1);
  if (other === undefined) return;
  throw new AppError("ALREADY_EXISTS", "Device profile with such provision device key already exists!", {
    field: "provisionDeviceKey",
  });
}

/** @throws AppError NOT_FOUND, INVALID_ARGUMENT for the default profile and for one that is in use */
export async function deleteProfile(tx: Queryable, key: ProfileKey): Promise<Outcome<EntityRecord>> {
  const { body } = await lockEntity(tx, key);
  if (body["default"] === true) {
    const kind = titleOf(key.type).replace("profile", "Profile");
    throw new AppError("INVALID_ARGUMENT", `Deletion of Default ${kind} is prohibited!`);
  }
  return deleteEntity(tx, key);
}

/** Makes it the profile of what names none, in place of the one that was. @throws AppError NOT_FOUND */
export async function makeDefault(tx: Queryable, key: ProfileKey): Promise<Outcome<EntityRecord>> {
  const rows = await tx
    .select({ id: entity.id })
    .from(entity)
    .where(
      and(
        eq(entity.tenantId, key.tenantId),
        eq(entity.entityType, key.type),
        sql`(${entity.body} ->> 'default' = 'true' or ${entity.id} = ${key.id}::uuid)`,
      ),
    )
    .orderBy(asc(entity.id))
    .for("update");
  const changes: Change[] = [];
  for (const row of rows) {
    const stored = await getEntity(tx, { type: key.type, id: row.id as Uuid, tenantId: key.tenantId }); // a uuid column
    const isDefault = stored.id === key.id;
    if (stored.body["default"] === isDefault) continue;
    const record = { ...stored, version: stored.version + 1, body: { ...stored.body, default: isDefault } };
    await replaceEntity(tx, record);
    changes.push(entitySaved(record));
  }
  return { result: await getEntity(tx, key), changes };
}

export interface ProfileName {
  readonly id: Uuid;
  readonly name: string;
}

/** In order of their names. @param activeOnly only profiles that something has */
export async function listProfileNames(
  db: Queryable,
  { type, tenantId, activeOnly }: { readonly type: ProfileType; readonly tenantId: Uuid; readonly activeOnly: boolean },
): Promise<ProfileName[]> {
  const isUsed = sql`exists (select from entity u where u.profile_id = ${entity.id})`;
  const rows = await db
    .select({ id: entity.id, name: entity.name })
    .from(entity)
    .where(and(eq(entity.tenantId, tenantId), eq(entity.entityType, type), activeOnly ? isUsed : undefined))
    .orderBy(asc(entity.name));
  return rows.map(({ id, name }) => ({ id: id as Uuid, name })); // a uuid column
}

export interface KeyQuery {
  readonly type: ProfileType;
  readonly tenantId: Uuid;
  /** null: of any profile. */
  readonly profileId: Uuid | null;
  readonly what: "timeseries" | "attributes";
}

/** Keys of what has the profile, in order. */
export async function listProfileKeys(db: Queryable, { type, tenantId, profileId, what }: KeyQuery): Promise<string[]> {
  const member = KIND_TYPES.find((candidate) => ENTITY_KINDS[candidate].profileType === type) ?? type;
  const table = what === "timeseries" ? telemetryLatest : attribute;
  const rows = await db
    .selectDistinct({ key: table.key })
    .from(table)
    .innerJoin(entity, eq(entity.id, table.entityId))
    .where(
      and(
        eq(entity.tenantId, tenantId),
        eq(entity.entityType, member),
        profileId === null ? undefined : eq(entity.profileId, profileId),
      ),
    )
    .orderBy(asc(table.key));
  return rows.map(({ key }) => key);
}
