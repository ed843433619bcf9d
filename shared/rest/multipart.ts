import { Buffer } from "node:buffer";
import { AppError } from "../core/errors.ts";

// Bodies of type multipart/form-data (RFC 7578), read as they come: a file is never in memory as a whole.

export interface FormField {
  readonly kind: "field";
  readonly name: string;
  readonly value: string;
}

export interface FormFile {
  readonly kind: "file";
  readonly name: string;
  readonly fileName: string;
  readonly contentType: string;
  /** Has to be read before the next part is asked for. */
  readonly chunks: AsyncIterable<Uint8Array>;
}

export interface MultipartLimits {
  /** Of the whole body. */
  readonly bytesMax: number;
}

const FIELD_BYTES_MAX = 1_048_576;
const HEADER_BYTES_MAX = 16_384;
const PARTS_MAX = 100;

/** The parts in their order. @throws AppError INVALID_ARGUMENT for what is no such body, PAYLOAD_TOO_LARGE */
export async function* readMultipart(
  request: Request,
  { bytesMax }: MultipartLimits,
): AsyncGenerator<FormField | FormFile> {
  const boundary = /^multipart\/form-data\b.*;\s*boundary=(?:"([^"]{1,70})"|([^\s;]{1,70}))/i.exec(
    request.headers.get("content-type") ?? "",
  );
  const mark = boundary?.[1] ?? boundary?.[2];
  if (mark === undefined || request.body === null) throw malformed("a body of type multipart/form-data is expected");
  const body = new BodyReader(request.body, bytesMax);
  await body.readTo(`--${mark}`, HEADER_BYTES_MAX);
  const delimiter = `\r\n--${mark}`;
  for (let parts = 0; (await body.read(2)).toString("latin1") !== "--"; parts += 1) {
    if (parts === PARTS_MAX) throw malformed(`it has more than ${PARTS_MAX} parts`);
    const { name, fileName, contentType } = parseHeaders(await body.readTo("\r\n\r\n", HEADER_BYTES_MAX));
    if (fileName === null) {
      const value = (await body.readTo(delimiter, FIELD_BYTES_MAX)).toString("utf8");
      yield { kind: "field", name, value };
      continue;
    }
    yield { kind: "file", name, fileName, contentType, chunks: body.chunksTo(delimiter) };
  }
}

/** The bytes of a body, some at a time. */
class BodyReader {
  readonly #source: AsyncIterator<Uint8Array>;
  readonly #bytesMax: number;
  #buffer: Buffer = Buffer.alloc(0);
  #bytes = 0;

  constructor(stream: AsyncIterable<Uint8Array>, bytesMax: number) {
    this.#source = stream[Symbol.asyncIterator]();
    this.#bytesMax = bytesMax;
  }

  async read(length: number): Promise<Buffer> {
    while (this.#buffer.length < length) await this.#fill();
    return this.#take(length);
  }

  /** What comes before `end`, which is skipped. */
  async readTo(end: string, bytesMax: number): Promise<Buffer> {
    for (;;) {
      const at = this.#buffer.indexOf(end, 0, "latin1");
      if (at >= 0) {
        const before = Buffer.from(this.#take(at));
        this.#take(end.length);
        return before;
      }
      if (this.#buffer.length > bytesMax) throw new AppError("PAYLOAD_TOO_LARGE", `A part exceeds ${bytesMax} bytes`);
      await this.#fill();
    }
  }

  async *chunksTo(end: string): AsyncGenerator<Uint8Array> {
    for (;;) {
      const at = this.#buffer.indexOf(end, 0, "latin1");
      if (at >= 0) {
        if (at > 0) yield this.#take(at);
        this.#take(end.length);
        return;
      }
      // The last bytes may be the beginning of the end.
      const safe = this.#buffer.length - end.length + 1;
      if (safe > 0) yield this.#take(safe);
      await this.#fill();
    }
  }

  #take(length: number): Buffer {
    const taken = this.#buffer.subarray(0, length);
    this.#buffer = this.#buffer.subarray(length);
    return taken;
  }

  async #fill(): Promise<void> {
    const step = await this.#source.next();
    if (step.done === true) throw malformed("it ends early");
    this.#bytes += step.value.length;
    if (this.#bytes > this.#bytesMax) {
      throw new AppError("PAYLOAD_TOO_LARGE", `Request body exceeds the limit of ${this.#bytesMax} bytes`);
    }
    this.#buffer = this.#buffer.length === 0 ? Buffer.from(step.value) : Buffer.concat([this.#buffer, step.value]);
  }
}

interface PartHeaders {
  readonly name: string;
  /** null: a field. */
  readonly fileName: string | null;
  readonly contentType: string;
}

function parseHeaders(bytes: Buffer): PartHeaders {
  const lines = bytes.toString("utf8").split("\r\n");
  const valueOf = (header: string): string =>
    lines
      .find((line) => line.toLowerCase().startsWith(`${header}:`))
      ?.slice(header.length + 1)
      .trim() ?? "";
  const disposition = valueOf("content-disposition");
  const name = parameterOf(disposition, "name");
  if (name === null) throw malformed("a part has no name");
  const contentType = valueOf("content-type") || "application/octet-stream";
  return { name, fileName: parameterOf(disposition, "filename"), contentType };
}

/** Browsers write a quote inside as %22. */
function parameterOf(disposition: string, name: string): string | null {
  const match = new RegExp(`;\\s*${name}=(?:"([^"]*)"|([^\\s;]+))`, "i").exec(disposition);
  return match === null ? null : (match[1] ?? match[2] ?? "").replaceAll("%22", '"');
}

function malformed(what: string): AppError {
  return new AppError("INVALID_ARGUMENT", `Can't read the form: ${what}`);
}
