import * as z from "zod";
import { AppError } from "../../../core/errors.ts";
import { defineNode, tell } from "../node-kind.ts";
import { chosenScript, compileScript, scriptMembers } from "../scripts.ts";

export const scriptFilter = defineNode({
  type: "filter.TbJsFilterNode",
  config: z.object(scriptMembers),
  make: async (config, tools) => {
    const script = await compileScript(chosenScript(config), tools);
    return {
      handle: async (message) => {
        const result = await script.run(message);
        if (typeof result !== "boolean") {
          throw new AppError("INVALID_ARGUMENT", `The script gave ${typeof result}, expected true or false`);
        }
        return tell(result ? "True" : "False", message);
      },
    };
  },
});
