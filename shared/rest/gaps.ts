import * as z from "zod";
import type { Uuid } from "../core/ids.ts";
import { GAP_REASONS, type GapReason } from "../entities/change.ts";
import { entityIdSchema, restId } from "../entities/fields.ts";

/** Telemetry that an edge removed before it was sent, as both ends list it. */
export const gapSchema = z
  .object({
    deviceId: entityIdSchema,
    startTs: z.int().meta({ description: "Time of measurement of the first record removed" }),
    endTs: z.int().meta({ description: "And of the last" }),
    records: z.int(),
    reason: z.enum(GAP_REASONS).meta({ description: "thinned: records between them were kept" }),
    removedTime: z.int().meta({ description: "On the clock of the edge" }),
  })
  .meta({ id: "TelemetryGap" });

export interface RemovedTelemetry {
  readonly deviceId: Uuid;
  readonly fromMs: number;
  readonly toMs: number;
  readonly records: number;
  readonly reason: GapReason;
  readonly removedMs: number;
}

export function gapToRest(gap: RemovedTelemetry): z.input<typeof gapSchema> {
  return {
    deviceId: restId("DEVICE", gap.deviceId),
    startTs: gap.fromMs,
    endTs: gap.toMs,
    records: gap.records,
    reason: gap.reason,
    removedTime: gap.removedMs,
  };
}
