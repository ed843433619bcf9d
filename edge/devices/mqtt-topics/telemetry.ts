import type { TelemetryIntake } from "../device-session.ts";
import type { MqttHandler } from "../mqtt-handlers.ts";
import { ALL_FORMS } from "../topics.ts";

export function telemetryTopics(intake: TelemetryIntake): MqttHandler {
  return {
    routes: ALL_FORMS.map((form) => ({
      topic: form.telemetry,
      payload: { kind: "telemetry", format: form.format },
      take: ({ text, nowMs }, unit, { device }) => {
        intake.add(device.deviceId, text, nowMs, unit.records);
        return "taken";
      },
    })),
    downlinks: [],
  };
}
