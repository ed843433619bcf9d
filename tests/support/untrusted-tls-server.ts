/** A TLS server on loopback with a certificate that nobody signed. */
import { createServer } from "node:tls";
import { LOCALHOST } from "./certificates.ts";

export interface UntrustedTlsServer extends AsyncDisposable {
  /** `https://127.0.0.1:PORT`; the certificate is good for this address, but not trusted. */
  readonly url: string;
}

export async function startUntrustedTlsServer(): Promise<UntrustedTlsServer> {
  const server = createServer({ ...LOCALHOST, ALPNProtocols: ["h2"] }, (socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return {
    url: `https://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
