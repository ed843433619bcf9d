import { AppError } from "../core/errors.ts";

export interface FileAnswer {
  readonly bytes: number;
  readonly fileName: string;
  readonly type: string;
}

/** An answer with a file, read while it is sent. It breaks off when the file is shorter than announced. */
export function streamFile(chunks: AsyncIterable<Uint8Array>, { bytes, fileName, type }: FileAnswer): Response {
  // Header values are latin letters.
  const name = /^[\x20-\x7e]*$/.test(fileName) ? fileName.replaceAll('"', "'") : encodeURIComponent(fileName);
  return new Response(streamOf(chunks), {
    headers: {
      "content-type": type,
      "content-length": String(bytes),
      "content-disposition": `attachment;filename="${name}"`,
      "x-filename": name,
    },
  });
}

function streamOf(chunks: AsyncIterable<Uint8Array>): ReadableStream<Uint8Array> {
  const iterator = chunks[Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const step = await iterator.next();
      if (step.done === true) controller.close();
      else controller.enqueue(step.value);
    },
    async cancel() {
      await iterator.return?.();
    },
  });
}

/** @throws AppError CONTENT_MISSING when it is shorter */
export async function readWhole(chunks: AsyncIterable<Uint8Array>, bytes: number): Promise<Uint8Array> {
  const whole = new Uint8Array(bytes);
  let offset = 0;
  for await (const chunk of chunks) {
    whole.set(chunk, offset);
    offset += chunk.length;
  }
  if (offset === bytes) return whole;
  throw new AppError("CONTENT_MISSING", `A file of ${bytes} bytes has ${offset} only`);
}
