import type { Clock } from "../../shared/core/clock.ts";
import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { CanonicalJson } from "../../shared/entities/telemetry.ts";
import type { DeviceQuestions, QuestionAnswerer } from "./rpc-ports.ts";

/** Requests of devices that wait for an answer. */
const WAITING_MAX = 1_000;
const WAITING_PER_DEVICE_MAX = 10;
const TIMEOUT_MS = 60_000;
const TIMEOUT_ANSWER = '{"error":"timeout"}' as CanonicalJson;

/** @param answerers are asked in this order */
export function createDeviceQuestions(clock: Clock, answerers: readonly QuestionAnswerer[]): DeviceQuestions {
  const waiting = new Map<Uuid, number>();
  let count = 0;

  const enter = (deviceId: Uuid): void => {
    const ofDevice = waiting.get(deviceId) ?? 0;
    if (ofDevice >= WAITING_PER_DEVICE_MAX || count >= WAITING_MAX)
      throw new AppError(
        "TOO_MANY_REQUESTS",
        `Too many requests of devices wait for an answer: of one device at most ${WAITING_PER_DEVICE_MAX}, at most ${WAITING_MAX}`,
      );
    waiting.set(deviceId, ofDevice + 1);
    count += 1;
  };
  const leave = (deviceId: Uuid): void => {
    const left = (waiting.get(deviceId) ?? 1) - 1;
    if (left === 0) waiting.delete(deviceId);
    else waiting.set(deviceId, left);
    count -= 1;
  };

  return {
    ask: async (device, question) => {
      enter(device.deviceId);
      const over = new AbortController();
      const timeout = clock.sleep(TIMEOUT_MS, over.signal).then(() => TIMEOUT_ANSWER);
      try {
        const answers = answerers.flatMap((answerer) => answerer.answer(device, question) ?? []).slice(0, 1);
        return await Promise.race([timeout, ...answers]);
      } finally {
        over.abort();
        leave(device.deviceId);
      }
    },
  };
}
