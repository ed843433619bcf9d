import { Buffer } from "node:buffer";
import type { Clock } from "../../shared/core/clock.ts";
import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { OTA_PREFIXES, type OtaType } from "../../shared/entities/ota-package.ts";
import { RPC_CONTENT_LENGTH_MAX } from "../../shared/entities/rpc.ts";
import type { TelemetryRecord } from "../../shared/entities/telemetry.ts";
import { joinValues } from "../../shared/entities/values.ts";
import type { DeviceActivity } from "./activity.ts";
import { readClaim } from "./claim-messages.ts";
import { type CoapAnswer, bytesAnswer, emptyAnswer, jsonAnswer } from "./coap-answers.ts";
import { CODE } from "./coap-codes.ts";
import type { Observable, Watcher } from "./coap-observers.ts";
import {
  attributeAnswerText,
  attributeRequest,
  decodePayload,
  pushText,
  readClientAttributes,
  TelemetryIntake,
} from "./device-session.ts";
import { findPackagePart } from "./package-part.ts";
import type { AuthenticatedDevice, DeviceData, DeviceEvents, DevicePackages, DeviceProvisioning } from "./ports.ts";
import { provisionAnswerText, readProvisionRequest } from "./provision-messages.ts";
import { checkTelemetryRate, type RateLimits } from "./rate-limits.ts";
import { readQuestion, rpcText } from "./rpc-messages.ts";
import type { DeviceQuestions, DeviceRpcs } from "./rpc-ports.ts";
import type { ServerTimes } from "./server-times.ts";

/** A request with all of its body. */
export interface CoapRequest {
  /** What each `+` of the route stands for here. */
  readonly segments: readonly string[];
  readonly query: ReadonlyMap<string, string>;
  readonly body: Uint8Array;
}

/** A resource of the device whose token is in the path. */
export interface CoapRoute {
  /** Segments; `:token` stands for the access token, `+` for any one. */
  readonly path: string;
  readonly get?: (device: AuthenticatedDevice, request: CoapRequest) => Promise<CoapAnswer>;
  readonly post?: (device: AuthenticatedDevice, request: CoapRequest) => Promise<CoapAnswer>;
  /** GET with Observe; what `first` answers comes at once. */
  readonly observe?: { readonly observable: Observable; readonly first: CoapRoute["get"] & {} };
}

export interface CoapRouteDeps {
  readonly clock: Clock;
  readonly data: DeviceData;
  readonly packages: DevicePackages;
  readonly events: DeviceEvents;
  readonly rates: RateLimits;
  readonly rpcs: DeviceRpcs;
  readonly questions: DeviceQuestions;
  /** Shared with the other protocols of the edge. */
  readonly times: ServerTimes;
  readonly activity: DeviceActivity;
}

/** Everything that a device does with its token; a line for each. */
export function createCoapRoutes(deps: CoapRouteDeps): readonly CoapRoute[] {
  return [
    telemetryRoute(deps),
    attributesRoute(deps),
    claimRoute(deps),
    rpcRoute(deps),
    rpcAnswerRoute(deps),
    packageRoute(deps, "FIRMWARE"),
    packageRoute(deps, "SOFTWARE"),
  ];
}

function telemetryRoute({ clock, data, rates, times }: CoapRouteDeps): CoapRoute {
  const intake = new TelemetryIntake(times);
  return {
    path: "api/v1/:token/telemetry",
    post: async (device, { body }) => {
      const records: TelemetryRecord[] = [];
      intake.add(device.deviceId, textOf(body), clock.nowMs(), records);
      checkTelemetryRate(rates, device, records);
      if (records.length > 0) await data.saveTelemetry(records);
      return emptyAnswer(CODE.created);
    },
  };
}

function attributesRoute({ clock, data, events }: CoapRouteDeps): CoapRoute {
  return {
    path: "api/v1/:token/attributes",
    post: async ({ deviceId }, { body }) => {
      const attributes = readClientAttributes(textOf(body), clock.nowMs());
      if (attributes.length > 0) await data.saveClientAttributes(deviceId, attributes);
      return emptyAnswer(CODE.created);
    },
    get: async ({ deviceId }, { query }) => {
      const request = attributeRequest(query.get("clientKeys"), query.get("sharedKeys"));
      const text = attributeAnswerText(await data.readAttributes(deviceId, request));
      return text === "{}" ? emptyAnswer(CODE.notFound) : jsonAnswer(text);
    },
    observe: {
      observable: sharedAttributes(events),
      first: async ({ deviceId }) => {
        const { shared = [] } = await data.readAttributes(deviceId, { sharedKeys: [] });
        return jsonAnswer(joinValues(shared));
      },
    },
  };
}

function claimRoute({ data }: CoapRouteDeps): CoapRoute {
  return {
    path: "api/v1/:token/claim",
    post: async ({ deviceId }, { body }) => {
      await data.openClaim(deviceId, readClaim(textOf(body)));
      return emptyAnswer(CODE.created);
    },
  };
}

/** Requests to the device while it observes, and its own requests. */
function rpcRoute({ events, questions, rpcs }: CoapRouteDeps): CoapRoute {
  return {
    path: "api/v1/:token/rpc",
    post: async (device, { body }) => jsonAnswer(await questions.ask(device, readQuestion(rpcContent(body)))),
    observe: {
      first: () => Promise.resolve(emptyAnswer(CODE.valid)),
      observable: {
        name: "rpc",
        watch: (deviceId, watcher) => {
          const stop = rpcs.receive(deviceId, {
            isOnce: false,
            deliver: (request) => watcher.notify(jsonAnswer(rpcText(request, { withNumber: true }))),
          });
          // Whoever has nothing but the former token gets no request any more.
          const unsubscribe = events.subscribe((event) => {
            if (event.kind === "access-ended" && event.deviceId === deviceId) watcher.end();
          });
          return () => {
            stop();
            unsubscribe();
          };
        },
      },
    },
  };
}

/** The device's answer to the request with this number. */
function rpcAnswerRoute({ rpcs }: CoapRouteDeps): CoapRoute {
  return {
    path: "api/v1/:token/rpc/+",
    post: async ({ deviceId }, { body, segments: [number = ""] }) => {
      if (!/^[0-9]{1,15}$/.test(number)) throw new AppError("INVALID_ARGUMENT", "Expected the number of a request");
      await rpcs.answer(deviceId, Number(number), rpcContent(body));
      return emptyAnswer(CODE.created);
    },
  };
}

function rpcContent(body: Uint8Array): string {
  const text = textOf(body);
  if (text.length <= RPC_CONTENT_LENGTH_MAX) return text;
  throw new AppError("PAYLOAD_TOO_LARGE", `The body has more than ${RPC_CONTENT_LENGTH_MAX} characters`);
}

/** All of a package, or the part that is asked for, in blocks. */
function packageRoute({ packages }: CoapRouteDeps, type: OtaType): CoapRoute {
  return {
    path: `${OTA_PREFIXES[type]}/:token`,
    get: async (device, { query }) => {
      const asked = Object.fromEntries(query);
      const { found, offset, bytes } = await findPackagePart(packages, device, { type, query: asked });
      return bytesAnswer({ bytes, read: (at, bytesMax) => found.read(offset + at, Math.min(bytesMax, bytes - at)) });
    },
  };
}

/** Changes of shared attributes. Listens to events only while somebody watches. */
function sharedAttributes(events: DeviceEvents): Observable {
  const watchers = new Map<Uuid, Set<Watcher>>();
  let unsubscribe: (() => void) | undefined;
  const listen = (): (() => void) =>
    events.subscribe((event) => {
      const text = pushText(event);
      for (const watcher of watchers.get(event.deviceId) ?? []) {
        if (text === undefined) watcher.end();
        else void watcher.notify(jsonAnswer(text));
      }
    });
  return {
    name: "attributes",
    watch: (deviceId, watcher) => {
      unsubscribe ??= listen();
      const ofDevice = watchers.get(deviceId) ?? new Set();
      watchers.set(deviceId, ofDevice.add(watcher));
      return () => {
        if (!ofDevice.delete(watcher)) return;
        if (ofDevice.size === 0 && watchers.get(deviceId) === ofDevice) watchers.delete(deviceId);
        if (watchers.size > 0) return;
        unsubscribe?.();
        unsubscribe = undefined;
      };
    },
  };
}

/** A device without a token makes itself known. */
export async function answerProvisioning(provisioning: DeviceProvisioning, body: Uint8Array): Promise<CoapAnswer> {
  const outcome = await provisioning.provision(readProvisionRequest(textOf(body)));
  return jsonAnswer(provisionAnswerText(outcome), outcome.status === "SUCCESS" ? CODE.created : CODE.badRequest);
}

/** @throws AppError INVALID_PAYLOAD when it is not UTF-8 */
function textOf(body: Uint8Array): string {
  return decodePayload(Buffer.from(body.buffer, body.byteOffset, body.length));
}
