import { Buffer } from "node:buffer";
import protobuf from "protobufjs";
import { AppError } from "../../../shared/core/errors.ts";

/** Few bytes may stand for many fields that are not there. */
const TEXT_LENGTH_MAX = 1_048_576;

/**
 * A message as JSON text: whole numbers with all their digits, doubles with a point, enums by name, bytes as base64. Fields that can't
 * tell whether they are there are always there, with their default; others only when they are.
 *
 * @throws AppError INVALID_PAYLOAD when the text is too long
 */
export function messageText(type: protobuf.Type, message: object): string {
  const text = new TextWriter();
  text.message(type, message);
  return text.parts.join("");
}

class TextWriter {
  readonly parts: string[] = [];
  #length = 0;

  /** The library reads no deeper than 100 levels. */
  message(type: protobuf.Type, message: object): void {
    this.#add("{");
    let isFirst = true;
    for (const field of type.fieldsArray) {
      const value = valueOf(field, message);
      if (value === undefined) continue;
      this.#add(`${isFirst ? "" : ","}${JSON.stringify(field.jsonName ?? field.name)}:`);
      isFirst = false;
      this.#field(field, value);
    }
    this.#add("}");
  }

  #field(field: protobuf.Field, value: unknown): void {
    if (field.map) return this.#map(field, value as Record<string, unknown>); // what the library gives for it
    if (!field.repeated) return this.#value(field, value);
    this.#add("[");
    for (const [at, item] of (value as readonly unknown[]).entries()) {
      if (at > 0) this.#add(",");
      this.#value(field, item);
    }
    this.#add("]");
  }

  #map(field: protobuf.Field, entries: Record<string, unknown>): void {
    this.#add("{");
    for (const [at, [key, item]] of Object.entries(entries).entries()) {
      this.#add(`${at > 0 ? "," : ""}${JSON.stringify(keyText(field, key))}:`);
      this.#value(field, item);
    }
    this.#add("}");
  }

  #value({ type, resolvedType }: protobuf.Field, value: unknown): void {
    if (resolvedType instanceof protobuf.Enum) {
      const name = resolvedType.valuesById[Number(value)];
      this.#add(name === undefined ? String(value) : JSON.stringify(name));
    } else if (resolvedType instanceof protobuf.Type) {
      this.message(resolvedType, value as object);
    } else {
      this.#add(scalarText(type, value));
    }
  }

  #add(part: string): void {
    this.#length += part.length;
    if (this.#length > TEXT_LENGTH_MAX)
      throw new AppError("INVALID_PAYLOAD", `A message of more than ${TEXT_LENGTH_MAX} characters as JSON`);
    this.parts.push(part);
  }
}

/** Undefined: it is not there. */
function valueOf(field: protobuf.Field, message: object): unknown {
  if (Object.hasOwn(message, field.name)) return (message as Record<string, unknown>)[field.name];
  const isSilent = field.hasPresence || field.resolvedType instanceof protobuf.Type;
  return isSilent ? undefined : field.typeDefault;
}

/** Keys of 64 bits are their eight bytes, lowest first, inside the library. */
function keyText(field: protobuf.Field, key: string): string {
  const keyType = field instanceof protobuf.MapField ? field.keyType : "string";
  if (!keyType.endsWith("64")) return key;
  const bytes = Buffer.from(key, "latin1");
  return String(/^(?:uint|fixed)64$/.test(keyType) ? bytes.readBigUInt64LE() : bytes.readBigInt64LE());
}

function scalarText(type: string, value: unknown): string {
  switch (type) {
    case "string":
      return JSON.stringify(value);
    case "bytes":
      return JSON.stringify(Buffer.from(value as Uint8Array).toString("base64"));
    case "double":
      return doubleText(Number(value), String(value));
    case "float":
      return doubleText(Number(value), shortestFloat(Number(value)));
    default:
      return String(value);
  }
}

/** With a point, so that it stays a double. */
function doubleText(value: number, digits: string): string {
  if (!Number.isFinite(value)) return JSON.stringify(String(value));
  const text = Object.is(value, -0) ? "-0" : digits;
  return /[.e]/.test(text) ? text : `${text}.0`;
}

/** As few digits as tell it from the floats beside it. */
function shortestFloat(value: number): string {
  for (let digits = 6; digits < 9; digits++) {
    const text = String(Number(value.toPrecision(digits)));
    if (Math.fround(Number(text)) === value) return text;
  }
  return String(Number(value.toPrecision(9)));
}
