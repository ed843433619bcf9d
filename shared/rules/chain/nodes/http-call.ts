import * as z from "zod";
import { AppError } from "../../../core/errors.ts";
import { defineNode, fail, succeed } from "../node-kind.ts";
import { fillPattern } from "../patterns.ts";

const TIMEOUT_MS_DEFAULT = 10_000;
const TIMEOUT_MS_MAX = 60_000;
const ANSWER_KB_DEFAULT = 256;
const ANSWER_KB_MAX = 1_024;
const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"] as const;

const credentials = z
  .discriminatedUnion("type", [
    z.object({ type: z.literal("anonymous") }),
    z.object({ type: z.literal("basic"), username: z.string(), password: z.string() }),
  ])
  .nullish();

/** Calls an HTTP service; what it answers is the payload of what goes on, its status is in the metadata. */
export const httpCall = defineNode({
  type: "rest.TbRestApiCallNode",
  config: z.object({
    restEndpointUrlPattern: z.string().min(1),
    requestMethod: z.enum(METHODS),
    headers: z.record(z.string(), z.string()).nullish(),
    queryParams: z.array(z.object({ key: z.string(), value: z.string() })).nullish(),
    readTimeoutMs: z.number().min(0).nullish(),
    ignoreRequestBody: z.boolean().nullish(),
    requestBodyTemplate: z.string().nullish(),
    parseToPlainText: z.boolean().nullish(),
    maxInMemoryBufferSizeInKb: z.number().min(1).nullish(),
    enableProxy: z.boolean().nullish(),
    credentials,
  }),
  make: (config, { note }) => {
    if (config.enableProxy ?? false) note("it uses the proxy of the environment, not one of its own");
    const timeoutMs = Math.min(
      (config.readTimeoutMs ?? 0) === 0 ? TIMEOUT_MS_DEFAULT : (config.readTimeoutMs ?? 0),
      TIMEOUT_MS_MAX,
    );
    return {
      handle: (message, { node }) => {
        const fill = (pattern: string): string => fillPattern(pattern, message);
        const url = urlOf(fill(config.restEndpointUrlPattern));
        for (const { key, value } of config.queryParams ?? []) url.searchParams.append(fill(key), fill(value));
        const headers = Object.entries(config.headers ?? {}).map(([name, value]) => [fill(name), fill(value)] as const);
        if (config.credentials?.type === "basic") {
          const { username, password } = config.credentials;
          headers.push(["Authorization", `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`]);
        }
        const template = config.requestBodyTemplate ?? "";
        const text = (config.parseToPlainText ?? false) ? plainText(message.data) : message.data;
        const hasBody = config.requestMethod !== "GET" && !(config.ignoreRequestBody ?? false);
        return {
          emissions: [],
          effects: [
            {
              kind: "call-http",
              method: config.requestMethod,
              url: url.href,
              headers: Object.fromEntries(headers),
              body: hasBody ? (template === "" ? text : fill(template)) : null,
              timeoutMs,
              answerBytesMax: Math.min(config.maxInMemoryBufferSizeInKb ?? ANSWER_KB_DEFAULT, ANSWER_KB_MAX) * 1024,
              call: { node, message },
            },
          ],
        };
      },
      answer: (message, answer) => {
        const metadata = { ...message.metadata, ...answer.metadata };
        if (!answer.ok) return fail({ ...message, metadata: { ...metadata, error: answer.reason } }, answer.reason);
        return succeed({ ...message, metadata, data: answer.body === "" ? "{}" : answer.body });
      },
    };
  },
});

function urlOf(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new AppError("INVALID_ARGUMENT", "The address of the service is no http or https address");
  }
  return url;
}

/** Text that is a JSON string without its quotes. */
export function plainText(data: string): string {
  if (!data.startsWith('"')) return data;
  const value: unknown = JSON.parse(data);
  return typeof value === "string" ? value : data;
}
