import { AppError } from "../../shared/core/errors.ts";
import { RPC_CONTENT_LENGTH_MAX } from "../../shared/entities/rpc.ts";
import { EventWaits, type AccessEnded } from "./event-waits.ts";
import {
  accessEnded,
  type DeviceHttpDeps,
  type DeviceHttpOptions,
  type DeviceRoutes,
  emptyAnswer,
  jsonAnswer,
} from "./http-routes.ts";
import { readQuestion, rpcText } from "./rpc-messages.ts";
import type { RpcReceiver, RpcToDevice } from "./rpc-ports.ts";

/** Requests to the device by long polls, its answers, and its own requests. */
export function addRpcRoutes(
  { api, readBody, waitMsOf, withDevice }: DeviceRoutes,
  { clock, events, questions, rpcs }: DeviceHttpDeps,
  options: DeviceHttpOptions,
): void {
  const waits = new EventWaits<RpcToDevice | AccessEnded>(
    { clock, events, answerOf: (event) => (event.kind === "access-ended" ? event : undefined) },
    options,
  );
  const read = async (request: Request): Promise<string> => {
    const text = await readBody(request);
    if (text.length > RPC_CONTENT_LENGTH_MAX)
      throw new AppError("PAYLOAD_TOO_LARGE", `The body has more than ${RPC_CONTENT_LENGTH_MAX} characters`);
    return text;
  };
  api.get("/:token/rpc", (context) =>
    withDevice(context, async ({ deviceId }) => {
      const next = waits.next(deviceId, waitMsOf(context), context.req.raw.signal);
      // The response goes out at once: what comes after it is that the device asks again.
      const receiver: RpcReceiver = {
        isOnce: true,
        deliver: (request) => Promise.resolve(waits.answerOne(deviceId, request)),
      };
      const stop = rpcs.receive(deviceId, receiver);
      try {
        const request = await next;
        if (request === null) return emptyAnswer(408);
        return "kind" in request ? accessEnded(request) : jsonAnswer(rpcText(request, { withNumber: true }));
      } finally {
        stop();
      }
    }),
  );
  api.post("/:token/rpc/:number", (context) =>
    withDevice(context, async ({ deviceId }) => {
      const number = context.req.param("number");
      if (!/^[0-9]{1,15}$/.test(number))
        throw new AppError("INVALID_ARGUMENT", "Expected the number of a request behind /rpc/", { field: "number" });
      await rpcs.answer(deviceId, Number(number), await read(context.req.raw));
      return emptyAnswer(200);
    }),
  );
  api.post("/:token/rpc", (context) =>
    withDevice(context, async (device) => {
      const question = readQuestion(await read(context.req.raw));
      return jsonAnswer(await questions.ask(device, question));
    }),
  );
}
