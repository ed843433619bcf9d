import type { Clock } from "../../../shared/core/clock.ts";
import { AppError } from "../../../shared/core/errors.ts";
import type { MessageSession, MqttHandler, MqttRoute } from "../mqtt-handlers.ts";
import { readQuestion, rpcText } from "../rpc-messages.ts";
import type { DeviceQuestions, DeviceRpcs, RpcToDevice } from "../rpc-ports.ts";
import { ALL_FORMS, type FormTopics } from "../topics.ts";
import { whenAcknowledged } from "./acknowledged.ts";

export interface RpcTopicDeps {
  readonly rpcs: DeviceRpcs;
  readonly questions: DeviceQuestions;
  readonly clock: Clock;
}

const NUMBER = /^[0-9]{1,15}$/;
const QUESTION_ID = /^(?:0|-?[1-9][0-9]{0,9})$/;

/** Requests to the device, pushed once it has subscribed, its answers, and its own requests. */
export function rpcTopics(deps: RpcTopicDeps): MqttHandler {
  return {
    routes: [
      ...ALL_FORMS.map((form) => answerRoute(form, deps)),
      ...ALL_FORMS.map((form) => questionRoute(form, deps)),
    ],
    downlinks: ALL_FORMS.flatMap(({ rpcRequest, rpcResponse }) => [`${rpcRequest}+`, `${rpcResponse}+`]),
    open: (session) => {
      let stop: (() => void) | undefined;
      const end = (): void => {
        stop?.();
        stop = undefined;
      };
      return {
        onSubscriptions: () => {
          if (targetOf(session, 0) === undefined) return end();
          stop ??= deps.rpcs.receive(session.device.deviceId, {
            isOnce: false,
            deliver: (request) => deliver(session, request, deps.clock),
          });
        },
        close: end,
      };
    },
  };
}

/** Where requests go: the form that was subscribed last. */
function targetOf({ subscriptions }: MessageSession, number: number) {
  return subscriptions.lastOf(ALL_FORMS.map(({ rpcRequest }) => `${rpcRequest}${number}`));
}

function deliver(session: MessageSession, request: RpcToDevice, clock: Clock): Promise<boolean> {
  const target = targetOf(session, request.number);
  if (target === undefined) return Promise.resolve(false);
  return whenAcknowledged(session.deliver({ ...target, payload: rpcText(request, { withNumber: false }) }), clock);
}

function answerRoute({ rpcResponse, format }: FormTopics, { rpcs }: RpcTopicDeps): MqttRoute {
  return {
    topic: `${rpcResponse}+`,
    payload: { kind: "rpcAnswer", format },
    take: ({ levels, text }, unit, { device }) => {
      const [number] = levels;
      if (number === undefined || !NUMBER.test(number)) return "not-served";
      unit.saves.push(() => rpcs.answer(device.deviceId, Number(number), text));
      return "taken";
    },
  };
}

/** The answer needs no subscription, and may come long after the acknowledgement. */
function questionRoute({ rpcRequest, rpcResponse, format }: FormTopics, { questions }: RpcTopicDeps): MqttRoute {
  return {
    topic: `${rpcRequest}+`,
    payload: { kind: "question", format },
    take: ({ levels, text }, _unit, session) => {
      const [id] = levels;
      if (id === undefined || !QUESTION_ID.test(id)) return "not-served";
      const question = readQuestion(text);
      const topic = `${rpcResponse}${id}`;
      const send = (payload: string): void =>
        session.send({ topic, qos: session.subscriptions.qosOf(topic) ?? 1, payload });
      questions
        .ask(session.device, question)
        .then(send, (error: unknown) => send(JSON.stringify({ error: AppError.from(error).message })));
      return "taken";
    },
  };
}
