import * as z from "zod";
import { isObject, parseData } from "../message.ts";
import { defineNode, tell } from "../node-kind.ts";

const names = z.array(z.string()).nullish();

/** Whether the payload and the metadata have certain keys. */
export const checkFields = defineNode({
  type: "filter.TbCheckMessageNode",
  config: z.object({ messageNames: names, metadataNames: names, checkAllKeys: z.boolean().nullish() }),
  make: ({ messageNames, metadataNames, checkAllKeys }) => ({
    handle: (message) => {
      const data = parseData(message);
      const found = [
        ...(messageNames ?? []).map((name) => isObject(data) && (data[name] ?? null) !== null),
        ...(metadataNames ?? []).map((name) => message.metadata[name] !== undefined),
      ];
      return tell(
        (checkAllKeys ?? true) ? (found.every(Boolean) ? "True" : "False") : found.some(Boolean) ? "True" : "False",
        message,
      );
    },
  }),
});
