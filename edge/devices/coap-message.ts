import { AppError } from "../../shared/core/errors.ts";

// Messages of CoAP as bytes (RFC 7252 section 3, blocks by RFC 7959). Written here because the codecs that exist take a message that was
// cut off for a whole one.

export const TYPE = { confirmable: 0, nonConfirmable: 1, acknowledgement: 2, reset: 3 } as const;
export type CoapType = (typeof TYPE)[keyof typeof TYPE];

/** Methods, as codes. */
export const METHOD = { get: 0x01, post: 0x02 } as const;
export const EMPTY_CODE = 0x00;

/** Numbers of options. */
export const OPTION = {
  etag: 4,
  observe: 6,
  uriPath: 11,
  contentFormat: 12,
  maxAge: 14,
  uriQuery: 15,
  block2: 23,
  block1: 27,
  size2: 28,
  size1: 60,
} as const;

export interface CoapOption {
  readonly number: number;
  readonly value: Uint8Array;
}

export interface CoapMessage {
  readonly type: CoapType;
  /** Class << 5 | detail: 0x45 is 2.05. */
  readonly code: number;
  readonly messageId: number;
  /** At most 8 bytes. */
  readonly token: Uint8Array;
  /** In the order of their numbers. */
  readonly options: readonly CoapOption[];
  readonly payload: Uint8Array;
}

const NOTHING = new Uint8Array(0);
const HEADER_BYTES = 4;
const TOKEN_BYTES_MAX = 8;
const PAYLOAD_MARKER = 0xff;
/** More than any request has; each costs memory while it is looked at. */
const OPTIONS_MAX = 64;

/** The message; null for what is none. */
export function decodeMessage(bytes: Uint8Array): CoapMessage | null {
  const [first = 0, code = 0, high = 0, low = 0] = bytes;
  const tokenBytes = first & 0x0f;
  const optionsStart = HEADER_BYTES + tokenBytes;
  if (first >> 6 !== 1 || tokenBytes > TOKEN_BYTES_MAX || bytes.length < optionsStart) return null;
  // An empty message is a header alone.
  if (code === EMPTY_CODE && bytes.length > HEADER_BYTES) return null;
  const rest = readOptions(bytes, optionsStart);
  if (rest === null) return null;
  return {
    type: ((first >> 4) & 3) as CoapType, // two bits
    code,
    messageId: (high << 8) | low,
    token: bytes.subarray(HEADER_BYTES, optionsStart),
    ...rest,
  };
}

function readOptions(bytes: Uint8Array, start: number): Pick<CoapMessage, "options" | "payload"> | null {
  const options: CoapOption[] = [];
  let at = start;
  let number = 0;
  while (at < bytes.length) {
    const byte = bytes[at] ?? 0;
    at += 1;
    if (byte === PAYLOAD_MARKER) return at === bytes.length ? null : { options, payload: bytes.subarray(at) };
    const delta = readExtended(bytes, at, byte >> 4);
    if (delta === null) return null;
    const length = readExtended(bytes, delta.at, byte & 0x0f);
    if (length === null || options.length >= OPTIONS_MAX) return null;
    number += delta.value;
    at = length.at + length.value;
    if (at > bytes.length || number > 0xffff) return null;
    options.push({ number, value: bytes.subarray(length.at, at) });
  }
  return { options, payload: NOTHING };
}

/** A number in a half byte, or behind it: 13 says one more byte, 14 two. */
function readExtended(bytes: Uint8Array, at: number, half: number): { value: number; at: number } | null {
  if (half < 13) return { value: half, at };
  const [high, low] = [bytes[at], bytes[at + 1]];
  if (half === 13) return high === undefined ? null : { value: high + 13, at: at + 1 };
  if (half === 14 && high !== undefined && low !== undefined) return { value: ((high << 8) | low) + 269, at: at + 2 };
  return null;
}

export function encodeMessage({ type, code, messageId, token, options, payload }: CoapMessage): Uint8Array {
  if (token.length > TOKEN_BYTES_MAX) throw new AppError("INTERNAL", `A CoAP token of ${token.length} bytes`);
  const bytes: number[] = [(1 << 6) | (type << 4) | token.length, code, messageId >> 8, messageId & 0xff, ...token];
  let former = 0;
  for (const { number, value } of options.toSorted((left, right) => left.number - right.number)) {
    const [delta, deltaRest] = extended(number - former);
    const [length, lengthRest] = extended(value.length);
    bytes.push((delta << 4) | length, ...deltaRest, ...lengthRest, ...value);
    former = number;
  }
  if (payload.length === 0) return Uint8Array.from(bytes);
  const message = new Uint8Array(bytes.length + 1 + payload.length);
  message.set(bytes);
  message[bytes.length] = PAYLOAD_MARKER;
  message.set(payload, bytes.length + 1);
  return message;
}

function extended(value: number): [half: number, rest: readonly number[]] {
  if (value < 13) return [value, []];
  if (value < 269) return [13, [value - 13]];
  return [14, [(value - 269) >> 8, (value - 269) & 0xff]];
}

/** A number as an option carries it: as few bytes as it takes. */
export function uintOption(number: number, value: number): CoapOption {
  const bytes: number[] = [];
  for (let rest = value; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return { number, value: Uint8Array.from(bytes) };
}

/** undefined: the message does not have it, or it is no number. */
export function readUint({ options }: Pick<CoapMessage, "options">, number: number): number | undefined {
  const value = options.find((option) => option.number === number)?.value;
  if (value === undefined || value.length > 4) return undefined;
  return value.reduce((sum, byte) => sum * 256 + byte, 0);
}

/** A part of a body: the one with this number among parts of `size` bytes. */
export interface Block {
  readonly number: number;
  readonly hasMore: boolean;
  /** 16 to 1024. */
  readonly size: number;
}

/** undefined: the message does not have it; null: it is not valid. */
export function readBlock(message: Pick<CoapMessage, "options">, number: number): Block | null | undefined {
  if (!message.options.some((option) => option.number === number)) return undefined;
  const value = readUint(message, number);
  if (value === undefined || value > 0xffffff || (value & 7) === 7) return null;
  return { number: value >> 4, hasMore: (value & 8) !== 0, size: 16 << (value & 7) };
}

export function blockOption(number: number, block: Block): CoapOption {
  const exponent = Math.log2(block.size) - 4;
  return uintOption(number, block.number * 16 + (block.hasMore ? 8 : 0) + exponent);
}

/** The whole header of a message without anything else. */
export function emptyMessage(type: CoapType, messageId: number): Uint8Array {
  return encodeMessage({ type, code: EMPTY_CODE, messageId, token: NOTHING, options: [], payload: NOTHING });
}
