import type { CallAnswer, CallHttp } from "../../shared/rules/chain/effects.ts";

/** One HTTP request of a rule chain. Whatever happens is an answer; one of another status than 2xx is a failure. */
export async function callHttp(call: CallHttp, signal: AbortSignal): Promise<CallAnswer> {
  const { answerBytesMax, body, headers, method, timeoutMs, url } = call;
  try {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    const response = await fetch(url, { method, headers, body, signal: limit });
    const { status, statusText } = response;
    const metadata = { status: statusText, statusCode: String(status), statusReason: statusText };
    const text = await readText(response, answerBytesMax);
    if (text === null)
      return { ok: false, reason: `The answer of ${originOf(url)} has more than ${answerBytesMax} bytes`, metadata };
    if (!response.ok) {
      const error = { ...metadata, error_body: text };
      return { ok: false, reason: `${originOf(url)} answered with status ${status}`, metadata: error };
    }
    return { ok: true, body: text, metadata };
  } catch (thrown) {
    const why =
      thrown instanceof Error && thrown.name === "TimeoutError"
        ? `did not answer within ${timeoutMs} ms`
        : `can't be reached: ${thrown instanceof Error ? thrown.message : String(thrown)}`;
    return { ok: false, reason: `${originOf(url)} ${why}`, metadata: {} };
  }
}

/** null: it is longer. */
async function readText(response: Response, bytesMax: number): Promise<string | null> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  const reader = (response.body as ReadableStream<Uint8Array> | null)?.getReader(); // bytes, by the standard
  for (let next = await reader?.read(); next?.value !== undefined; next = await reader?.read()) {
    bytes += next.value.byteLength;
    chunks.push(next.value);
    if (bytes <= bytesMax) continue;
    await reader?.cancel();
    return null;
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** Without path and query, which may hold a secret. */
function originOf(url: string): string {
  return new URL(url).origin;
}
