import { sql } from "drizzle-orm";
import type { BlobRef } from "../../shared/core/blob-ref.ts";
import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { contentOf } from "../../shared/entities/content.ts";
import { otaPackageToRest, type OtaType } from "../../shared/entities/ota-package.ts";
import type { BlobStore } from "../../shared/store/blob-store.ts";
import { findEntity } from "../../shared/store/entity-store.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import type { DevicePackage, DevicePackages } from "../devices/ports.ts";

/** What is read of a content at once; devices ask for less. */
const READ_BYTES = 64 * 1024;
/** Reads that are kept, so that devices that load one package, or one in small parts, don't read it each for themselves. */
const READS_KEPT = 16;

export interface DevicePackagesDeps {
  readonly db: Queryable;
  readonly blobs: Pick<BlobStore, "read">;
}

/** Packages as devices load them, out of the contents of this edge. */
export function createDevicePackages({ db, blobs }: DevicePackagesDeps): DevicePackages {
  const reads = new Map<string, Promise<Uint8Array | null>>();

  return {
    find: async (deviceId, type) => {
      const id = await findPackageId(db, deviceId, type);
      const record = id === null ? null : await findEntity(db, { type: "OTA_PACKAGE", id });
      const content = record === null ? null : contentOf(record);
      if (record === null || content === null) return null;
      const { contentType, fileName, title, version } = otaPackageToRest(record);
      const found: DevicePackage = {
        title,
        version,
        fileName: fileName ?? title,
        contentType: contentType ?? "application/octet-stream",
        bytes: content.bytes,
        read: (offset, bytesMax) => read(content, offset, bytesMax),
      };
      return found;
    },
  };

  async function read(content: BlobRef, offset: number, bytesMax: number): Promise<Uint8Array> {
    if (offset >= content.bytes) return new Uint8Array(0);
    const start = offset - (offset % READ_BYTES);
    const found = await readKept(content, start);
    // A read ends where a stored part ends, which may be before the offset.
    const part = found?.subarray(offset - start, offset - start + bytesMax) ?? new Uint8Array(0);
    if (part.length > 0) return part;
    const rest = found === null ? null : await blobs.read({ blob: content, offset, bytesMax });
    if (rest === null) throw new AppError("NOT_FOUND", "The content of the package is not here");
    return rest;
  }

  function readKept(content: BlobRef, start: number): Promise<Uint8Array | null> {
    const key = `${content.sha256} ${start}`;
    const known = reads.get(key);
    const reading = known ?? blobs.read({ blob: content, offset: start, bytesMax: READ_BYTES });
    reads.delete(key);
    reads.set(key, reading);
    if (known === undefined) reading.catch(() => reads.delete(key));
    if (reads.size > READS_KEPT) reads.delete(reads.keys().next().value ?? "");
    return reading;
  }
}

/** The device's own, else that of its profile. */
async function findPackageId(db: Queryable, deviceId: Uuid, type: OtaType): Promise<Uuid | null> {
  const field = type === "FIRMWARE" ? "firmwareId" : "softwareId";
  const [row] = await db.execute<{ id: Uuid | null }>(sql`
    select coalesce(d.body ->> ${field}, profile.body ->> ${field}) as id
    from entity d left join entity profile on profile.id = d.profile_id
    where d.id = ${deviceId}::uuid and d.entity_type = 'DEVICE'`);
  return row?.id ?? null;
}
