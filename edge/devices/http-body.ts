import { Buffer } from "node:buffer";
import { AppError } from "../../shared/core/errors.ts";
import { decodePayload } from "./device-session.ts";

export interface BodyLimits {
  /** A body above it is refused. @default 52_428_800 */
  readonly bodyBytesMax?: number;
  /** Bodies that are read at once, together. @default 67_108_864 */
  readonly bodiesBytesMax?: number;
}

/**
 * Reads a body as text.
 *
 * @param bytesMax of this one @default bodyBytesMax
 * @throws AppError PAYLOAD_TOO_LARGE, TOO_MANY_REQUESTS, INVALID_PAYLOAD when it is not UTF-8
 */
export type ReadBody = (request: Request, bytesMax?: number) => Promise<string>;

/** Reads bodies within the limits of one and of all together. */
export function createBodyReader({
  bodyBytesMax = 52_428_800,
  bodiesBytesMax = 67_108_864,
}: BodyLimits = {}): ReadBody {
  let bodiesBytes = 0;

  return async (request, bytesMax = bodyBytesMax) => {
    const declared = request.headers.get("content-length");
    // Without a length the body may be anything up to the limit.
    const reservedBytes = declared === null ? bytesMax : Number(declared);
    if (reservedBytes > bytesMax) throw tooLarge(bytesMax);
    if (bodiesBytes > 0 && bodiesBytes + reservedBytes > bodiesBytesMax) {
      throw new AppError(
        "TOO_MANY_REQUESTS",
        `Bodies of ${bodiesBytes} bytes are being read, at most ${bodiesBytesMax} together`,
      );
    }
    bodiesBytes += reservedBytes;
    try {
      const isWhole = declared !== null;
      return decodePayload(isWhole ? Buffer.from(await request.arrayBuffer()) : await collect(request, bytesMax));
    } finally {
      bodiesBytes -= reservedBytes;
    }
  };
}

async function collect(request: Request, bytesMax: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  // The stream of a Request is typed per runtime; each chunk of a body is bytes.
  for await (const chunk of (request.body ?? []) as AsyncIterable<Uint8Array>) {
    length += chunk.length;
    if (length > bytesMax) throw tooLarge(bytesMax);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function tooLarge(bytesMax: number): AppError {
  return new AppError("PAYLOAD_TOO_LARGE", `The body has more than ${bytesMax} bytes`);
}
