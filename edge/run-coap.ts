import { untilAborted } from "../shared/core/lifecycle.ts";
import { reachableHost } from "../shared/runtime/http-server.ts";
import type { CoapServer, CoapServerDeps } from "./devices/coap-server.ts";
import { listenUdp, type UdpPeer } from "./runtime/udp-socket.ts";

export interface CoapListener extends AsyncDisposable {
  /** `coap://127.0.0.1:5683` */
  readonly url: string;
  run(signal: AbortSignal): Promise<void>;
}

/** Datagrams that wait while the program of CoAP is loaded; further ones are lost, and devices repeat them. */
const EARLY_MAX = 64;

/**
 * Listens for CoAP. Most sites have no device that speaks it: all but the socket is loaded with the first datagram.
 *
 * @throws AppError ADDRESS_IN_USE, CONFIG_INVALID
 */
export async function listenCoap(
  deps: CoapServerDeps,
  address: { readonly host: string; readonly port: number },
): Promise<CoapListener> {
  const early: [bytes: Uint8Array, peer: UdpPeer][] = [];
  const loaded = Promise.withResolvers<CoapServer>();
  let server: CoapServer | null = null;
  const socket = await listenUdp({ ...address, receive });

  function receive(bytes: Uint8Array, peer: UdpPeer): void {
    if (server !== null) return server.receive(bytes, peer);
    if (early.length === 0) load().then(loaded.resolve, loaded.reject);
    if (early.length < EARLY_MAX) early.push([bytes, peer]);
  }

  async function load(): Promise<CoapServer> {
    const module = await import("./devices/coap-server.ts");
    const made = new module.CoapServer(deps, socket.send);
    server = made;
    for (const [bytes, peer] of early.splice(0)) made.receive(bytes, peer);
    return made;
  }

  return {
    url: `coap://${reachableHost(address.host)}:${socket.port}`,
    run: async (signal) => {
      const running = await Promise.race([loaded.promise, untilAborted(signal)]);
      await running?.run(signal);
    },
    [Symbol.asyncDispose]: () => socket[Symbol.asyncDispose](),
  };
}
