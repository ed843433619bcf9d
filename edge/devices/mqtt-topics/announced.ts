import type { MqttHandler } from "../mqtt-handlers.ts";
import { ALL_FORMS } from "../topics.ts";

/** Topics that stock clients subscribe to before anything comes from them: RPC. */
export function announcedTopics(): MqttHandler {
  return {
    routes: [],
    downlinks: [
      ...ALL_FORMS.flatMap(({ rpcRequest, rpcResponse }) => [`${rpcRequest}+`, `${rpcResponse}+`]),
      "v1/gateway/rpc",
    ],
  };
}
