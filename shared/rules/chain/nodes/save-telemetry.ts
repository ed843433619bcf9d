import * as z from "zod";
import { AppError } from "../../../core/errors.ts";
import { readTelemetry } from "../../../entities/values.ts";
import { timeOf } from "../message.ts";
import { defineNode, succeed } from "../node-kind.ts";

const config = z.object({
  defaultTTL: z.number().nullish(),
  useServerTs: z.boolean().nullish(),
  processingSettings: z.object({ type: z.string() }).loose().nullish(),
});

export const saveTelemetry = defineNode({
  type: "telemetry.TbMsgTimeseriesNode",
  config,
  make: ({ defaultTTL, useServerTs, processingSettings }, { note }) => {
    const processing = processingSettings?.type ?? "ON_EVERY_MESSAGE";
    if (processing !== "ON_EVERY_MESSAGE") note(`it saves every message, whatever ${processing} says`);
    return {
      handle: (message, { nowMs }) => {
        if (message.type !== "POST_TELEMETRY_REQUEST") {
          throw new AppError(
            "INVALID_ARGUMENT",
            `Expected a message of type POST_TELEMETRY_REQUEST, got ${message.type}`,
          );
        }
        const ttl = message.metadata["TTL"] ?? "";
        const tsMs = (useServerTs ?? false) ? nowMs : timeOf(message);
        const ttlSeconds = /^\d{1,12}$/.test(ttl) ? Number(ttl) : (defaultTTL ?? 0);
        const points = readTelemetry(message.data, { nowMs: tsMs, nulls: "skip" });
        if (points.length === 0) throw new AppError("INVALID_PAYLOAD", "The payload of the message has no values");
        return succeed(message, [{ kind: "save-telemetry", entity: message.originator, points, ttlSeconds }]);
      },
    };
  },
});
