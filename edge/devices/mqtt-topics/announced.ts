import type { MqttHandler } from "../mqtt-handlers.ts";
import { ALL_FORMS } from "../topics.ts";

/** Topics that stock clients subscribe to before anything comes from them: RPC and packages. */
export function announcedTopics(): MqttHandler {
  return {
    routes: [],
    downlinks: [
      ...ALL_FORMS.flatMap(({ rpcRequest, rpcResponse }) => [`${rpcRequest}+`, `${rpcResponse}+`]),
      "v1/gateway/rpc",
      ...["v2/fw", "v2/sw"].flatMap((prefix) => [
        // Matches no answer by the rules of MQTT, and yet the stock SDK asks for it.
        `${prefix}/response/+`,
        `${prefix}/response/+/chunk/+`,
        `${prefix}/error`,
      ]),
    ],
  };
}
