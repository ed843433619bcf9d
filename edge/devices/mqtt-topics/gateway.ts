import { pushText } from "../device-session.ts";
import { gatewayPushText } from "../gateway-messages.ts";
import type { GatewayTopic } from "../gateway-session.ts";
import type { MqttHandler } from "../mqtt-handlers.ts";

/** Changes of devices behind a gateway. */
const ATTRIBUTES = "v1/gateway/attributes";
const ATTRIBUTES_RESPONSE = "v1/gateway/attributes/response";

const ROUTES: readonly (readonly [topic: string, message: GatewayTopic])[] = [
  ["v1/gateway/connect", "connect"],
  ["v1/gateway/disconnect", "disconnect"],
  ["v1/gateway/telemetry", "telemetry"],
  [ATTRIBUTES, "attributes"],
  ["v1/gateway/attributes/request", "attribute-request"],
  ["v1/gateway/claim", "claim"],
];

/** What a gateway says of devices behind it, and is told of them. */
export function gatewayTopics(): MqttHandler {
  return {
    routes: ROUTES.map(([topic, kind]) => ({
      topic,
      take: ({ text, nowMs }, unit, { gateway, subscriptions }) => {
        if (gateway === null) return "gateways-only";
        const message = gateway.read(kind, text, nowMs);
        unit.behind.push(message);
        if (message.kind !== "attribute-request") return "taken";
        const qos = subscriptions.qosOf(ATTRIBUTES_RESPONSE) ?? 1;
        unit.questions.push(async () => [
          { topic: ATTRIBUTES_RESPONSE, qos, payload: await gateway.answer(message.request) },
        ]);
        return "taken";
      },
    })),
    downlinks: [ATTRIBUTES, ATTRIBUTES_RESPONSE],
    pushBehind: (name, event, subscriptions) => {
      const qos = subscriptions.qosOf(ATTRIBUTES);
      const text = pushText(event);
      if (qos === undefined || text === undefined) return undefined;
      return { topic: ATTRIBUTES, qos, payload: gatewayPushText(name, text), isKept: true };
    },
  };
}
