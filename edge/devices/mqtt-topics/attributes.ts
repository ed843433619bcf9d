import { attributeAnswerText, pushText, readAttributeRequest, readClientAttributes } from "../device-session.ts";
import type { MqttHandler, MqttRoute } from "../mqtt-handlers.ts";
import type { DeviceData } from "../ports.ts";
import { ALL_FORMS, type FormTopics } from "../topics.ts";

const REQUEST_ID = /^(?:0|-?[1-9][0-9]{0,9})$/;
const PUSH_TOPICS = ALL_FORMS.map(({ attributes }) => attributes);

/** Client attributes up, shared ones pushed on change, both on request. */
export function attributeTopics(data: Pick<DeviceData, "readAttributes">): MqttHandler {
  return {
    routes: [...ALL_FORMS.map(saveRoute), ...ALL_FORMS.map((form) => requestRoute(form, data))],
    downlinks: [...PUSH_TOPICS, ...ALL_FORMS.map(({ attributeResponse }) => `${attributeResponse}+`)],
    push: (event, subscriptions) => {
      const target = subscriptions.lastOf([...PUSH_TOPICS, ...subscriptions.ownTopics()]);
      const payload = pushText(event);
      return target === undefined || payload === undefined ? undefined : { ...target, payload, isKept: true };
    },
  };
}

function saveRoute({ attributes, format }: FormTopics): MqttRoute {
  return {
    topic: attributes,
    payload: { kind: "attributes", format },
    take: ({ text, nowMs }, unit) => {
      for (const entry of readClientAttributes(text, nowMs)) unit.attributes.set(entry.key, entry);
      return "taken";
    },
  };
}

/** The answer needs no subscription. */
function requestRoute(form: FormTopics, data: Pick<DeviceData, "readAttributes">): MqttRoute {
  return {
    topic: `${form.attributeRequest}+`,
    payload: { kind: "attributeRequest", format: form.format },
    take: ({ levels, text }, unit, { device, subscriptions }) => {
      const [requestId] = levels;
      if (requestId === undefined || !REQUEST_ID.test(requestId)) return "not-served";
      const request = readAttributeRequest(text);
      const topic = form.attributeResponse + requestId;
      unit.questions.push(async () => {
        const payload = attributeAnswerText(await data.readAttributes(device.deviceId, request));
        return [{ topic, qos: subscriptions.qosOf(topic) ?? 1, payload }];
      });
      return "taken";
    },
  };
}
