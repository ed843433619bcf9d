import { describe, expect, test } from "bun:test";
import { ConnectError } from "@connectrpc/connect";
import { isRefusal, reconnectDelayMs } from "../../edge/sync/reconnect.ts";
import { toRouteError } from "../../edge/sync/route-errors.ts";
import { AppError } from "../../shared/core/errors.ts";
import type { Random } from "../../shared/core/random.ts";
import { toConnectError } from "../../shared/wire/rpc-errors.ts";

/** Always draws the longest delay. */
const longest: Random = { float: () => 1, bytes: (length) => new Uint8Array(length) };
const CUT = { code: "LINK_DOWN", retryAfterMs: 0 };
const STABLE = { attempt: 0, wasStable: true };

describe("reconnectDelayMs()", () => {
  test.each([
    ["follows the cut of a stable link at once", CUT, STABLE, 50],
    ["backs off when the session was not stable", CUT, { attempt: 1, wasStable: false }, 1_000],
    ["backs off the longer, the more attempts failed", CUT, { attempt: 30, wasStable: false }, 60_000],
    ["spreads the edges of a cloud that stops", { code: "CANCELLED", retryAfterMs: 0 }, STABLE, 500],
    ["keeps to the time that a go-away names", { code: "LINK_DOWN", retryAfterMs: 3_000 }, STABLE, 3_000],
    ["tries slowly what somebody has to mend", { code: "UNAUTHENTICATED", retryAfterMs: 0 }, STABLE, 5_000],
  ])("%s", (_name, end, past, delayMs) => {
    expect(reconnectDelayMs(end, past, longest)).toBe(delayMs);
  });
});

describe("toRouteError()", () => {
  const failure = (code: string): ConnectError => ConnectError.from(Object.assign(new Error("text"), { code }));

  test.each([
    ["ECONNREFUSED", "NO_ROUTE"],
    ["ENOTFOUND", "NO_ROUTE"],
    ["EHOSTUNREACH", "NO_ROUTE"],
    ["DEPTH_ZERO_SELF_SIGNED_CERT", "CERTIFICATE_REFUSED"],
    ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", "CERTIFICATE_REFUSED"],
    ["CERT_HAS_EXPIRED", "CERTIFICATE_REFUSED"],
    ["ERR_TLS_CERT_ALTNAME_INVALID", "CERTIFICATE_REFUSED"],
    ["ECONNRESET", "LINK_DOWN"],
    ["ERR_HTTP2_STREAM_ERROR", "LINK_DOWN"],
  ] as const)("makes of %s a %s", (code, expected) => {
    expect(toRouteError(failure(code)).code).toBe(expected);
  });

  test("believes what the cloud says itself", () => {
    const error = toRouteError(toConnectError(new AppError("NOT_FOUND", "The edge was deleted in the cloud")));
    expect(error).toMatchObject({ code: "NOT_FOUND", message: "The edge was deleted in the cloud" });
    expect(isRefusal(error.code)).toBe(true);
  });
});
