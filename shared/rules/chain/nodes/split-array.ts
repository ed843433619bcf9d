import * as z from "zod";
import { AppError } from "../../../core/errors.ts";
import type { Json } from "../../../entities/entity-record.ts";
import { parseData } from "../message.ts";
import { defineNode, succeed, SUCCESS } from "../node-kind.ts";

const ELEMENTS_MAX = 500;

/** A message for each element of a payload that is a list. */
export const splitArray = defineNode({
  type: "transform.TbSplitArrayMsgNode",
  config: z.unknown(),
  make: () => ({
    handle: (message) => {
      const data = parseData(message);
      if (!Array.isArray(data)) return succeed(message);
      const elements = data as readonly Json[];
      if (elements.length > ELEMENTS_MAX) {
        throw new AppError(
          "INVALID_PAYLOAD",
          `The list has ${elements.length} elements, expected at most ${ELEMENTS_MAX}`,
        );
      }
      return {
        emissions: elements.map((element) => ({
          label: SUCCESS,
          message: { ...message, data: JSON.stringify(element) },
        })),
      };
    },
  }),
});
