import * as z from "zod";
import type { Json } from "../../entities/entity-record.ts";
import { objectData, textOfValue, type ChainMessage } from "./message.ts";

/** Where nodes put what they find; `fetchToData` is the older form. */
export const fetchToMembers = {
  fetchTo: z.enum(["DATA", "METADATA"]).nullish(),
  fetchToData: z.boolean().nullish(),
};

type FetchTo = z.output<z.ZodObject<typeof fetchToMembers>>;

/** @throws AppError INVALID_PAYLOAD when values are put into a payload that is no object */
export function enriched(
  message: ChainMessage,
  values: ReadonlyMap<string, Json>,
  { fetchTo, fetchToData }: FetchTo,
): ChainMessage {
  const target = fetchTo ?? ((fetchToData ?? false) ? "DATA" : "METADATA");
  if (target === "DATA") {
    return { ...message, data: JSON.stringify({ ...objectData(message), ...Object.fromEntries(values) }) };
  }
  const texts = Array.from(values, ([key, value]) => [key, textOfValue(value)] as const);
  return { ...message, metadata: { ...message.metadata, ...Object.fromEntries(texts) } };
}
