import * as z from "zod";
import { RESOURCE_SUB_TYPES, RESOURCE_TYPES } from "./resource.ts";

/** A file as exports of the REST convention carry it. */
export const exportedFileSchema = z
  .object({
    link: z.string(),
    title: z.string(),
    type: z.enum(RESOURCE_TYPES),
    subType: z.enum(RESOURCE_SUB_TYPES).nullable(),
    resourceKey: z.string(),
    fileName: z.string().nullable(),
    publicResourceKey: z.string().nullable(),
    public: z.boolean(),
    mediaType: z.string(),
    data: z.string().meta({ description: "Base64" }),
  })
  .meta({ id: "ExportedFile" });

export type ExportedFile = z.output<typeof exportedFileSchema>;
