import { createSocket } from "node:dgram";
import { AppError } from "../../shared/core/errors.ts";

export interface UdpPeer {
  readonly address: string;
  readonly port: number;
}

export interface UdpSocket extends AsyncDisposable {
  readonly port: number;
  /** What can't be sent is lost, as datagrams are. */
  readonly send: (bytes: Uint8Array, peer: UdpPeer) => void;
}

export interface UdpOptions {
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  readonly receive: (bytes: Uint8Array, peer: UdpPeer) => void;
}

/** @throws AppError ADDRESS_IN_USE, or CONFIG_INVALID when the address can't be listened on */
export async function listenUdp({ host, port, receive }: UdpOptions): Promise<UdpSocket> {
  const socket = createSocket({ type: host.includes(":") ? "udp6" : "udp4" });
  await new Promise<void>((resolve, reject) => {
    socket.once("error", (cause: Error & { readonly code?: string }) => {
      const isTaken = cause.code === "EADDRINUSE";
      const text = `Can't listen on ${host}:${port} (UDP)${isTaken ? ", the port is taken" : `: ${cause.message}`}`;
      reject(new AppError(isTaken ? "ADDRESS_IN_USE" : "CONFIG_INVALID", text, { cause }));
    });
    socket.bind(port, host, resolve);
  });
  socket.removeAllListeners("error");
  // An unreachable peer is told by an error of the socket; the next datagram is another peer's.
  socket.on("error", () => undefined);
  socket.on("message", (bytes, { address, port: from }) => receive(bytes, { address, port: from }));
  return {
    port: socket.address().port,
    send: (bytes, peer) => socket.send(bytes, peer.port, peer.address, () => undefined),
    [Symbol.asyncDispose]: () => new Promise((resolve) => void socket.close(() => resolve())),
  };
}
