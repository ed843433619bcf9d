import protobuf from "protobufjs";
import { fromJson } from "protobufjs/ext/protojson";
import { AppError } from "../../../shared/core/errors.ts";
import type { CanonicalJson } from "../../../shared/entities/telemetry.ts";
import { kindOf, splitValues, textOf, type ValueKind } from "../../../shared/entities/values.ts";
import type { DownlinkPayload, UplinkPayload } from "../payload-form.ts";
import type { PayloadCodec } from "../payloads.ts";
import { messageText } from "./message-text.ts";
import { DEFAULT_SCHEMAS, PUBLIC_MESSAGES } from "./public-messages.ts";

/** `.proto` texts of a device profile; the last message of each is the one that is sent. What is missing is the default. */
export type ProtobufSchemas = { readonly [member in keyof typeof DEFAULT_SCHEMAS]?: string | undefined };

const SCHEMA_LENGTH_MAX = 65_536;

/**
 * Payloads as protocol buffers.
 *
 * @throws AppError INVALID_ARGUMENT that names the schema which can't be read
 */
export function createProtobufCodec(schemas: ProtobufSchemas): PayloadCodec {
  const publicMessages = protobuf.parse(PUBLIC_MESSAGES, { keepCase: true }).root;
  const typeOf = (member: keyof typeof DEFAULT_SCHEMAS): protobuf.Type =>
    readSchema(member, schemas[member] ?? DEFAULT_SCHEMAS[member]);
  const own = {
    telemetry: typeOf("deviceTelemetryProtoSchema"),
    attributes: typeOf("deviceAttributesProtoSchema"),
    rpcRequest: typeOf("deviceRpcRequestProtoSchema"),
    rpcAnswer: typeOf("deviceRpcResponseProtoSchema"),
  };
  const decode: { readonly [kind in UplinkPayload]: (bytes: Uint8Array) => string } = {
    telemetry: (bytes) => readText(own.telemetry, bytes),
    attributes: (bytes) => readText(own.attributes, bytes),
    rpcAnswer: (bytes) => readText(own.rpcAnswer, bytes),
    attributeRequest: (bytes) => givenOnly(readText(publicMessages.lookupType("AttributesRequest"), bytes)),
    claim: (bytes) => givenOnly(readText(publicMessages.lookupType("ClaimDevice"), bytes)),
    question: (bytes) => questionText(readText(publicMessages.lookupType("RpcRequest"), bytes)),
  };
  const encode: { readonly [kind in DownlinkPayload]: (text: CanonicalJson, number: number) => Uint8Array } = {
    rpcRequest: (text, requestId) => write(own.rpcRequest, requestOf(own.rpcRequest, text, requestId)),
    questionAnswer: (payload, requestId) => write(publicMessages.lookupType("RpcResponse"), { requestId, payload }),
    attributePush: (text) => write(publicMessages.lookupType("AttributesUpdate"), updateOf(text)),
    attributeAnswer: (text, requestId) => {
      const { client, shared } = Object.fromEntries(splitValues(text));
      const message = { requestId, client: keyValues(client), shared: keyValues(shared) };
      return write(publicMessages.lookupType("AttributesResponse"), message);
    },
  };
  return {
    decode: (kind, bytes) => decode[kind](bytes),
    encode: (kind, text, number) => encode[kind](text as CanonicalJson, number), // what the edge writes is canonical
  };
}

function readSchema(member: string, text: string): protobuf.Type {
  try {
    if (text.length > SCHEMA_LENGTH_MAX) throw new Error(`expected ${SCHEMA_LENGTH_MAX} characters at most`);
    const { root, imports, package: packageName } = protobuf.parse(text, new protobuf.Root(), { keepCase: true });
    if ((imports ?? []).length > 0) throw new Error("imports are not served");
    root.resolveAll();
    const messages = root.lookup(packageName ?? "");
    const found = (messages instanceof protobuf.Namespace ? messages : root).nestedArray.findLast(
      (nested) => nested instanceof protobuf.Type,
    );
    if (!(found instanceof protobuf.Type)) throw new Error("expected a message");
    return found;
  } catch (thrown) {
    throw new AppError("INVALID_ARGUMENT", `Expected a schema of protobuf in "${member}": ${reasonOf(thrown)}`, {
      field: member,
      cause: thrown,
    });
  }
}

function readText(type: protobuf.Type, bytes: Uint8Array): string {
  try {
    return messageText(type, type.decode(bytes));
  } catch (thrown) {
    if (thrown instanceof AppError) throw thrown;
    throw new AppError("INVALID_PAYLOAD", `Expected a ${type.name} as protobuf: ${reasonOf(thrown)}`, {
      cause: thrown,
    });
  }
}

function write(type: protobuf.Type, message: object): Uint8Array {
  try {
    return type.encode(fromJson(type, message, { ignoreUnknownFields: true })).finish();
  } catch (thrown) {
    throw new AppError("INVALID_PAYLOAD", `The ${type.name} has no place for it: ${reasonOf(thrown)}`, {
      cause: thrown,
    });
  }
}

/** Members that are not the default: a field of these messages can't tell otherwise whether it is there. */
function givenOnly(text: string): string {
  const members = [...splitValues(text)].filter(([, value]) => value !== '""' && value !== "0");
  return `{${members.map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(",")}}`;
}

/** `params` is JSON as text, or any text. */
function questionText(text: string): string {
  const { method, params } = JSON.parse(text) as { readonly method: string; readonly params: string };
  return `{"method":${JSON.stringify(method)},"params":${params === "" ? "{}" : isJson(params) ? params : JSON.stringify(params)}}`;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** What the schema has as text and is none goes as JSON text. */
function requestOf(type: protobuf.Type, text: CanonicalJson, requestId: number): object {
  const { method = '""', params = "{}" } = Object.fromEntries(splitValues(text));
  const isText = type.fields["params"]?.type === "string" && kindOf(params as CanonicalJson) !== "string";
  return {
    method: JSON.parse(method) as unknown,
    requestId,
    params: isText ? params : (JSON.parse(params) as unknown),
  };
}

/** `{"limit":3}` or `{"deleted":["limit"]}`. */
function updateOf(text: CanonicalJson): object {
  const { deleted } = JSON.parse(text) as { readonly deleted?: unknown };
  const isDeletion = Array.isArray(deleted) && deleted.every((key) => typeof key === "string");
  return isDeletion ? { sharedDeleted: deleted } : { sharedUpdated: keyValues(text) };
}

const MEMBERS: { readonly [kind in ValueKind]: readonly [type: string, member: string] } = {
  boolean: ["BOOLEAN_V", "boolV"],
  long: ["LONG_V", "longV"],
  double: ["DOUBLE_V", "doubleV"],
  string: ["STRING_V", "stringV"],
  json: ["JSON_V", "jsonV"],
};

function keyValues(text: string | undefined): object[] {
  if (text === undefined) return [];
  return [...splitValues(text as CanonicalJson)].map(([key, value]) => {
    const kind = kindOf(value);
    const [type, member] = MEMBERS[kind];
    return {
      kv: { key, type, [member]: kind === "string" ? textOf(value) : kind === "boolean" ? value === "true" : value },
    };
  });
}

function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
