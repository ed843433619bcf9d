import { request } from "node:http";
import type { LocalAnswer, LocalRequest } from "../cli/edge-client.ts";

/**
 * One HTTP request to a program on this machine. Not by `fetch`, which obeys HTTP_PROXY: the token of the edge would go to a proxy.
 *
 * @throws what the system says when nobody answers, or Error when the answer takes too long
 */
export function sendLocalRequest({ url, method, headers, body, timeoutMs }: LocalRequest): Promise<LocalAnswer> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      url,
      { method, headers: { ...headers }, signal: AbortSignal.timeout(timeoutMs) },
      (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
        incoming.on("error", reject);
        incoming.on("end", () => {
          resolve({ status: incoming.statusCode ?? 0, body: Buffer.concat(chunks).toString("utf8") });
        });
      },
    );
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}
