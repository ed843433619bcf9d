import { Buffer } from "node:buffer";
import type { Clock } from "../../shared/core/clock.ts";
import { AppError } from "../../shared/core/errors.ts";
import type { DeviceErrors } from "./device-errors.ts";
import { GatewaySession } from "./gateway-session.ts";
import type { MqttTopics } from "./mqtt-handlers.ts";
import type { Will } from "./mqtt-kept.ts";
import { createUnit, saveUnit } from "./mqtt-unit.ts";
import { findRoute, type MqttProfiles, readPayload } from "./payloads.ts";
import type { AuthenticatedDevice, DeviceData, DeviceDirectory } from "./ports.ts";
import type { ServerTimes } from "./server-times.ts";
import { Subscriptions } from "./topics.ts";

export interface WillDeps {
  readonly clock: Pick<Clock, "nowMs">;
  readonly directory: Pick<DeviceDirectory, "openBehind">;
  readonly data: DeviceData;
  readonly topics: MqttTopics;
  readonly times: ServerTimes;
  readonly errors: DeviceErrors;
  readonly profiles: MqttProfiles;
}

/**
 * Takes a will as if the device published it now. One that is not valid is noted and done with.
 *
 * @throws AppError when it could not be stored and another attempt may help
 */
export async function publishWill(deps: WillDeps, device: AuthenticatedDevice, will: Will): Promise<void> {
  const { clock, data, errors, profiles } = deps;
  const { topic } = will;
  const refuse = (why: string): void => errors.note(device.deviceId, `The will was not taken: ${why}`);
  const profile = profiles.of(device);
  const route = findRoute(deps.topics, profile, topic);
  if (route === undefined) return refuse(`the topic ${JSON.stringify(topic.slice(0, 100))} is not served`);
  const nobody = (): void => undefined;
  const gateway = device.isGateway
    ? new GatewaySession({ ...deps, gateway: device, onConnected: nobody, onDisconnected: nobody, onHeard: nobody })
    : null;
  const unit = createUnit();
  try {
    const buffer = Buffer.from(will.payload);
    const text = readPayload(route, profile, { buffer, start: 0, end: buffer.length });
    const message = { topic, levels: route.levels, text, nowMs: clock.nowMs() };
    const deliver = (): Promise<boolean> => Promise.resolve(false);
    const session = { device, gateway, subscriptions: new Subscriptions(0), send: nobody, deliver };
    if (route.take(message, unit, session) !== "taken") return refuse(`the device may not publish to ${topic}`);
    await saveUnit(unit, { deviceId: device.deviceId, gateway, data });
  } catch (thrown) {
    const error = AppError.from(thrown);
    if (error.retryable) throw error;
    refuse(error.message);
  }
}
