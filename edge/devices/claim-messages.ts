import * as z from "zod";
import { AppError } from "../../shared/core/errors.ts";
import type { ClaimRequest } from "./ports.ts";

// How devices ask to be claimed, the same in each protocol.

/** When the device does not say. */
const DURATION_DEFAULT_MS = 24 * 3_600_000;
/** A hundred years: beyond it no clock is right. */
const DURATION_MAX_MS = 100 * 365 * 24 * 3_600_000;

const schema = z.object({
  secretKey: z.string().max(255).nullish(),
  durationMs: z.int().min(1).max(DURATION_MAX_MS).nullish(),
});

/** `{"secretKey":"s","durationMs":60000}`; both may be missing, and so may the payload. @throws AppError INVALID_PAYLOAD */
export function readClaim(payload: string): ClaimRequest {
  const parsed = schema.safeParse(payload.trim() === "" ? {} : parseJson(payload));
  if (!parsed.success) throw invalid('Expected a claim as {"secretKey":"s","durationMs":60000}');
  const { secretKey, durationMs } = parsed.data;
  return { secretKey: secretKey ?? "", durationMs: durationMs ?? DURATION_DEFAULT_MS };
}

function parseJson(payload: string): unknown {
  try {
    return JSON.parse(payload);
  } catch {
    throw invalid("Expected a claim as JSON");
  }
}

function invalid(text: string): AppError {
  return new AppError("INVALID_PAYLOAD", text);
}
