import { AppError } from "../../shared/core/errors.ts";
import { namesIn, telemetryIn } from "./gateway-session.ts";
import type { FoundRoute, IncomingMessage, MessageSession, Taken } from "./mqtt-handlers.ts";
import { createUnit, type Unit } from "./mqtt-unit.ts";
import { countPoints, type RateLimits } from "./rate-limits.ts";

/** What a gateway sends here is for all devices behind it. */
const GATEWAY_PREFIX = "v1/gateway/";

export interface Exceeded {
  readonly exceeded: string;
  /** The message is about devices behind a gateway. */
  readonly isBehind: boolean;
  /** Devices behind the gateway that the message spoke of. */
  readonly names: readonly string[];
}

/**
 * Takes a message as its route does, within the limits of the device. One that exceeds a limit leaves nothing in the unit.
 *
 * @throws AppError INVALID_PAYLOAD
 */
export function takeLimited(
  rates: RateLimits,
  route: FoundRoute,
  taking: { readonly message: IncomingMessage; readonly unit: Unit; readonly session: MessageSession },
): Taken | Exceeded {
  const { message, unit, session } = taking;
  const { device } = session;
  const isBehind = message.topic.startsWith(GATEWAY_PREFIX);
  const before = rates.take(device, "messages", { isBehind });
  if (before !== undefined) return { exceeded: before, isBehind, names: isBehind ? readNames(route, taking) : [] };
  const records = unit.records.length;
  const behind = unit.behind.length;
  const taken = route.take(message, unit, session);
  const added = [...unit.records.slice(records), ...unit.behind.slice(behind).flatMap(telemetryIn)];
  if (taken !== "taken" || added.length === 0) return taken;
  const exceeded =
    rates.take(device, "telemetryMessages", { isBehind }) ??
    rates.take(device, "telemetryDataPoints", { isBehind, count: countPoints(added) });
  if (exceeded === undefined) return taken;
  const names = unit.behind.slice(behind).flatMap(namesIn);
  unit.records.length = records;
  unit.behind.length = behind;
  return { exceeded, isBehind, names };
}

/** Of a message that is not taken: none of one that can't be read. */
function readNames(route: FoundRoute, { message, session }: Parameters<typeof takeLimited>[2]): readonly string[] {
  const unit = createUnit();
  try {
    route.take(message, unit, session);
  } catch (thrown) {
    if (AppError.from(thrown).code !== "INVALID_PAYLOAD") throw thrown;
  }
  return unit.behind.flatMap(namesIn);
}
