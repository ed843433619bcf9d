/** A TLS server on loopback with a certificate that nobody signed. */
import { createServer } from "node:tls";

export interface UntrustedTlsServer extends AsyncDisposable {
  /** `https://127.0.0.1:PORT`; the certificate is good for this address, but not trusted. */
  readonly url: string;
}

/** Made for these tests, protects nothing; until 2126. */
const KEY = `-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIHehrO71aHF/Cdcps6fj2XKXIeilWWiZb15a3tlvSn03oAoGCCqGSM49
AwEHoUQDQgAEwjasX7+RomEjazTyBB50CcPqX2qAQBWZkvcY8VIWy7WpsnxmTzeR
qhinj09tbW++v3TPc8S39CZJo9uwWtM8Jw==
-----END EC PRIVATE KEY-----
`;
const CERT = `-----BEGIN CERTIFICATE-----
MIIBnDCCAUGgAwIBAgIUEoTswgY/eNX6JyoMuDf4qFDxGZYwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyNDA3MjcwMVoYDzIxMjYxMDMx
MDcyNzAxWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAATCNqxfv5GiYSNrNPIEHnQJw+pfaoBAFZmS9xjxUhbLtamyfGZPN5Gq
GKePT21tb76/dM9zxLf0Jkmj27Ba0zwno28wbTAdBgNVHQ4EFgQUn8PjQlMECwVu
LI1VIZ4a/ayVEFMwHwYDVR0jBBgwFoAUn8PjQlMECwVuLI1VIZ4a/ayVEFMwDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDSQAwRgIhANxtUHe9e06Y3XDyMLyr9pcmgbbnlrSy/t0uhpOUibgFAiEA
pgzHp046NhyMhkcxSq5/Y2VOWmoxI/qWb4SahNWWF0c=
-----END CERTIFICATE-----
`;

export async function startUntrustedTlsServer(): Promise<UntrustedTlsServer> {
  const server = createServer({ key: KEY, cert: CERT, ALPNProtocols: ["h2"] }, (socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return {
    url: `https://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
