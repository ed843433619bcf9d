import * as z from "zod";
import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { RESOURCE_SUB_TYPES, RESOURCE_TYPES, resourceToRest } from "../../shared/entities/resource.ts";
import type { OtaDeps } from "../../shared/rest/ota-packages.ts";
import { validate } from "../../shared/rest/route.ts";
import { findResourceByKey, saveResource } from "../../shared/store/resource-store.ts";

const FILES_MAX = 1_000;

const importedFiles = z
  .array(
    z.object({
      link: z.string().min(1),
      title: z.string().nullish(),
      type: z.enum(RESOURCE_TYPES),
      subType: z.enum(RESOURCE_SUB_TYPES).nullish(),
      resourceKey: z.string().min(1),
      fileName: z.string().nullish(),
      mediaType: z.string().nullish(),
      data: z.string(),
    }),
  )
  .max(FILES_MAX);

/**
 * Stores the files that came with an exported entity, but those that the tenant has under the same key already.
 *
 * @param given what the member `resources` says
 * @returns links by what they are called in the export
 * @throws AppError INVALID_ARGUMENT
 */
export async function importFiles(
  deps: Pick<OtaDeps, "clock" | "contents" | "db" | "random" | "unitOfWork">,
  tenantId: Uuid,
  given: unknown,
): Promise<ReadonlyMap<string, string>> {
  const links = new Map<string, string>();
  for (const [index, file] of validate(importedFiles, given).entries()) {
    const { data, fileName, link, mediaType, resourceKey, subType, title, type } = file;
    const content = await deps.contents.upload(tenantId, { chunks: [decode(data, index)] });
    const stored = await findResourceByKey(deps.db, { tenantId, type, key: resourceKey });
    if (stored?.body["sha256"] === content.sha256) {
      links.set(link, resourceToRest(stored).link);
      continue;
    }
    const names = { title: title ?? resourceKey, fileName: fileName ?? resourceKey };
    const saved = await deps.unitOfWork.run((tx) =>
      saveResource(tx, deps, {
        tenantId,
        input: { ...names, resourceType: type, resourceSubType: subType },
        file: { content, contentType: mediaType ?? null },
      }),
    );
    links.set(link, resourceToRest(saved).link);
  }
  return links;
}

function decode(data: string, index: number): Uint8Array {
  try {
    return Uint8Array.fromBase64(data);
  } catch (error) {
    throw new AppError("INVALID_ARGUMENT", "Resource data is not base64", {
      cause: error,
      field: `resources.${index}.data`,
    });
  }
}
