import { telemetryIn } from "./gateway-session.ts";
import type { FoundRoute, IncomingMessage, MessageSession, Taken } from "./mqtt-handlers.ts";
import type { Unit } from "./mqtt-unit.ts";
import { countPoints, type RateLimits } from "./rate-limits.ts";

/** What a gateway sends here is for all devices behind it. */
const GATEWAY_PREFIX = "v1/gateway/";

/**
 * Takes a message as its route does, within the limits of the device. Telemetry that exceeds one leaves nothing in the unit.
 *
 * @throws AppError INVALID_PAYLOAD
 */
export function takeLimited(
  rates: RateLimits,
  route: FoundRoute,
  taking: { readonly message: IncomingMessage; readonly unit: Unit; readonly session: MessageSession },
): Taken | { readonly exceeded: string } {
  const { message, unit, session } = taking;
  const { device } = session;
  const isBehind = message.topic.startsWith(GATEWAY_PREFIX);
  const before = rates.take(device, "messages", { isBehind });
  if (before !== undefined) return { exceeded: before };
  const records = unit.records.length;
  const behind = unit.behind.length;
  const taken = route.take(message, unit, session);
  const added = [...unit.records.slice(records), ...unit.behind.slice(behind).flatMap(telemetryIn)];
  if (taken !== "taken" || added.length === 0) return taken;
  const exceeded =
    rates.take(device, "telemetryMessages", { isBehind }) ??
    rates.take(device, "telemetryDataPoints", { isBehind, count: countPoints(added) });
  if (exceeded === undefined) return taken;
  unit.records.length = records;
  unit.behind.length = behind;
  return { exceeded };
}
