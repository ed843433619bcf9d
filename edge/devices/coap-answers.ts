import { Buffer } from "node:buffer";
import { CODE, failureOf, type AnswerCode } from "./coap-codes.ts";

/** A body that is read a part at a time, such as a package of firmware. */
export interface RangedBody {
  readonly bytes: number;
  read(offset: number, bytesMax: number): Promise<Uint8Array>;
}

export type CoapBody = Uint8Array | RangedBody;

export interface CoapAnswer {
  readonly code: AnswerCode;
  readonly body: CoapBody;
  /** @default none */
  readonly contentFormat?: number;
  /** Names the body, so that blocks of two are not taken for one. @default none */
  readonly etag?: number;
}

const JSON_FORMAT = 50;
const BYTES_FORMAT = 42;
/** Of a text that tells why. */
const DIAGNOSTIC_LENGTH_MAX = 200;

export function emptyAnswer(code: AnswerCode): CoapAnswer {
  return { code, body: new Uint8Array(0) };
}

export function jsonAnswer(text: string, code: AnswerCode = CODE.content): CoapAnswer {
  return { code, body: Buffer.from(text), contentFormat: JSON_FORMAT };
}

export function bytesAnswer(body: CoapBody): CoapAnswer {
  return { code: CODE.content, body, contentFormat: BYTES_FORMAT };
}

/** With a text for people. */
export function refusal(code: AnswerCode, text: string): CoapAnswer {
  return { code, body: Buffer.from(text.slice(0, DIAGNOSTIC_LENGTH_MAX)) };
}

export function failureAnswer(thrown: unknown): CoapAnswer {
  const { code, text } = failureOf(thrown);
  return refusal(code, text);
}

export function bodyBytes(body: CoapBody): number {
  return body instanceof Uint8Array ? body.length : body.bytes;
}

export async function readBody(body: CoapBody, offset: number, bytesMax: number): Promise<Uint8Array> {
  if (body instanceof Uint8Array) return body.subarray(offset, offset + bytesMax);
  const parts: Uint8Array[] = [];
  let read = 0;
  const wanted = Math.min(bytesMax, body.bytes - offset);
  while (read < wanted) {
    const part = await body.read(offset + read, wanted - read);
    if (part.length === 0) break;
    parts.push(part);
    read += part.length;
  }
  return Buffer.concat(parts);
}
