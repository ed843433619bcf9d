import type { Clock } from "../../../shared/core/clock.ts";

/** How long a device may take to acknowledge a request. */
const ACKNOWLEDGED_WITHIN_MS = 10_000;

/** Whether a message was acknowledged in time. */
export async function whenAcknowledged(delivered: Promise<boolean>, clock: Clock): Promise<boolean> {
  const over = new AbortController();
  const late = clock.sleep(ACKNOWLEDGED_WITHIN_MS, over.signal).then(
    () => false,
    () => false,
  );
  try {
    return await Promise.race([delivered, late]);
  } finally {
    over.abort();
  }
}
