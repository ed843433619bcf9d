import type { TelemetryIntake } from "../device-session.ts";
import { createMqttTopics, type MqttTopics } from "../mqtt-handlers.ts";
import type { DeviceData, DevicePackages } from "../ports.ts";
import { attributeTopics } from "./attributes.ts";
import { claimTopics } from "./claims.ts";
import { gatewayRpcTopics } from "./gateway-rpc.ts";
import { gatewayTopics } from "./gateway.ts";
import { packageTopics } from "./packages.ts";
import { rpcTopics, type RpcTopicDeps } from "./rpc.ts";
import { telemetryTopics } from "./telemetry.ts";

export interface MqttTopicDeps extends RpcTopicDeps {
  readonly data: DeviceData;
  readonly intake: TelemetryIntake;
  readonly packages: DevicePackages;
}

/** The whole device API over MQTT: a line for each of its parts. */
export function allMqttTopics(deps: MqttTopicDeps): MqttTopics {
  const { data, intake, packages } = deps;
  return createMqttTopics([
    telemetryTopics(intake),
    attributeTopics(data),
    claimTopics(data),
    gatewayTopics(),
    packageTopics(packages),
    rpcTopics(deps),
    gatewayRpcTopics(deps),
  ]);
}
