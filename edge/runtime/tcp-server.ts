import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type DetailedPeerCertificate, TLSSocket } from "node:tls";
import { AppError } from "../../shared/core/errors.ts";
import type { ByteStream, ByteStreamHandler } from "../devices/byte-stream.ts";

export interface TcpServerOptions {
  /** @default "0.0.0.0" */
  readonly host?: string;
  /** 0 takes a free port. */
  readonly port: number;
  /** Sockets open at once; further ones are closed at once. @default 10_000 */
  readonly socketsMax?: number;
  /** PEM texts: the connections are encrypted, and peers may show a certificate, whoever signed it. @default plain TCP */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Takes a new connection. */
  readonly accept: (stream: ByteStream) => ByteStreamHandler;
}

export interface TcpServer extends AsyncDisposable {
  readonly port: number;
}

/**
 * Listens for TCP connections, or for TLS ones. Disposing stops listening and destroys the sockets that are left.
 *
 * @throws AppError ADDRESS_IN_USE, or CONFIG_INVALID when the address can't be listened on
 */
export async function listenTcp(options: TcpServerOptions): Promise<TcpServer> {
  const { host = "0.0.0.0", port, socketsMax = 10_000, accept } = options;
  const sockets = new Set<Socket>();
  const server = createListener(options, (socket) => serve(socket, accept));
  // Before the handshake, so that those who never finish it count too.
  server.on("connection", (socket: Socket) => {
    if (sockets.size >= socketsMax) {
      socket.destroy();
      return;
    }
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  await listen(server, host, port);
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

const HANDSHAKE_TIMEOUT_MS = 10_000;

function createListener({ tls }: TcpServerOptions, onSocket: (socket: Socket) => void): Server {
  const serveOpen = (socket: Socket): void => {
    if (!socket.destroyed) onSocket(socket);
  };
  if (tls === undefined) return createServer({ noDelay: true }, serveOpen);
  const limits = { handshakeTimeout: HANDSHAKE_TIMEOUT_MS, noDelay: true };
  // Devices are known by their certificate itself, not by who signed it.
  const server = withCertificate(() =>
    createTlsServer({ ...tls, ...limits, requestCert: true, rejectUnauthorized: false }, serveOpen),
  );
  server.on("tlsClientError", (_: Error, socket: Socket) => void socket.destroy());
  return server;
}

function withCertificate(create: () => Server): Server {
  try {
    return create();
  } catch (cause) {
    throw new AppError("CONFIG_INVALID", "Can't use tlsCertFile with tlsKeyFile: they are no certificate and its key", {
      cause,
    });
  }
}

/** Certificates that a peer shows: its own and those of who signed it. */
const CERTIFICATES_MAX = 5;

/** As ByteStream.peerCertificates. */
function certificatesOf(socket: Socket): readonly string[] {
  if (!(socket instanceof TLSSocket)) return [];
  const shown: string[] = [];
  // An empty object when there is none; one that signed itself is its own issuer.
  let next = socket.getPeerCertificate(true) as Partial<DetailedPeerCertificate> | undefined;
  while (next?.raw !== undefined && shown.length < CERTIFICATES_MAX) {
    const base64 = next.raw.toString("base64");
    if (shown.includes(base64)) break;
    shown.push(base64);
    next = next.issuerCertificate;
  }
  return shown;
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => reject(listenError(error, host, port)));
    server.listen(port, host, resolve);
  });
}

function listenError(error: NodeJS.ErrnoException, host: string, port: number): AppError {
  if (error.code === "EADDRINUSE") {
    return new AppError("ADDRESS_IN_USE", `Can't listen on ${host}:${port}, the port is taken`, { cause: error });
  }
  return new AppError("CONFIG_INVALID", `Can't listen on ${host}:${port}: ${error.message}`, { cause: error });
}

function serve(socket: Socket, accept: TcpServerOptions["accept"]): void {
  const handler = accept({
    source: socket.remoteAddress ?? "",
    peerCertificates: certificatesOf(socket),
    get queuedBytes() {
      return socket.writableLength;
    },
    write: (bytes) => {
      if (socket.writable) socket.write(bytes);
    },
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    end: () => void socket.end(),
    destroy: () => void socket.destroy(),
  });
  socket.on("data", (chunk: Buffer) => handler.onData(chunk));
  // A reset by the peer is how connections end; "close" follows.
  socket.on("error", () => undefined);
  socket.once("close", () => handler.onClose());
}
