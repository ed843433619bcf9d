import { Hono, type Context } from "hono";
import type { Clock } from "../core/clock.ts";
import { AppError } from "../core/errors.ts";
import { parseUuid } from "../core/ids.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import { compressLarge } from "./compress.ts";
import { errorResponse, isServerFault, JSON_TYPE, messageOf } from "./errors.ts";
import { authenticationFailed, permissionDenied, type Authenticator, type Principal } from "./principal.ts";
import {
  isOpenToPublic,
  parseJson,
  validate,
  type Call,
  type Handler,
  type RouteSpec,
  type RouteTable,
} from "./route.ts";

export interface RestAppDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Tried by scheme. */
  readonly authenticators: readonly Authenticator[];
  /** Whatever a handler threw, as an AppError; shared/postgres knows what the database's errors mean. @default AppError.from */
  readonly toAppError?: (thrown: unknown) => AppError;
  /** What is said where there is no route. @default "No such route" */
  readonly noRoute?: string;
  /** Throws for a caller who calls too often. @default nobody does */
  readonly limit?: (principal: Principal) => void;
  /** Hears of calls that failed, of callers who are known; must not throw. @default nobody does */
  readonly onFailure?: (failed: FailedCall) => Promise<void>;
  /** Runs what a handler does, so that it is known for whom. @default nobody asks */
  readonly asCaller?: <T>(caller: Principal, work: () => Promise<T>) => Promise<T>;
}

export interface FailedCall {
  readonly principal: Principal;
  readonly spec: RouteSpec;
  readonly error: AppError;
  /** What a client is told of the error. */
  readonly message: string;
  readonly param: (name: string) => string;
  /** undefined: there is none, or it is not what it should be. */
  readonly body: unknown;
}

export interface RestApp extends RouteTable {
  /** In the order in which they were added. */
  readonly routes: readonly RouteSpec[];
  /** For routes that are no part of the REST API: pages, the device API. */
  readonly hono: Hono<RestEnv>;
  fetch(request: Request, connection?: { readonly remoteAddress?: string | undefined }): Response | Promise<Response>;
}

export interface RestEnv {
  Bindings: { readonly remoteAddress?: string | undefined };
}

const BODY_BYTES_MAX = 16_777_216;
/** Of what is large by nature. */
const LARGE_BODY_BYTES_MAX = 52_428_800;

/** An app without routes: errors, limits, access and metrics are in place; routes are added by the files of each resource. */
export function createRestApp(deps: RestAppDeps): RestApp {
  const hono = new Hono<RestEnv>({ strict: true });
  const routes: RouteSpec[] = [];
  const requests = deps.metrics.counter("skerry_http_requests_total", ["method", "route", "status"]);
  const seconds = deps.metrics.histogram("skerry_http_request_seconds", ["method", "route"]);

  const fail = (thrown: unknown, context: { readonly method: string; readonly path: string }): Response => {
    const error = deps.toAppError?.(thrown) ?? AppError.from(thrown);
    if (isServerFault(error)) deps.log.error("Request failed", { ...context, error });
    return errorResponse(error, deps.clock.nowMs());
  };

  hono.notFound((c) => fail(new AppError("NOT_FOUND", deps.noRoute ?? "No such route"), c.req));
  hono.onError((error, c) => fail(error, c.req));

  const add = <Query, Body>(spec: RouteSpec<Query, Body>, handler: Handler<Query, Body>): void => {
    routes.push(spec);
    const { method, path } = spec;
    hono.on(method.toUpperCase(), path.replaceAll(/\{(\w+)\}/g, ":$1"), async (c) => {
      const startMs = deps.clock.monotonicMs();
      const response = await answer(deps, c, { spec, handler }).catch((error: unknown) => fail(error, c.req));
      requests.inc({ method, route: path, status: response.status });
      seconds.observe({ method, route: path }, (deps.clock.monotonicMs() - startMs) / 1000);
      return compressLarge(c.req.raw, response);
    });
  };
  return {
    routes,
    hono,
    add,
    fetch: (request, connection = {}) => hono.fetch(request, connection),
  };
}

type RestContext = Context<RestEnv>;

async function answer<Query, Body>(
  deps: RestAppDeps,
  c: RestContext,
  { spec, handler }: { readonly spec: RouteSpec<Query, Body>; readonly handler: Handler<Query, Body> },
): Promise<Response> {
  const tooLarge = refuseLargeBody(c.req.raw, spec.bodyBytesMax ?? bodyLimit(c.req.path));
  if (tooLarge !== null) return tooLarge;
  const principal = spec.access === "anyone" ? null : await authenticate(deps, c);
  if (principal === null) return respond(deps, c, { principal, spec, handler });
  const seen: { body?: unknown } = {};
  try {
    return await respond(deps, c, { principal, spec, handler, seen });
  } catch (thrown) {
    const error = deps.toAppError?.(thrown) ?? AppError.from(thrown);
    const param = (name: string): string => c.req.param(name) ?? "";
    await deps.onFailure?.({ principal, spec, error, message: messageOf(error), param, body: seen.body });
    throw error;
  }
}

interface Answering<Query, Body> {
  readonly spec: RouteSpec<Query, Body>;
  readonly handler: Handler<Query, Body>;
  /** null: anyone. */
  readonly principal: Principal | null;
  /** Takes the body as soon as it is known to be what it should be. */
  readonly seen?: { body?: unknown };
}

async function respond<Query, Body>(
  deps: RestAppDeps,
  c: RestContext,
  { principal, spec, handler, seen = {} }: Answering<Query, Body>,
): Promise<Response> {
  if (principal !== null && spec.access !== "anyone" && !spec.access.includes(principal.authority))
    throw permissionDenied();
  if (principal?.isPublic === true && !isOpenToPublic(spec)) throw permissionDenied();
  if (principal !== null) deps.limit?.(principal);
  const query = spec.query === undefined ? undefined : validate(spec.query, c.req.query());
  const body = spec.body === undefined ? undefined : validate(spec.body, parseJson(await readBody(c)));
  seen.body = body;
  const call: Call<Query, Body> = {
    get principal() {
      if (principal === null) throw new AppError("INTERNAL", `Route ${spec.path} is open to anyone and has no caller`);
      return principal;
    },
    // Without a schema nobody reads it: its type is unknown then.
    query: query as Query,
    body: body as Body,
    request: c.req.raw,
    get remoteAddress() {
      return c.env?.remoteAddress;
    },
    param: (name) => c.req.param(name) ?? "",
    uuid: (name) => parseUuid(c.req.param(name) ?? "", name),
    queryAll: (name) => c.req.queries(name) ?? [],
    text: () => readBody(c),
  };
  const work = (): Promise<unknown> => handler(call);
  const { asCaller } = deps;
  return toResponse(await (principal === null || asCaller === undefined ? work() : asCaller(principal, work)));
}

function toResponse(result: unknown): Response {
  if (result === undefined) return new Response(null, { status: 200 });
  if (result instanceof Response) return result;
  return new Response(JSON.stringify(result), { headers: { "content-type": JSON_TYPE } });
}

function bodyLimit(path: string): number {
  return /^\/api\/(image|resource|dashboard)/.test(path) ? LARGE_BODY_BYTES_MAX : BODY_BYTES_MAX;
}

/** By the announced length; a body without one is counted while it is read. */
function refuseLargeBody(request: Request, bytesMax: number): Response | null {
  const length = Number(request.headers.get("content-length") ?? 0);
  return length > bytesMax ? payloadTooLarge(bytesMax) : null;
}

function payloadTooLarge(limit: number): Response {
  return new Response(`Request body exceeds the limit of ${limit} bytes`, {
    status: 413,
    headers: { "content-type": "text/plain; charset=utf-8" },
  });
}

/** @throws AppError PAYLOAD_TOO_LARGE, INVALID_PAYLOAD for bytes that are no UTF-8 */
async function readBody(c: RestContext): Promise<string> {
  const limit = bodyLimit(c.req.path);
  const bytes = c.req.raw.headers.has("content-length") ? await c.req.raw.bytes() : await readCounted(c.req.raw, limit);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw new AppError("INVALID_PAYLOAD", "Invalid JSON: the body is not UTF-8", { cause: error });
  }
}

async function readCounted(request: Request, limit: number): Promise<Uint8Array> {
  if (request.body === null) return new Uint8Array();
  const chunks: Uint8Array[] = [];
  let length = 0;
  const body: AsyncIterable<Uint8Array> = request.body;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > limit) throw new AppError("PAYLOAD_TOO_LARGE", `Request body exceeds the limit of ${limit} bytes`);
    chunks.push(chunk);
  }
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  return bytes;
}

/** @throws AppError UNAUTHENTICATED, TOKEN_EXPIRED */
async function authenticate(deps: RestAppDeps, c: RestContext): Promise<Principal> {
  const header = c.req.header("x-authorization") ?? c.req.header("authorization");
  const match = /^(\S+)\s+(\S+)\s*$/.exec(header ?? "");
  const scheme = match?.[1]?.toLowerCase();
  const authenticator = deps.authenticators.find((candidate) => candidate.scheme === scheme);
  if (authenticator === undefined || match?.[2] === undefined) throw authenticationFailed();
  return authenticator.authenticate(match[2]);
}
