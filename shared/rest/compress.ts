/** Smaller answers are not worth the time. */
const BYTES_MIN = 16 * 1024;

/** Large JSON goes out by gzip to clients that take it; a dashboard shrinks to an eighth. Files are what they are. */
export async function compressLarge(request: Request, response: Response): Promise<Response> {
  const { headers, status } = response;
  const isJson = headers.get("content-type")?.startsWith("application/json") === true;
  if (!isJson || response.body === null || headers.has("content-encoding") || !takesGzip(request)) return response;
  const bytes = await response.bytes();
  headers.append("vary", "accept-encoding");
  if (bytes.length < BYTES_MIN) return new Response(bytes, { status, headers });
  headers.set("content-encoding", "gzip");
  headers.delete("content-length");
  const compressed = new Response(bytes).body?.pipeThrough(new CompressionStream("gzip")) ?? null;
  return new Response(compressed, { status, headers });
}

/** `gzip, br`, `gzip;q=0.5`, `*`; not `gzip;q=0`. */
function takesGzip({ headers }: Request): boolean {
  const accepted = (headers.get("accept-encoding") ?? "").split(",").map((part) => part.trim().toLowerCase());
  return accepted.some((part) => /^(gzip|\*)(?!\s*;\s*q=0(\.0*)?$)(\s*;|$)/.test(part));
}
