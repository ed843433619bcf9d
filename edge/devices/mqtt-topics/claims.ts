import { readClaim } from "../claim-messages.ts";
import type { MqttHandler } from "../mqtt-handlers.ts";
import type { DeviceData } from "../ports.ts";

/** Devices ask to be claimed. */
export function claimTopics(data: Pick<DeviceData, "openClaim">): MqttHandler {
  return {
    routes: [
      {
        topic: "v1/devices/me/claim",
        payload: { kind: "claim", format: "profile" },
        take: ({ text }, unit, { device }) => {
          const claim = readClaim(text);
          unit.saves.push(() => data.openClaim(device.deviceId, claim));
          return "taken";
        },
      },
    ],
    downlinks: [],
  };
}
