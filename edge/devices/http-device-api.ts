import type { Hono } from "hono";
import { AppError } from "../../shared/core/errors.ts";
import type { CanonicalJson, TelemetryRecord } from "../../shared/entities/telemetry.ts";
import {
  attributeAnswerText,
  attributeRequest,
  pushText,
  readClientAttributes,
  TelemetryIntake,
} from "./device-session.ts";
import { EventWaits, type AccessEnded } from "./event-waits.ts";
import { addOnboardingRoutes } from "./http-onboarding.ts";
import { addPackageRoutes } from "./http-packages.ts";
import {
  createDeviceRoutes,
  accessEnded,
  type DeviceHttpDeps,
  type DeviceHttpOptions,
  type DeviceRoutes,
  emptyAnswer,
  jsonAnswer,
} from "./http-routes.ts";
import { addRpcRoutes } from "./http-rpc.ts";
import { checkTelemetryRate } from "./rate-limits.ts";

/**
 * The device API over HTTP, to be mounted under `/api/v1`. 200 means that the data is on disk.
 *
 * @example
 * app.route("/api/v1", createDeviceHttpApi(deps));
 */
export function createDeviceHttpApi(deps: DeviceHttpDeps, options: DeviceHttpOptions = {}): Hono {
  const { errorResponse } = deps;
  const routes = createDeviceRoutes(deps, options);
  addDataRoutes(routes, deps);
  addUpdatesRoute(routes, deps, options);
  addOnboardingRoutes(routes, deps);
  addPackageRoutes(routes, deps);
  addRpcRoutes(routes, deps, options);
  const { api } = routes;
  api.all("*", () => errorResponse(new AppError("NOT_FOUND", "There is no such route of the device API")));
  api.onError((thrown) => errorResponse(AppError.from(thrown)));
  return api;
}

function addDataRoutes(
  { api, readBody, withDevice }: DeviceRoutes,
  { clock, data, rates, times }: DeviceHttpDeps,
): void {
  const intake = new TelemetryIntake(times);
  api.post("/:token/telemetry", (context) =>
    withDevice(context, async (device) => {
      const records: TelemetryRecord[] = [];
      intake.add(device.deviceId, await readBody(context.req.raw), clock.nowMs(), records);
      checkTelemetryRate(rates, device, records);
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
}

function addUpdatesRoute(
  { api, waitMsOf, withDevice }: DeviceRoutes,
  { clock, events }: DeviceHttpDeps,
  options: DeviceHttpOptions,
): void {
  const waits = new EventWaits<CanonicalJson | AccessEnded>(
    { clock, events, answerOf: (event) => (event.kind === "access-ended" ? event : pushText(event)) },
    options,
  );
  api.get("/:token/attributes/updates", (context) =>
    withDevice(context, async (device) => {
      const push = await waits.next(device.deviceId, waitMsOf(context), context.req.raw.signal);
      if (push === null) return emptyAnswer(408);
      return typeof push === "string" ? jsonAnswer(push) : accessEnded(push);
    }),
  );
}
