import * as z from "zod";
import { AppError } from "../../../core/errors.ts";
import { defineNode, fail, succeed } from "../node-kind.ts";
import { fillPattern } from "../patterns.ts";
import { plainText } from "./http-call.ts";

const TIMEOUT_SECONDS_MAX = 60;

const credentials = z
  .discriminatedUnion("type", [
    z.object({ type: z.literal("anonymous") }),
    z.object({ type: z.literal("basic"), username: z.string(), password: z.string() }),
  ])
  .nullish();

/** Publishes the payload to a broker. */
export const mqttPublish = defineNode({
  type: "mqtt.TbMqttNode",
  config: z.object({
    topicPattern: z.string().min(1),
    host: z.string().min(1),
    port: z.int().min(1).max(65_535),
    connectTimeoutSec: z.number().min(1).nullish(),
    clientId: z.string().nullish(),
    retainedMessage: z.boolean().nullish(),
    ssl: z.boolean().nullish(),
    parseToPlainText: z.boolean().nullish(),
    credentials,
  }),
  make: (config) => ({
    handle: (message, { node }) => {
      const topic = fillPattern(config.topicPattern, message);
      if (/[#+]/.test(topic)) throw new AppError("INVALID_ARGUMENT", "A topic to publish to has no # and no +");
      const basic = config.credentials?.type === "basic" ? config.credentials : null;
      return {
        emissions: [],
        effects: [
          {
            kind: "publish-mqtt",
            host: config.host,
            port: config.port,
            tls: config.ssl ?? false,
            clientId: (config.clientId ?? "") === "" ? null : (config.clientId ?? null),
            userName: basic?.username ?? null,
            password: basic?.password ?? null,
            topic,
            payload: (config.parseToPlainText ?? false) ? plainText(message.data) : message.data,
            retain: config.retainedMessage ?? false,
            timeoutMs: Math.min(config.connectTimeoutSec ?? 10, TIMEOUT_SECONDS_MAX) * 1000,
            call: { node, message },
          },
        ],
      };
    },
    answer: (message, answer) =>
      answer.ok
        ? succeed(message)
        : fail({ ...message, metadata: { ...message.metadata, error: answer.reason } }, answer.reason),
  }),
});
