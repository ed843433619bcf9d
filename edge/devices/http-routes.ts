import { type Context, Hono } from "hono";
import type { Clock } from "../../shared/core/clock.ts";
import { AppError } from "../../shared/core/errors.ts";
import type { DeviceActivity } from "./activity.ts";
import type { DeviceErrors } from "./device-errors.ts";
import type { AccessEnded } from "./event-waits.ts";
import { type BodyLimits, createBodyReader, type ReadBody } from "./http-body.ts";
import type {
  AuthenticatedDevice,
  DeviceData,
  DeviceDirectory,
  DeviceEvents,
  DevicePackages,
  DeviceProvisioning,
} from "./ports.ts";
import type { RateLimits } from "./rate-limits.ts";
import type { DeviceQuestions, DeviceRpcs } from "./rpc-ports.ts";
import type { ServerTimes } from "./server-times.ts";
import type { SourceLimits } from "./source-limits.ts";
import type { WaitLimits } from "./waits.ts";

// What every file with routes of the device API over HTTP builds on.

export interface DeviceHttpDeps {
  readonly clock: Clock;
  readonly directory: DeviceDirectory;
  readonly data: DeviceData;
  readonly events: DeviceEvents;
  readonly provisioning: DeviceProvisioning;
  readonly packages: DevicePackages;
  readonly errors: DeviceErrors;
  readonly rpcs: DeviceRpcs;
  readonly questions: DeviceQuestions;
  readonly rates: RateLimits;
  readonly activity: DeviceActivity;
  readonly sources: SourceLimits;
  /** Shared with the other protocols of the edge. */
  readonly times: ServerTimes;
  /** The error object of the REST convention, with its status. */
  readonly errorResponse: (error: AppError) => Response;
}

export interface DeviceHttpOptions extends BodyLimits, WaitLimits {
  /** How long a request waits that does not say. @default 60_000 */
  readonly waitMs?: number;
  /** The longest that it may ask for; the server's own idle time-out has to be longer. @default 100_000 */
  readonly waitMaxMs?: number;
}

export interface DeviceRoutes {
  readonly api: Hono;
  readonly readBody: ReadBody;
  /**
   * Serves the device whose token is in the path; without one it is answered with an empty 401. What `serve` throws is the device's last
   * error and the answer.
   */
  readonly withDevice: (
    context: Context,
    serve: (device: AuthenticatedDevice) => Promise<Response>,
  ) => Promise<Response>;
  /** How long a request wants to wait (`?timeout=`), within the limits. @throws AppError INVALID_ARGUMENT */
  readonly waitMsOf: (context: Context) => number;
}

export function createDeviceRoutes(
  { directory, errors, errorResponse, rates, activity, sources }: DeviceHttpDeps,
  options: DeviceHttpOptions,
): DeviceRoutes {
  const { waitMs = 60_000, waitMaxMs = 100_000 } = options;
  return {
    api: new Hono(),
    readBody: createBodyReader(options),
    withDevice: async (context, serve) => {
      // As the listener gives it; the routes are mounted below others that say so.
      const address = (context.env as { readonly remoteAddress?: string } | undefined)?.remoteAddress ?? "";
      sources.check(address);
      const device = await directory.findByAccessToken(context.req.param("token") ?? "");
      if (device === null) {
        sources.noteFailure(address);
        return emptyAnswer(401);
      }
      try {
        activity.note(device);
        rates.check(device, "messages");
        return await serve(device);
      } catch (thrown) {
        const error = AppError.from(thrown);
        errors.note(device.deviceId, `${context.req.method} was refused: ${error.message}`);
        return errorResponse(error);
      }
    },
    waitMsOf: (context) => Math.min(readTimeout(context.req.query("timeout"), waitMs), waitMaxMs),
  };
}

function readTimeout(text: string | undefined, defaultMs: number): number {
  if (text === undefined) return defaultMs;
  if (!/^[0-9]{1,9}$/.test(text)) {
    throw new AppError(
      "INVALID_ARGUMENT",
      `Expected a number of ms as timeout, got ${JSON.stringify(text.slice(0, 32))}`,
      { field: "timeout" },
    );
  }
  return Number(text);
}

export function emptyAnswer(status: number): Response {
  return new Response(null, { status });
}

export function jsonAnswer(text: string): Response {
  return new Response(text, { headers: { "content-type": "application/json" } });
}

/** To a request that waited: the token in its path is nobody's any more. */
export function accessEnded({ isRemoved }: AccessEnded): Response {
  return isRemoved ? new Response("Device was deleted!", { status: 403 }) : emptyAnswer(401);
}
