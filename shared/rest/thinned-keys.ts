import * as z from "zod";

/** A ThinnedKey of shared/sync/edge-report.ts. */
export const thinnedKeySchema = z
  .object({
    key: z.string(),
    came: z.int().meta({ description: "Values that devices sent" }),
    sent: z.int().meta({ description: "Values that went to the cloud in their place" }),
    cameBytes: z.int().meta({ description: "Before compression" }),
    sentBytes: z.int(),
  })
  .meta({ id: "ThinnedKey" });
