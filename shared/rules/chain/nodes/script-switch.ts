import * as z from "zod";
import { AppError } from "../../../core/errors.ts";
import { defineNode } from "../node-kind.ts";
import { chosenScript, compileScript, scriptMembers } from "../scripts.ts";

const LABELS_MAX = 50;
const labels = z.array(z.string().max(255)).max(LABELS_MAX);

export const scriptSwitch = defineNode({
  type: "filter.TbJsSwitchNode",
  config: z.object(scriptMembers),
  make: async (config, tools) => {
    const script = await compileScript(chosenScript(config), tools);
    return {
      handle: async (message) => {
        const result = await script.run(message);
        const given = labels.safeParse(typeof result === "string" ? [result] : result);
        if (!given.success) {
          throw new AppError("INVALID_ARGUMENT", `The script gave no list of at most ${LABELS_MAX} labels`);
        }
        return { emissions: [...new Set(given.data)].map((label) => ({ label, message })) };
      },
    };
  },
});
