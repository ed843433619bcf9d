import { AppError } from "../core/errors.ts";
import type { ServerSocket, SocketHandler, SocketOffer, SocketOpener } from "../core/server-socket.ts";
import { collectGarbage } from "./collect.ts";

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
  /** Who takes a WebSocket; null: no such path. @default nobody */
  readonly openSocket?: (request: Request) => SocketOffer | null;
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

/** A WebSocket that says nothing for so long is asked whether it is there, and closed when it does not answer. */
const SOCKET_IDLE_S = 30;
/** Messages of clients; more closes the connection. */
const SOCKET_TEXT_BYTES_MAX = 65_536;
const SOCKET_MESSAGE_BYTES_MAX = 262_144;
const TOO_BIG = 1009;

interface BunSocket {
  readonly open: SocketOpener;
  handler: SocketHandler | null;
}

/** What is made of such a body is several times as large. */
const LARGE_BODY_BYTES = 4 * 1024 * 1024;

async function collectBehind(answer: Response | Promise<Response>): Promise<Response> {
  const response = await answer;
  setTimeout(collectGarbage, 0);
  return response;
}

/** null: not asked for, or not here. */
function socketFor({ openSocket }: ServeHttpOptions, request: Request): SocketOffer | null {
  if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") return null;
  return openSocket?.(request) ?? null;
}

function serveOnBun(options: ServeHttpOptions): HttpServer {
  const { host, port, fetch, tls, idleTimeoutS = 120, bodyBytesMax = 67_108_864 } = options;
  const server = Bun.serve<BunSocket>({
    hostname: host,
    port,
    idleTimeout: idleTimeoutS,
    maxRequestBodySize: bodyBytesMax,
    ...(tls === undefined ? {} : { tls }),
    fetch: (request, self) => {
      const offer = socketFor(options, request);
      if (offer !== null && self.upgrade(request, upgradeOnBun(offer))) return undefined;
      const answer = fetch(request, {
        // A system call, which few requests need.
        get remoteAddress() {
          return self.requestIP(request)?.address;
        },
      });
      return Number(request.headers.get("content-length")) < LARGE_BODY_BYTES ? answer : collectBehind(answer);
    },
    websocket: {
      idleTimeout: SOCKET_IDLE_S,
      sendPings: true,
      maxPayloadLength: SOCKET_MESSAGE_BYTES_MAX,
      open: (ws) => {
        ws.data.handler = ws.data.open({
          send: (text) => void ws.send(text),
          sendBytes: (bytes) => void ws.send(bytes),
          bufferedBytes: () => ws.getBufferedAmount(),
          close: (code, reason) => ws.close(code, reason),
          terminate: () => ws.terminate(),
          remoteAddress: ws.remoteAddress,
        });
      },
      message: (ws, message) => {
        const { handler } = ws.data;
        const isText = typeof message === "string";
        if (isText && message.length > SOCKET_TEXT_BYTES_MAX) ws.close(TOO_BIG, "The message is too big");
        else if (isText) handler?.onMessage(message);
        else takeBytes(handler, message);
      },
      close: (ws) => ws.data.handler?.onClose(),
    },
  });
  const boundPort = server.port ?? port;
  return asHttpServer(options, boundPort, async (graceMs) => {
    if (!(await endsWithin(graceMs, server.stop(false)))) await server.stop(true);
  });
}

function upgradeOnBun({ open, protocol }: SocketOffer) {
  const headers = protocol === undefined ? {} : { headers: { "sec-websocket-protocol": protocol } };
  return { data: { open, handler: null }, ...headers };
}

function takeBytes(handler: SocketHandler | null, bytes: Uint8Array): void {
  if (handler?.onBytes === undefined) handler?.onMessage(null);
  else handler.onBytes(bytes);
}

/** The part of Deno's API that is used; Deno's types and Bun's can't be loaded together. */
interface DenoRuntime {
  serve(
    options: { hostname: string; port: number; cert?: string; key?: string; onListen: () => void },
    handler: (request: Request, info: { remoteAddr: { hostname?: string } }) => Response | Promise<Response>,
  ): { readonly addr: { readonly port: number }; shutdown(): Promise<void> };
  upgradeWebSocket(
    request: Request,
    options: { idleTimeout: number; protocol?: string },
  ): { socket: WebSocket; response: Response };
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
    const offer = socketFor(options, request);
    if (offer !== null) return upgradeOnDeno(deno, request, { ...offer, remoteAddress: info.remoteAddr.hostname });
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

function upgradeOnDeno(
  deno: DenoRuntime,
  request: Request,
  { open, protocol, remoteAddress }: SocketOffer & Pick<ServerSocket, "remoteAddress">,
): Response {
  const named = protocol === undefined ? {} : { protocol };
  const { response, socket } = deno.upgradeWebSocket(request, { idleTimeout: SOCKET_IDLE_S, ...named });
  socket.binaryType = "arraybuffer";
  const send = (message: string | Uint8Array<ArrayBuffer>): void => {
    if (socket.readyState === WebSocket.OPEN) socket.send(message);
  };
  const server: ServerSocket = {
    send,
    sendBytes: (bytes) => send(new Uint8Array(bytes)),
    bufferedBytes: () => socket.bufferedAmount,
    close: (code, reason) => socket.close(closeCodeOnDeno(code), reason),
    terminate: () => socket.close(),
    remoteAddress,
  };
  let handler: SocketHandler | null = null;
  socket.addEventListener("open", () => {
    handler = open(server);
  });
  socket.addEventListener("message", ({ data }: MessageEvent<unknown>) => {
    if (typeof data === "string") handler?.onMessage(data);
    else if (data instanceof ArrayBuffer) takeBytes(handler, new Uint8Array(data));
  });
  socket.addEventListener("close", () => handler?.onClose());
  return response;
}

/** Web standards let programs close with 1000 and from 3000 on only: 1008 becomes 3008. */
function closeCodeOnDeno(code: number): number {
  return code === 1000 || code >= 3000 ? code : code + 2000;
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
