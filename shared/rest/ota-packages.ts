import * as z from "zod";
import type { Hasher } from "../core/blob-ref.ts";
import { CHECKSUM_ALGORITHMS, findChecksumAlgorithm, type ChecksumAlgorithm } from "../core/checksum.ts";
import { AppError } from "../core/errors.ts";
import type { Uuid } from "../core/ids.ts";
import { contentOf } from "../entities/content.ts";
import type { EntityRecord } from "../entities/entity-record.ts";
import { pageSchema } from "../entities/fields.ts";
import {
  OTA_TYPES,
  otaPackageForm,
  otaPackageInfoSchema,
  otaPackageInput,
  otaPackageSchema,
  otaPackageToRest,
} from "../entities/ota-package.ts";
import type { Contents } from "../store/blob-upload.ts";
import { deleteEntity, listEntities } from "../store/entity-store.ts";
import { attachOtaFile, checkTakesFile, countWithoutOta, isUsableOta, saveOtaPackage } from "../store/ota-store.ts";
import { readWhole, streamFile } from "./files.ts";
import { readMultipart } from "./multipart.ts";
import { mapPage, pageQuery, toPageRequest } from "./pages.ts";
import { readableEntity, type ResourceDeps } from "./resource.ts";
import { TENANT_ADMIN, TENANT_ROLES, type Call, type RouteTable } from "./route.ts";

export interface OtaDeps extends ResourceDeps {
  readonly contents: Contents;
  readonly createChecksum: (algorithm: ChecksumAlgorithm) => Hasher;
}

export interface OtaReadDeps extends Pick<ResourceDeps, "db"> {
  readonly contents: Pick<Contents, "read">;
}

const tag = "OTA packages";
/** Above it the file is not put into a JSON answer. */
const INLINE_BYTES_MAX = 16_777_216;
/** What a form has beside its file. */
const FORM_BYTES = 65_536;

/** Firmware and software: reading, on both ends. */
export function addOtaReadRoutes(routes: RouteTable, deps: OtaReadDeps): void {
  const { contents, db } = deps;
  const read = (call: Call<unknown, unknown>) =>
    readableEntity(db, call.principal, { type: "OTA_PACKAGE", id: call.uuid("otaPackageId") });
  routes.add(
    {
      method: "get",
      path: "/api/otaPackage/{otaPackageId}/download",
      tag,
      summary: "The file of a package",
      access: TENANT_ADMIN,
      answer: z.string().meta({ format: "binary" }),
      answerType: "application/octet-stream",
    },
    async (call) => {
      const record = await read(call);
      const content = contentOf(record);
      if (content === null) throw new AppError("INVALID_ARGUMENT", "The otaPackage has no data of its own!");
      const { fileName, contentType } = otaPackageToRest(record);
      const type = contentType ?? "application/octet-stream";
      const name = fileName ?? record.name;
      return streamFile(contents.read(record.tenantId, content), { bytes: content.bytes, fileName: name, type });
    },
  );
  routes.add(
    {
      method: "get",
      path: "/api/otaPackage/info/{otaPackageId}",
      tag,
      summary: "What a package is",
      access: TENANT_ROLES,
      answer: otaPackageInfoSchema,
    },
    async (call) => otaPackageToRest(await read(call)),
  );
  routes.add(
    {
      method: "get",
      path: "/api/otaPackage/{otaPackageId}",
      tag,
      summary: "A package with its file",
      access: TENANT_ADMIN,
      answer: otaPackageSchema,
    },
    async (call) => withData(contents, await read(call)),
  );
  addListRoutes(routes, deps);
}

async function withData(
  contents: OtaReadDeps["contents"],
  record: EntityRecord,
): Promise<z.input<typeof otaPackageSchema>> {
  const content = contentOf(record);
  if (content === null) return { ...otaPackageToRest(record), data: null };
  if (content.bytes > INLINE_BYTES_MAX) {
    throw new AppError("PAYLOAD_TOO_LARGE", `The file has more than ${INLINE_BYTES_MAX} bytes: download it`);
  }
  const bytes = await readWhole(contents.read(record.tenantId, content), content.bytes);
  return { ...otaPackageToRest(record), data: bytes.toBase64() };
}

function addListRoutes(routes: RouteTable, { db }: Pick<OtaDeps, "db">): void {
  const list = { method: "get", tag, access: TENANT_ROLES, query: pageQuery } as const;
  const answer = pageSchema(otaPackageInfoSchema);
  const filterOf = (tenantId: Uuid) => ({ type: "OTA_PACKAGE", tenantId }) as const;
  routes.add(
    { ...list, path: "/api/otaPackages", summary: "All packages", answer },
    async ({ principal: { tenantId }, query }) =>
      mapPage(await listEntities(db, filterOf(tenantId), toPageRequest(query)), otaPackageToRest),
  );
  routes.add(
    {
      ...list,
      path: "/api/otaPackages/{deviceProfileId}/{type}",
      summary: "Packages of a type for a device profile, of those with a file or a url",
      answer,
    },
    async (call) => {
      const bodyText = { key: "deviceProfileId", value: call.uuid("deviceProfileId"), whenAbsent: "" };
      const filter = {
        ...filterOf(call.principal.tenantId),
        subtype: typeOf(call),
        bodyText,
        condition: isUsableOta(),
      };
      return mapPage(await listEntities(db, filter, toPageRequest(call.query)), otaPackageToRest);
    },
  );
  routes.add(
    {
      method: "get",
      path: "/api/devices/count/{type}/{deviceProfileId}",
      tag,
      summary: "Devices with this profile that have no package of their own",
      access: TENANT_ROLES,
      answer: z.int(),
    },
    (call) => {
      const { tenantId } = call.principal;
      return countWithoutOta(db, { tenantId, profileId: call.uuid("deviceProfileId"), type: typeOf(call) });
    },
  );
}

function typeOf(call: Call<unknown, unknown>) {
  const type = OTA_TYPES.find((known) => known === call.param("type"));
  if (type === undefined) throw new AppError("INVALID_ARGUMENT", "Expected FIRMWARE or SOFTWARE", { field: "type" });
  return type;
}

/** Making packages, which the cloud does. */
export function addOtaWriteRoutes(routes: RouteTable, deps: OtaDeps): void {
  const { unitOfWork } = deps;
  routes.add(
    {
      method: "post",
      path: "/api/otaPackage",
      tag,
      summary: "Say what a package is; its file is uploaded after that",
      access: TENANT_ADMIN,
      body: otaPackageInput,
      answer: otaPackageInfoSchema,
    },
    async ({ principal: { tenantId }, body }) =>
      otaPackageToRest(await unitOfWork.run((tx) => saveOtaPackage(tx, deps, { input: body, tenantId }))),
  );
  routes.add(
    {
      method: "post",
      path: "/api/otaPackage/{otaPackageId}",
      tag,
      summary: "Upload the file of a package",
      access: TENANT_ADMIN,
      query: z.object({ checksum: z.string().optional(), checksumAlgorithm: z.string() }),
      formFile: "file",
      bodyBytesMax: deps.contents.bytesMax + FORM_BYTES,
      answer: otaPackageInfoSchema,
    },
    (call) => upload(deps, call),
  );
  routes.add(
    {
      method: "delete",
      path: "/api/otaPackage/{otaPackageId}",
      tag,
      summary: "Delete a package that nothing refers to",
      access: TENANT_ADMIN,
    },
    async (call) => {
      const key = { type: "OTA_PACKAGE", id: call.uuid("otaPackageId"), tenantId: call.principal.tenantId } as const;
      await unitOfWork.run((tx) => deleteEntity(tx, key));
    },
  );
}

interface UploadQuery {
  readonly checksum?: string | undefined;
  readonly checksumAlgorithm: string;
}

async function upload(deps: OtaDeps, call: Call<UploadQuery, unknown>) {
  const { contents, createChecksum, db, unitOfWork } = deps;
  const { checksum: expected = "", checksumAlgorithm } = call.query;
  const { tenantId } = call.principal;
  const id = call.uuid("otaPackageId");
  const algorithm = findChecksumAlgorithm(checksumAlgorithm);
  if (algorithm === null) {
    throw new AppError("INVALID_ARGUMENT", `Expected one of ${CHECKSUM_ALGORITHMS.join(", ")}`, {
      field: "checksumAlgorithm",
    });
  }
  // Before the file is sent, and again when it is there.
  checkTakesFile(await readableEntity(db, call.principal, { type: otaPackageForm.kind.type, id }));
  const bytesMax = contents.bytesMax + FORM_BYTES;
  for await (const part of readMultipart(call.request, { bytesMax })) {
    if (part.kind === "field" || part.name !== "file")
      throw new AppError("INVALID_ARGUMENT", "Expected the part 'file'");
    const { chunks, contentType, fileName } = part;
    const hasher = createChecksum(algorithm);
    const { sha256, bytes } = await contents.upload(tenantId, { chunks, alsoHash: hasher });
    const checksum = hasher.digest();
    if (expected !== "" && expected.toLowerCase() !== checksum) {
      throw new AppError("INVALID_ARGUMENT", "Wrong otaPackage file!");
    }
    const file = { fileName, contentType, checksumAlgorithm: algorithm, checksum, sha256, dataSize: bytes };
    return otaPackageToRest(await unitOfWork.run((tx) => attachOtaFile(tx, { id, tenantId, file })));
  }
  throw new AppError("INVALID_ARGUMENT", "Required part 'file' is not present.");
}
