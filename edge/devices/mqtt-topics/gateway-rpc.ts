import type { Clock } from "../../../shared/core/clock.ts";
import type { Uuid } from "../../../shared/core/ids.ts";
import { gatewayPushText, readGatewayRpcAnswer } from "../gateway-messages.ts";
import type { MessageSession, MqttHandler, SessionPart } from "../mqtt-handlers.ts";
import { rpcText } from "../rpc-messages.ts";
import type { DeviceRpcs, RpcToDevice } from "../rpc-ports.ts";
import { whenAcknowledged } from "./acknowledged.ts";

const TOPIC = "v1/gateway/rpc";

export interface GatewayRpcDeps {
  readonly rpcs: DeviceRpcs;
  readonly clock: Clock;
}

/** Requests to devices behind a gateway, and their answers. */
export function gatewayRpcTopics(deps: GatewayRpcDeps): MqttHandler {
  return {
    routes: [
      {
        topic: TOPIC,
        take: ({ text }, unit, { gateway }) => {
          if (gateway === null) return "gateways-only";
          const { name, number, data } = readGatewayRpcAnswer(text);
          unit.saves.push(async () => deps.rpcs.answer((await gateway.find(name)).deviceId, number, data));
          return "taken";
        },
      },
    ],
    downlinks: [TOPIC],
    open: (session) => (session.gateway === null ? undefined : openPart(session, deps)),
  };
}

/** Serves the devices that the gateway speaks for, while it is subscribed. */
function openPart(session: MessageSession, { clock, rpcs }: GatewayRpcDeps): SessionPart {
  const names = new Map<Uuid, string>();
  const stops = new Map<Uuid, () => void>();
  const serve = (deviceId: Uuid, name: string): void => {
    if (stops.has(deviceId)) return;
    const receiver = {
      isOnce: false,
      deliver: (request: RpcToDevice): Promise<boolean> => deliver(session, { name, request }, clock),
    };
    stops.set(deviceId, rpcs.receive(deviceId, receiver));
  };
  const stop = (deviceId: Uuid): void => {
    stops.get(deviceId)?.();
    stops.delete(deviceId);
  };
  const isSubscribed = (): boolean => session.subscriptions.qosOf(TOPIC) !== undefined;
  return {
    onSubscriptions: () => {
      for (const [deviceId, name] of names) {
        if (isSubscribed()) serve(deviceId, name);
        else stop(deviceId);
      }
    },
    onAttached: ({ deviceId, name }) => {
      names.set(deviceId, name);
      if (isSubscribed()) serve(deviceId, name);
    },
    onDetached: (deviceId) => {
      names.delete(deviceId);
      stop(deviceId);
    },
    close: () => {
      for (const deviceId of stops.keys()) stop(deviceId);
    },
  };
}

function deliver(
  session: MessageSession,
  { name, request }: { readonly name: string; readonly request: RpcToDevice },
  clock: Clock,
): Promise<boolean> {
  const qos = session.subscriptions.qosOf(TOPIC);
  if (qos === undefined) return Promise.resolve(false);
  const payload = gatewayPushText(name, rpcText(request, { withNumber: true }));
  return whenAcknowledged(session.deliver({ topic: TOPIC, qos, payload }), clock);
}
