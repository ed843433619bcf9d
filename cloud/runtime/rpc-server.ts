import http2 from "node:http2";
import type { AddressInfo } from "node:net";
import {
  createContextKey,
  createContextValues,
  type ConnectRouter,
  type ContextKey,
  type HandlerContext,
} from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { AppError } from "../../shared/core/errors.ts";
import { FRAME_BYTES_MAX, HTTP2_WINDOW_BYTES } from "../../shared/wire/rpc-limits.ts";

export interface RpcServerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly tls?: { readonly cert: string; readonly key: string };
  readonly routes: (router: ConnectRouter) => void;
}

export interface RpcServer {
  readonly url: string;
  /** Takes no more connections, so that a load balancer looks for another replica; those of now go on. */
  stopListening(): void;
  /** Ends all connections too, those with streams that still end when these have, or after `deadlineMs`. */
  close(deadlineMs: number): Promise<void>;
}

/** A connection that opens no stream is closed. */
const IDLE_CONNECTION_MS = 60_000;

const REMOTE_ADDRESS: ContextKey<string> = createContextKey("unknown", { description: "remote address" });

/** The address of the peer of a call. */
export function remoteAddressOf({ values }: Pick<HandlerContext, "values">): string {
  return values.get(REMOTE_ADDRESS);
}

/** gRPC on node:http2, since Bun.serve sends no trailers. @throws AppError ADDRESS_IN_USE */
export async function startRpcServer(options: RpcServerOptions): Promise<RpcServer> {
  const handler = connectNodeAdapter({
    routes: options.routes,
    connect: false,
    grpcWeb: false,
    readMaxBytes: FRAME_BYTES_MAX,
    contextValues: ({ socket }) => createContextValues().set(REMOTE_ADDRESS, socket.remoteAddress ?? "unknown"),
  });
  const settings = { settings: { initialWindowSize: HTTP2_WINDOW_BYTES } };
  const server =
    options.tls === undefined
      ? http2.createServer(settings, handler)
      : http2.createSecureServer({ ...settings, ...options.tls, allowHTTP1: false }, handler);
  const sessions = new Set<http2.ServerHttp2Session>();
  server.on("session", (session) => {
    sessions.add(session);
    session.setLocalWindowSize(HTTP2_WINDOW_BYTES);
    session.once("close", () => sessions.delete(session));
    // Garbage on the port must end that connection, not the process.
    session.on("error", () => session.destroy());
    session.setTimeout(IDLE_CONNECTION_MS, () => {
      if (sessions.has(session)) session.close();
    });
  });
  server.on("sessionError", () => undefined);
  await listen(server, options);
  let closed: Promise<void> | undefined;
  const stopListening = (): Promise<void> =>
    (closed ??= new Promise((resolve) => {
      server.close(() => resolve());
    }));
  const { port } = server.address() as AddressInfo; // a TCP server's address, since it listens on a port
  const host = options.host === "0.0.0.0" || options.host === "::" ? "127.0.0.1" : options.host;
  return {
    url: `${options.tls === undefined ? "http" : "https"}://${host}:${port}`,
    stopListening: () => void stopListening(),
    close: async (deadlineMs) => {
      for (const session of sessions) session.close();
      const limit = setTimeout(() => sessions.forEach((session) => session.destroy()), deadlineMs);
      await stopListening();
      clearTimeout(limit);
    },
  };
}

function listen(server: http2.Http2Server | http2.Http2SecureServer, { host, port }: RpcServerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const taken = error.code === "EADDRINUSE";
      const message = taken
        ? `Can't listen on ${host}:${port}: the port is taken`
        : `Can't listen on ${host}:${port}: ${error.message}`;
      reject(new AppError(taken ? "ADDRESS_IN_USE" : "INTERNAL", message, { cause: error }));
    });
    server.listen(port, host, () => {
      server.on("error", () => undefined);
      resolve();
    });
  });
}
