import { Buffer } from "node:buffer";
import { type Context, Hono } from "hono";
import type { Clock } from "../../shared/core/clock.ts";
import { AppError } from "../../shared/core/errors.ts";
import type { TelemetryRecord } from "../../shared/entities/telemetry.ts";
import type { DeviceErrors } from "./device-errors.ts";
import {
  attributeAnswerText,
  attributeRequest,
  decodePayload,
  readClientAttributes,
  TelemetryIntake,
} from "./device-session.ts";
import { createDeviceWaits } from "./device-waits.ts";
import type { AuthenticatedDevice, DeviceData, DeviceDirectory, DeviceEvents } from "./ports.ts";
import type { ServerTimes } from "./server-times.ts";

export interface DeviceHttpDeps {
  readonly clock: Clock;
  readonly directory: DeviceDirectory;
  readonly data: DeviceData;
  readonly events: DeviceEvents;
  readonly errors: DeviceErrors;
  /** Shared with the other protocols of the edge. */
  readonly times: ServerTimes;
  /** The error object of the REST convention, with its status. */
  readonly errorResponse: (error: AppError) => Response;
}

export interface DeviceHttpOptions {
  /** A body above it is answered with 413. @default 52_428_800 */
  readonly bodyBytesMax?: number;
  /** Bodies that are read at once, together; above it 429. @default 67_108_864 */
  readonly bodiesBytesMax?: number;
  /** Requests that wait for a change at once; above it 429. @default 1000 */
  readonly waitsMax?: number;
  /** How long such a request waits when it does not say. @default 60_000 */
  readonly waitMs?: number;
  /** The longest that it may ask for; the server's own idle time-out has to be longer. @default 100_000 */
  readonly waitMaxMs?: number;
}

/**
 * The device API over HTTP: `/{token}/telemetry`, `/{token}/attributes`, `/{token}/attributes/updates`, to be mounted under `/api/v1`.
 * 200 means that the data is on disk.
 *
 * @example
 * app.route("/api/v1", createDeviceHttpApi(deps));
 */
export function createDeviceHttpApi(deps: DeviceHttpDeps, options: DeviceHttpOptions = {}): Hono {
  const { clock, directory, data, errors, errorResponse } = deps;
  const { waitMs = 60_000, waitMaxMs = 100_000, waitsMax = 1000 } = options;
  const intake = new TelemetryIntake(deps.times);
  const readBody = createBodyReader(options);
  const waits = createDeviceWaits({ clock, events: deps.events }, { waitsMax });
  const api = new Hono();

  api.post("/:token/telemetry", (context) =>
    withDevice(context, async (device) => {
      const records: TelemetryRecord[] = [];
      intake.add(device.deviceId, await readBody(context.req.raw), clock.nowMs(), records);
      if (records.length > 0) await data.saveTelemetry(records);
      return emptyAnswer(200);
    }),
  );

  api.post("/:token/attributes", (context) =>
    withDevice(context, async (device) => {
      const attributes = readClientAttributes(await readBody(context.req.raw), clock.nowMs());
      if (attributes.length > 0) await data.saveClientAttributes(device.deviceId, attributes);
      return emptyAnswer(200);
    }),
  );

  api.get("/:token/attributes", (context) =>
    withDevice(context, async (device) => {
      const request = attributeRequest(context.req.query("clientKeys"), context.req.query("sharedKeys"));
      return jsonAnswer(attributeAnswerText(await data.readAttributes(device.deviceId, request)));
    }),
  );

  api.get("/:token/attributes/updates", (context) =>
    withDevice(context, async (device) => {
      const timeoutMs = Math.min(readTimeout(context.req.query("timeout"), waitMs), waitMaxMs);
      const outcome = await waits.nextPush(device.deviceId, timeoutMs, context.req.raw.signal);
      switch (outcome.kind) {
        case "push":
          return jsonAnswer(outcome.text);
        case "timeout":
          return emptyAnswer(408);
        case "access-ended":
          return new Response("Device was deleted!", { status: 403 });
        default:
          return outcome satisfies never;
      }
    }),
  );

  api.all("*", () => errorResponse(new AppError("NOT_FOUND", "There is no such route of the device API")));
  api.onError((thrown) => errorResponse(AppError.from(thrown)));
  return api;

  async function withDevice(
    context: Context,
    serve: (device: AuthenticatedDevice) => Promise<Response>,
  ): Promise<Response> {
    const device = await directory.findByAccessToken(context.req.param("token") ?? "");
    if (device === null) return emptyAnswer(401);
    try {
      return await serve(device);
    } catch (thrown) {
      const error = AppError.from(thrown);
      errors.note(device.deviceId, `${context.req.method} was refused: ${error.message}`);
      return errorResponse(error);
    }
  }
}

/** Reads bodies as text within the limits of one and of all together. */
function createBodyReader(options: DeviceHttpOptions): (request: Request) => Promise<string> {
  const { bodyBytesMax = 52_428_800, bodiesBytesMax = 67_108_864 } = options;
  let bodiesBytes = 0;

  return async (request) => {
    const declared = request.headers.get("content-length");
    // Without a length the body may be anything up to the limit.
    const reservedBytes = declared === null ? bodyBytesMax : Number(declared);
    if (reservedBytes > bodyBytesMax) throw tooLarge();
    if (bodiesBytes > 0 && bodiesBytes + reservedBytes > bodiesBytesMax) {
      throw new AppError(
        "TOO_MANY_REQUESTS",
        `Bodies of ${bodiesBytes} bytes are being read, at most ${bodiesBytesMax} together`,
      );
    }
    bodiesBytes += reservedBytes;
    try {
      return decodePayload(declared === null ? await collect(request) : Buffer.from(await request.arrayBuffer()));
    } finally {
      bodiesBytes -= reservedBytes;
    }
  };

  async function collect(request: Request): Promise<Buffer> {
    const chunks: Uint8Array[] = [];
    let length = 0;
    // The stream of a Request is typed per runtime; each chunk of a body is bytes.
    for await (const chunk of (request.body ?? []) as AsyncIterable<Uint8Array>) {
      length += chunk.length;
      if (length > bodyBytesMax) throw tooLarge();
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  }

  function tooLarge(): AppError {
    return new AppError("PAYLOAD_TOO_LARGE", `The body has more than ${bodyBytesMax} bytes`);
  }
}

function readTimeout(text: string | undefined, defaultMs: number): number {
  if (text === undefined) return defaultMs;
  if (!/^[0-9]{1,9}$/.test(text)) {
    throw new AppError(
      "INVALID_ARGUMENT",
      `Expected a number of ms as timeout, got ${JSON.stringify(text.slice(0, 32))}`,
      {
        field: "timeout",
      },
    );
  }
  return Number(text);
}

function emptyAnswer(status: number): Response {
  return new Response(null, { status });
}

function jsonAnswer(text: string): Response {
  return new Response(text, { headers: { "content-type": "application/json" } });
}
