import * as z from "zod";
import { AppError } from "../../../core/errors.ts";
import type { Json } from "../../../entities/entity-record.ts";
import { isObject, textOfValue, type ChainMessage } from "../message.ts";
import { defineNode, SUCCESS } from "../node-kind.ts";
import { chosenScript, compileScript, scriptMembers } from "../scripts.ts";

/** Messages that one may become. */
const MESSAGES_MAX = 100;

export const scriptTransform = defineNode({
  type: "transform.TbTransformMsgNode",
  config: z.object(scriptMembers),
  make: async (config, tools) => {
    const script = await compileScript(chosenScript(config), tools);
    return {
      handle: async (message) => ({
        emissions: changedMessages(message, await script.run(message)).map((changed) => ({
          label: SUCCESS,
          message: changed,
        })),
      }),
    };
  },
});

/** @param result `{msg, metadata, msgType}`, what is left out stays as it was; or a list of such */
export function changedMessages(message: ChainMessage, result: Json | undefined): readonly ChainMessage[] {
  const list = Array.isArray(result) ? (result as readonly Json[]) : [result];
  if (list.length > MESSAGES_MAX) {
    throw new AppError("INVALID_ARGUMENT", `The script gave ${list.length} messages, expected at most ${MESSAGES_MAX}`);
  }
  return list.map((changed) => {
    if (!isObject(changed)) {
      throw new AppError("INVALID_ARGUMENT", "The script gave no object with msg, metadata and msgType");
    }
    const { msg, metadata, msgType } = changed;
    if ((msgType ?? null) !== null && typeof msgType !== "string") {
      throw new AppError("INVALID_ARGUMENT", "The script gave a msgType that is no text");
    }
    return {
      ...message,
      type: typeof msgType === "string" ? msgType : message.type,
      data: (msg ?? null) === null ? message.data : JSON.stringify(msg),
      metadata: isObject(metadata) ? textsOf(metadata) : message.metadata,
    };
  });
}

function textsOf(values: Readonly<Record<string, Json>>): Readonly<Record<string, string>> {
  const texts = Object.entries(values).flatMap(([key, value]) => (value === null ? [] : [[key, textOfValue(value)]]));
  return Object.fromEntries(texts) as Record<string, string>;
}
