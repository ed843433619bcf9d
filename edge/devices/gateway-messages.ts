import { AppError } from "../../shared/core/errors.ts";
import { nameInput } from "../../shared/entities/fields.ts";
import type { CanonicalJson } from "../../shared/entities/telemetry.ts";
import type { AttributeReading, TelemetryReading } from "../../shared/entities/values.ts";
import {
  joinValues,
  kindOf,
  readAttributes,
  readTelemetry,
  splitValues,
  textOf,
} from "../../shared/entities/values.ts";
import { readClaim } from "./claim-messages.ts";
import type { AttributeAnswer, ClaimRequest } from "./ports.ts";

// What a gateway says about the devices behind it, by their names. A payload is refused as a whole when a part of it can't be read.

/** Devices that one message may be about. */
const DEVICES_MAX = 1_000;
const DEFAULT_TYPE = "default";

/** Part of a message: one device. */
export interface Named<T> {
  readonly name: string;
  readonly content: T;
}

/**
 * `{"A":[{"ts":1700000000000,"values":{"t":42}}],"B":[{"t":1}]}`; what is no array is skipped.
 *
 * @param timeOf of points of a device without their own time
 * @throws AppError INVALID_PAYLOAD
 */
export function readGatewayTelemetry(text: string, timeOf: (name: string) => number): Named<TelemetryReading[]>[] {
  return readNamed(text, "[", (content, name) => readTelemetry(content, { nowMs: timeOf(name), nulls: "skip" }));
}

/** `{"A":{"serial":"x"},"B":{…}}`; what is no object is skipped. @throws AppError INVALID_PAYLOAD */
export function readGatewayAttributes(text: string): Named<AttributeReading[]>[] {
  return readNamed(text, "{", (content) => readAttributes(content, { nulls: "skip" }));
}

/** `{"A":{"secretKey":"s","durationMs":60000},"B":{}}`; what is no object is skipped. @throws AppError INVALID_PAYLOAD */
export function readGatewayClaims(text: string): Named<ClaimRequest>[] {
  return readNamed(text, "{", readClaim);
}

function readNamed<T>(text: string, opening: "[" | "{", read: (content: CanonicalJson, name: string) => T): Named<T>[] {
  const members = splitValues(text);
  if (members.size > DEVICES_MAX)
    throw invalid(`Expected at most ${DEVICES_MAX} devices in a message, got ${members.size}`);
  return Array.from(members)
    .filter(([, content]) => content.startsWith(opening))
    .map(([name, content]) => ({ name: checkedName(name), content: read(content, name) }));
}

/** A device that a gateway announces. */
export interface GatewayDevice {
  readonly name: string;
  /** Of its profile, if it is new. */
  readonly type: string;
}

/** `{"device":"A","type":"thermostat"}`; the type is `default` when it is not said. @throws AppError INVALID_PAYLOAD */
export function readGatewayDevice(text: string): GatewayDevice {
  const members = splitValues(text);
  const type = textIn(members, "type");
  return { name: deviceIn(members), type: type === undefined || type.trim() === "" ? DEFAULT_TYPE : checkedName(type) };
}

export interface GatewayAttributeRequest {
  /** As it was sent; comes back with the answer. */
  readonly id: CanonicalJson;
  readonly name: string;
  readonly scope: "client" | "shared";
  readonly keys: readonly string[];
}

/**
 * `{"id":1,"device":"A","client":false,"key":"x"}`, or `"keys":["x","y"]` in place of the key.
 *
 * @throws AppError INVALID_PAYLOAD
 */
export function readGatewayAttributeRequest(text: string): GatewayAttributeRequest {
  const members = splitValues(text);
  const id = members.get("id");
  if (id === undefined || kindOf(id) !== "long") throw invalid('Expected a whole number as "id"');
  const keys = keysIn(members);
  if (keys.length === 0) throw invalid('Expected "key", or "keys" with one at least');
  return { id, name: deviceIn(members), scope: members.get("client") === "true" ? "client" : "shared", keys };
}

/** `{"id":1,"device":"A","value":5}` for one key, else `{"id":1,"device":"A","values":{"x":5}}`; what is not there is left out. */
export function gatewayAnswerText({ id, name, keys, scope }: GatewayAttributeRequest, answer: AttributeAnswer): string {
  const found = answer[scope] ?? new Map<string, CanonicalJson>();
  const [only] = keys;
  const head: [string, CanonicalJson][] = [
    ["id", id],
    ["device", jsonText(name)],
  ];
  if (keys.length > 1 || only === undefined) return joinValues([...head, ["values", joinValues(found)]]);
  const value = found.get(only);
  return joinValues(value === undefined ? head : [...head, ["value", value]]);
}

export interface GatewayRpcAnswer {
  readonly name: string;
  readonly number: number;
  readonly data: CanonicalJson;
}

/** `{"device":"A","id":3,"data":{"ok":true}}`. @throws AppError INVALID_PAYLOAD */
export function readGatewayRpcAnswer(text: string): GatewayRpcAnswer {
  const members = splitValues(text);
  const number = Number(members.get("id") ?? NaN);
  if (!Number.isSafeInteger(number) || number < 0) throw invalid('Expected the number of a request as "id"');
  return { name: deviceIn(members), number, data: members.get("data") ?? ("null" as CanonicalJson) };
}

/** What a gateway is told of a change of a device behind it, or a request to it. */
export function gatewayPushText(name: string, data: CanonicalJson): string {
  return joinValues([
    ["device", jsonText(name)],
    ["data", data],
  ]);
}

function keysIn(members: ReadonlyMap<string, CanonicalJson>): string[] {
  const key = textIn(members, "key");
  if (key !== undefined) return [key];
  const list: unknown = JSON.parse(members.get("keys") ?? "[]");
  if (!Array.isArray(list) || !list.every((item) => typeof item === "string"))
    throw invalid('Expected an array of texts as "keys"');
  return list;
}

function deviceIn(members: ReadonlyMap<string, CanonicalJson>): string {
  const name = textIn(members, "device");
  if (name === undefined) throw invalid('Expected the name of a device as "device"');
  return checkedName(name);
}

function textIn(members: ReadonlyMap<string, CanonicalJson>, name: string): string | undefined {
  const value = members.get(name);
  if (value === undefined || value === "null") return undefined;
  // A name that looks like a number came as text, and is one.
  if (!value.startsWith('"')) throw invalid(`Expected text as "${name}"`);
  return textOf(value);
}

const deviceName = nameInput("Device");

function checkedName(name: string): string {
  const parsed = deviceName.safeParse(name);
  if (parsed.success) return parsed.data;
  throw invalid(parsed.error.issues[0]?.message ?? "Expected the name of a device");
}

function jsonText(text: string): CanonicalJson {
  return JSON.stringify(text) as CanonicalJson; // a text is canonical as it is
}

function invalid(text: string): AppError {
  return new AppError("INVALID_PAYLOAD", text);
}
