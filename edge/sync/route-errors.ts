import type { ConnectError } from "@connectrpc/connect";
import { AppError } from "../../shared/core/errors.ts";
import { fromConnectError } from "../../shared/wire/rpc-errors.ts";

/** What the system says when there is no way to the cloud. */
const NO_ROUTE: ReadonlySet<string> = new Set([
  "EADDRNOTAVAIL",
  "EAI_AGAIN",
  "EAI_FAIL",
  "ECONNREFUSED",
  "EHOSTDOWN",
  "EHOSTUNREACH",
  "ENETDOWN",
  "ENETUNREACH",
  "ENOTFOUND",
  "ETIMEDOUT",
]);
/** Names that OpenSSL and Node give to a certificate that is not taken. */
const CERTIFICATE =
  /^(CERT_|DEPTH_ZERO_|ERR_TLS_CERT|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE|SELF_SIGNED_|UNABLE_TO_)/;

/** Why the call to the cloud failed: as it says itself, or NO_ROUTE, CERTIFICATE_REFUSED, LINK_DOWN when it was not reached. */
export function toRouteError(failure: ConnectError): AppError {
  const error = fromConnectError(failure);
  const code = causeCode(failure);
  if (error.code !== "LINK_DOWN" || code === null) return error;
  if (NO_ROUTE.has(code)) return new AppError("NO_ROUTE", failure.rawMessage, { cause: failure });
  if (CERTIFICATE.test(code)) return new AppError("CERTIFICATE_REFUSED", failure.rawMessage, { cause: failure });
  return error;
}

function causeCode({ cause }: ConnectError): string | null {
  return cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : null;
}
