import * as z from "zod";
import { defineNode, succeed } from "../node-kind.ts";
import { chosenScript, compileScript, scriptMembers } from "../scripts.ts";

const TEXT_LENGTH_MAX = 10_000;

/** A line in the log; without a script of its own it tells message and metadata. */
export const logMessage = defineNode({
  type: "action.TbLogNode",
  config: z.object(scriptMembers),
  make: async (config, tools) => {
    const source = chosenScript(config);
    const script = source === null ? null : await compileScript(source, tools);
    return {
      handle: async (message, { node }) => {
        const { type, data, metadata } = message;
        const result =
          script === null ? `${type} ${data} ${JSON.stringify(metadata)}` : ((await script.run(message)) ?? "");
        const text = typeof result === "string" ? result : JSON.stringify(result);
        return succeed(message, [{ kind: "log", node, text: text.slice(0, TEXT_LENGTH_MAX) }]);
      },
    };
  },
});
