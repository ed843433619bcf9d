import { createMqttTopics, type MqttTopics } from "../mqtt-handlers.ts";
import type { DeviceProvisioning } from "../ports.ts";
import { provisionAnswerText, readProvisionRequest } from "../provision-messages.ts";

const ANSWER = "/provision/response";

/** All that a connection may do which signed in as `provision`. */
export function provisioningTopics(provisioning: DeviceProvisioning): MqttTopics {
  return createMqttTopics([
    {
      routes: [
        {
          topic: "/provision/request",
          take: ({ text }, unit, { subscriptions }) => {
            const request = readProvisionRequest(text);
            unit.questions.push(async () => {
              const payload = provisionAnswerText(await provisioning.provision(request));
              return [{ topic: ANSWER, qos: subscriptions.qosOf(ANSWER) ?? 1, payload }];
            });
            return "taken";
          },
        },
      ],
      downlinks: [ANSWER],
    },
  ]);
}
