import { AppError } from "../core/errors.ts";

/** What a request handler may know of the connection. */
export interface ConnectionInfo {
  /** Address of the peer, without port; undefined when the runtime does not say. */
  readonly remoteAddress: string | undefined;
}

export interface ServeHttpOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly fetch: (request: Request, connection: ConnectionInfo) => Response | Promise<Response>;
  /** PEM texts; absent: plain HTTP. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** A connection on which nothing moves is closed after this time; 0: never. @default 120 */
  readonly idleTimeoutS?: number;
  /** Refused by the runtime with 413, before the handler. @default 67_108_864 */
  readonly bodyBytesMax?: number;
}

export interface HttpServer extends AsyncDisposable {
  /** `http://127.0.0.1:8080`: the address that was bound, for people and clients. */
  readonly url: string;
  readonly port: number;
  /** Stops listening, waits for the requests under way, and cuts what is still open after `graceMs`. */
  close(graceMs: number): Promise<void>;
}

/**
 * HTTP/1.1 with keep-alive on the runtime's own server: Bun.serve, or Deno.serve.
 *
 * @throws AppError ADDRESS_IN_USE
 */
export function serveHttp(options: ServeHttpOptions): HttpServer {
  try {
    return typeof Bun === "undefined" ? serveOnDeno(options) : serveOnBun(options);
  } catch (error) {
    if (!isAddressInUse(error)) throw error;
    const message = `Can't listen on ${options.host}:${options.port}: the port is taken`;
    throw new AppError("ADDRESS_IN_USE", message, { cause: error });
  }
}

function serveOnBun(options: ServeHttpOptions): HttpServer {
  const { host, port, fetch, tls, idleTimeoutS = 120, bodyBytesMax = 67_108_864 } = options;
  const server = Bun.serve({
    hostname: host,
    port,
    idleTimeout: idleTimeoutS,
    maxRequestBodySize: bodyBytesMax,
    ...(tls === undefined ? {} : { tls }),
    fetch: (request, self) =>
      fetch(request, {
        // A system call, which few requests need.
        get remoteAddress() {
          return self.requestIP(request)?.address;
        },
      }),
  });
  const boundPort = server.port ?? port;
  return asHttpServer(options, boundPort, async (graceMs) => {
    if (!(await endsWithin(graceMs, server.stop(false)))) await server.stop(true);
  });
}

/** The part of Deno's API that is used; Deno's types and Bun's can't be loaded together. */
interface DenoRuntime {
  serve(
    options: { hostname: string; port: number; cert?: string; key?: string; onListen: () => void },
    handler: (request: Request, info: { remoteAddr: { hostname?: string } }) => Response | Promise<Response>,
  ): { readonly addr: { readonly port: number }; shutdown(): Promise<void> };
}

/** What waits for an answer when Deno's server is cut. */
const CUT_MS = 1_000;

function serveOnDeno(options: ServeHttpOptions): HttpServer {
  const { host, port, fetch, tls } = options;
  // The global is there: serveHttp has found no Bun, and no third runtime is supported.
  const deno = (globalThis as unknown as { readonly Deno: DenoRuntime }).Deno;
  // Deno can't abort a server that is shutting down; requests that don't end are answered for it.
  const waiting = new Set<(response: Response) => void>();
  const server = deno.serve({ hostname: host, port, ...tls, onListen: () => undefined }, async (request, info) => {
    const cut = Promise.withResolvers<Response>();
    waiting.add(cut.resolve);
    try {
      return await Promise.race([fetch(request, { remoteAddress: info.remoteAddr.hostname }), cut.promise]);
    } finally {
      waiting.delete(cut.resolve);
    }
  });
  return asHttpServer(options, server.addr.port, async (graceMs) => {
    const down = server.shutdown();
    if (await endsWithin(graceMs, down)) return;
    for (const answer of waiting) answer(new Response("The server stops", { status: 503 }));
    await endsWithin(CUT_MS, down);
  });
}

function asHttpServer(options: ServeHttpOptions, port: number, stop: (graceMs: number) => Promise<void>): HttpServer {
  let stopped: Promise<void> | undefined;
  const close = (graceMs: number): Promise<void> => (stopped ??= stop(graceMs));
  return {
    url: `${options.tls === undefined ? "http" : "https"}://${reachableHost(options.host)}:${port}`,
    port,
    close,
    [Symbol.asyncDispose]: () => close(0),
  };
}

/** A name that a client on this machine can dial. */
export function reachableHost(host: string): string {
  if (host === "0.0.0.0") return "127.0.0.1";
  if (host === "::") return "[::1]";
  return host.includes(":") ? `[${host}]` : host;
}

async function endsWithin(limitMs: number, work: Promise<void>): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const limit = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), limitMs);
  });
  const hasEnded = await Promise.race([work.then(() => true), limit]);
  clearTimeout(timer);
  return hasEnded;
}

function isAddressInUse(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = "code" in error ? error.code : undefined;
  return code === "EADDRINUSE" || error.name === "AddrInUse";
}
