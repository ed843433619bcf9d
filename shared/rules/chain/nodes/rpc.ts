import * as z from "zod";
import { AppError } from "../../../core/errors.ts";
import { objectData } from "../message.ts";
import { defineNode, fail, succeed } from "../node-kind.ts";

const TIMEOUT_SECONDS_MAX = 24 * 60 * 60;

/** Sends a request to the device; its answer is the payload of what goes on. */
export const sendRpc = defineNode({
  type: "rpc.TbSendRPCRequestNode",
  config: z.object({ timeoutInSeconds: z.number().min(1).max(TIMEOUT_SECONDS_MAX).nullish() }),
  make: ({ timeoutInSeconds }) => ({
    handle: (message, { node, nowMs }) => {
      const { originator: device, metadata } = message;
      if (device.type !== "DEVICE")
        throw new AppError("INVALID_ARGUMENT", "The originator of the message is no device");
      const { method, params } = objectData(message);
      if (typeof method !== "string") throw new AppError("INVALID_PAYLOAD", "The message has no method");
      if (params === undefined) throw new AppError("INVALID_PAYLOAD", "The message has no params");
      const expiry = metadata["expirationTime"] ?? "";
      const timeoutMs = /^\d{1,15}$/.test(expiry)
        ? Math.max(0, Math.min(Number(expiry) - nowMs, TIMEOUT_SECONDS_MAX * 1000))
        : (timeoutInSeconds ?? 60) * 1000;
      return {
        emissions: [],
        effects: [
          {
            kind: "send-rpc",
            device,
            method,
            params: JSON.stringify(params),
            oneway: metadata["oneway"] === "true",
            persistent: metadata["persistent"] === "true",
            timeoutMs,
            call: { node, message },
          },
        ],
      };
    },
    answer: (message, answer) =>
      answer.ok
        ? succeed({ ...message, data: answer.body === "" ? "{}" : answer.body })
        : fail({ ...message, data: JSON.stringify({ error: answer.reason }) }, answer.reason),
  }),
});

/** Answers a request of the device with the payload. */
export const replyRpc = defineNode({
  type: "rpc.TbSendRPCReplyNode",
  config: z.object({ requestIdMetaDataAttribute: z.string().nullish() }),
  make: ({ requestIdMetaDataAttribute }) => ({
    handle: (message) => {
      const key = (requestIdMetaDataAttribute ?? "") === "" ? "requestId" : (requestIdMetaDataAttribute ?? "");
      const requestId = Number(message.metadata[key] ?? Number.NaN);
      if (message.originator.type !== "DEVICE") {
        throw new AppError("INVALID_ARGUMENT", "The originator of the message is no device");
      }
      if (!Number.isSafeInteger(requestId)) throw new AppError("INVALID_ARGUMENT", `The metadata has no number ${key}`);
      return succeed(message, [{ kind: "reply-rpc", device: message.originator, requestId, body: message.data }]);
    },
  }),
});
