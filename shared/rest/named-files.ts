import * as z from "zod";
import { AppError } from "../core/errors.ts";
import { NULL_UUID } from "../core/ids.ts";
import { contentOf } from "../entities/content.ts";
import type { EntityRecord } from "../entities/entity-record.ts";
import type { ExportedFile } from "../entities/exported-file.ts";
import { linksIn, SYSTEM_LINK } from "../entities/resource-links.ts";
import { RESOURCE_TYPES, resourceMediaType, resourceToRest } from "../entities/resource.ts";
import { findResourceByKey } from "../store/resource-store.ts";
import { readWhole } from "./files.ts";
import type { OtaReadDeps } from "./ota-packages.ts";
import { booleanQuery } from "./pages.ts";
import type { Principal } from "./principal.ts";
import { isVisible } from "./resource.ts";

// Files that an entity names by link, put into an answer about it for those who take it elsewhere.

/** What the files of one answer may have together, in bytes. */
const FILES_BYTES_MAX = 16_777_216;

export const inlineImagesQuery = z.object({ inlineImages: booleanQuery.optional() });

/**
 * The files that a record names and the caller may read; links to nothing are passed over.
 *
 * @throws AppError PAYLOAD_TOO_LARGE
 */
export async function exportNamedFiles(
  deps: OtaReadDeps,
  principal: Principal,
  record: EntityRecord,
): Promise<ExportedFile[]> {
  const files: ExportedFile[] = [];
  let bytesLeft = FILES_BYTES_MAX;
  for (const name of linksIn(record)) {
    const file = await findNamed(deps, record, name);
    if (file === null || !mayRead(principal, file)) continue;
    const content = contentOf(file);
    if (content === null) continue;
    bytesLeft -= content.bytes;
    if (bytesLeft < 0)
      throw new AppError(
        "PAYLOAD_TOO_LARGE",
        `The files have more than ${FILES_BYTES_MAX} bytes: download them by link`,
      );
    const bytes = await readWhole(deps.contents.read(file.tenantId, content), content.bytes);
    const { link, title, resourceType, resourceSubType, resourceKey, fileName } = resourceToRest(file);
    files.push({
      link,
      title,
      type: resourceType,
      subType: resourceSubType,
      resourceKey,
      fileName,
      publicResourceKey: null,
      public: false,
      mediaType: resourceMediaType(file),
      data: bytes.toBase64(),
    });
  }
  return files;
}

/** The record with images in its texts in place of links to them. @throws AppError PAYLOAD_TOO_LARGE */
export async function withInlineImages(
  deps: OtaReadDeps,
  principal: Principal,
  record: EntityRecord,
): Promise<EntityRecord> {
  const images = (await exportNamedFiles(deps, principal, record)).filter(({ type }) => type === "IMAGE");
  let body = JSON.stringify(record.body);
  let { content } = record;
  for (const image of images) {
    const inline = `"data:${image.mediaType};base64,${image.data}"`;
    for (const link of [image.link, decodeURIComponent(image.link)]) {
      const text = JSON.stringify(`tb-image;${link}`);
      body = body.replaceAll(text, inline);
      content = content?.replaceAll(text, inline) ?? content;
    }
  }
  // Only texts of the body were replaced, by texts.
  return { ...record, body: JSON.parse(body) as EntityRecord["body"], ...(content === undefined ? {} : { content }) };
}

function findNamed({ db }: OtaReadDeps, { tenantId }: EntityRecord, name: string): Promise<EntityRecord | null> {
  const isOfSystem = name.startsWith(SYSTEM_LINK);
  const [typeText = "", ...key] = (isOfSystem ? name.slice(SYSTEM_LINK.length) : name).split(" ");
  const type = RESOURCE_TYPES.find((known) => known === typeText);
  if (type === undefined) return Promise.resolve(null);
  return findResourceByKey(db, { tenantId: isOfSystem ? NULL_UUID : tenantId, type, key: key.join(" ") });
}

/** Dashboards show images to whoever may see them. */
function mayRead(principal: Principal, file: EntityRecord): boolean {
  return file.subtype === "IMAGE" || isVisible(principal, file);
}
