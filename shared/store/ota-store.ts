import { and, eq, ne, sql } from "drizzle-orm";
import { AppError } from "../core/errors.ts";
import type { Uuid } from "../core/ids.ts";
import { contentOf } from "../entities/content.ts";
import type { EntityRecord, Json } from "../entities/entity-record.ts";
import {
  isOtaUsable,
  otaPackageForm,
  otaProfileId,
  otaType,
  type OtaPackageInput,
  type OtaType,
} from "../entities/ota-package.ts";
import { saveForm } from "./entity-save.ts";
import { entitySaved, findEntity, lockEntity, replaceEntity } from "./entity-store.ts";
import type { StoreDeps } from "./store-deps.ts";
import { entity } from "./tables.ts";
import type { Outcome, Queryable } from "./unit-of-work.ts";

export interface OtaKey {
  readonly id: Uuid;
  readonly tenantId: Uuid;
}

/** @throws AppError NOT_FOUND, ALREADY_EXISTS, INVALID_ARGUMENT */
export async function saveOtaPackage(
  tx: Queryable,
  deps: StoreDeps,
  { input, tenantId }: { readonly input: OtaPackageInput; readonly tenantId: Uuid },
): Promise<Outcome<EntityRecord>> {
  const { deviceProfileId, url, usesUrl } = input;
  if (usesUrl === true && (url === undefined || url === null || url.trim() === "")) {
    throw new AppError("INVALID_ARGUMENT", "Ota package URL should be specified!", { field: "url" });
  }
  if (deviceProfileId !== undefined && deviceProfileId !== null) {
    const profile = await findEntity(tx, { type: "DEVICE_PROFILE", id: deviceProfileId, tenantId });
    if (profile === null) {
      throw new AppError("INVALID_ARGUMENT", "OtaPackage is referencing to non-existent device profile!");
    }
  }
  const saved = await saveForm(tx, deps, { form: otaPackageForm, tenantId, input });
  await checkUnique(tx, saved.result);
  return saved;
}

async function checkUnique(tx: Queryable, { id, tenantId, name, body }: EntityRecord): Promise<void> {
  const { version } = body;
  if (typeof version !== "string") return;
  // Two at once would not see each other.
  const lock = `ota_package ${tenantId} ${name}`;
  await tx.execute(sql`select pg_advisory_xact_lock(hashtextextended(${lock}, 0))`);
  const [other] = await tx
    .select({ id: entity.id })
    .from(entity)
    .where(
      and(
        eq(entity.tenantId, tenantId),
        eq(entity.entityType, "OTA_PACKAGE"),
        eq(entity.name, name),
        ne(entity.id, id),
        sql`${entity.body} ->> 'version' = ${version}`,
      ),
    )
    .limit(1);
  if (other !== undefined) {
    throw new AppError("ALREADY_EXISTS", "OtaPackage with such title and version already exists!");
  }
}

export interface OtaFile {
  readonly fileName: string;
  readonly contentType: string;
  readonly checksumAlgorithm: string;
  readonly checksum: string;
  readonly sha256: string;
  readonly dataSize: number;
}

/** @throws AppError NOT_FOUND, INVALID_ARGUMENT when it has a file or a url */
export async function attachOtaFile(
  tx: Queryable,
  { file, ...key }: OtaKey & { readonly file: OtaFile },
): Promise<Outcome<EntityRecord>> {
  const stored = await lockEntity(tx, { type: "OTA_PACKAGE", ...key });
  checkTakesFile(stored);
  const body: { readonly [key: string]: Json } = { ...stored.body, ...file };
  const record: EntityRecord = { ...stored, version: stored.version + 1, body };
  await replaceEntity(tx, record);
  return { result: record, changes: [entitySaved(record)] };
}

/** @throws AppError INVALID_ARGUMENT when it has a file or a url */
export function checkTakesFile(record: EntityRecord): void {
  if (contentOf(record) !== null) {
    throw new AppError("INVALID_ARGUMENT", "Updating otaPackage data is prohibited!");
  }
  if (isOtaUsable(record)) throw new AppError("INVALID_ARGUMENT", "An otaPackage with a url takes no data!");
}

/** For listEntities: only packages that a device can get. */
export function isUsableOta() {
  return sql`(${entity.body} ->> 'sha256' is not null or ${entity.body} ->> 'url' is not null)`;
}

const USES = [
  { field: "firmwareId", type: "FIRMWARE" },
  { field: "softwareId", type: "SOFTWARE" },
] as const satisfies readonly { readonly field: string; readonly type: OtaType }[];

/**
 * What a device or a device profile is to run has to be of the right type, for its profile, and there.
 *
 * @throws AppError INVALID_ARGUMENT
 */
export async function checkOtaUse(tx: Queryable, record: EntityRecord): Promise<void> {
  const profileId = record.entityType === "DEVICE" ? record.profileId : record.id;
  for (const { field, type } of USES) {
    const id = record.body[field];
    if (typeof id !== "string") continue;
    const used = await findEntity(tx, { type: "OTA_PACKAGE", id: id as Uuid, tenantId: record.tenantId }); // written from an id
    const word = type.toLowerCase();
    if (used === null) throw new AppError("INVALID_ARGUMENT", `Can't assign non-existent ${word}!`);
    if (otaType(used) !== type) {
      throw new AppError("INVALID_ARGUMENT", `Can't assign ${word} with type: ${otaType(used)}`);
    }
    if (!isOtaUsable(used)) throw new AppError("INVALID_ARGUMENT", `Can't assign ${word} with empty data!`);
    const wanted = otaProfileId(used);
    if (wanted !== null && wanted !== profileId) {
      throw new AppError("INVALID_ARGUMENT", `Can't assign ${word} with different deviceProfile!`);
    }
  }
}

/** Devices with this profile that have no package of their own. */
export async function countWithoutOta(
  db: Queryable,
  { tenantId, profileId, type }: { readonly tenantId: Uuid; readonly profileId: Uuid; readonly type: OtaType },
): Promise<number> {
  const field = type === "FIRMWARE" ? "firmwareId" : "softwareId";
  const [row] = await db
    .select({ devices: sql<number>`count(*)`.mapWith(Number) })
    .from(entity)
    .where(
      and(
        eq(entity.tenantId, tenantId),
        eq(entity.entityType, "DEVICE"),
        eq(entity.profileId, profileId),
        sql`${entity.body} ->> ${field} is null`,
      ),
    );
  return row?.devices ?? 0;
}
