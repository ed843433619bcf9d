/** For whom a limit is: a device, a gateway's own messages, all devices behind a gateway, all devices. */
const SCOPES = ["Device", "GatewayDevice", "Gateway", "Tenant"] as const;
const KINDS = ["Msg", "TelemetryMsg", "TelemetryDataPoints"] as const;

/** Limits on what devices send, as profiles of tenants and of devices call them. */
export const RATE_LIMIT_NAMES = SCOPES.flatMap((scope) =>
  KINDS.map((kind) => `transport${scope}${kind}RateLimit` as const),
);

/** What is longer limits nothing. */
const TEXT_CHARACTERS_MAX = 1_000;

/** The limits of a profile's `configuration` that are set: `count:seconds` joined by commas, by name. */
export function readRateLimits(configuration: Readonly<Record<string, unknown>>): Readonly<Record<string, string>> {
  const limits: Record<string, string> = {};
  for (const name of RATE_LIMIT_NAMES) {
    const text = configuration[name];
    if (typeof text === "string" && text !== "" && text.length <= TEXT_CHARACTERS_MAX) limits[name] = text;
  }
  return limits;
}
