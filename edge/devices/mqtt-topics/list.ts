import type { TelemetryIntake } from "../device-session.ts";
import { createMqttTopics, type MqttTopics } from "../mqtt-handlers.ts";
import type { DeviceData, DevicePackages } from "../ports.ts";
import { announcedTopics } from "./announced.ts";
import { attributeTopics } from "./attributes.ts";
import { claimTopics } from "./claims.ts";
import { gatewayTopics } from "./gateway.ts";
import { packageTopics } from "./packages.ts";
import { telemetryTopics } from "./telemetry.ts";

export interface MqttTopicDeps {
  readonly data: DeviceData;
  readonly intake: TelemetryIntake;
  readonly packages: DevicePackages;
}

/** The whole device API over MQTT: a line for each of its parts. */
export function allMqttTopics({ data, intake, packages }: MqttTopicDeps): MqttTopics {
  return createMqttTopics([
    telemetryTopics(intake),
    attributeTopics(data),
    claimTopics(data),
    gatewayTopics(),
    packageTopics(packages),
    announcedTopics(),
  ]);
}
