import type { Json } from "../../entities/entity-record.ts";
import { isObject, parseData, textOfValue, type ChainMessage } from "./message.ts";

const PATTERN = /\$\{([^}]{1,255})\}|\$\[([^\]]{1,255})\]/g;

/**
 * Fills `${key}` from the metadata and `$[key]` from the payload, in which dots lead into objects; what is not there stays as it is.
 *
 * @example fillPattern("Room ${name}", message) // "Room 101"
 */
export function fillPattern(pattern: string, message: ChainMessage): string {
  if (!pattern.includes("$")) return pattern;
  return pattern.replaceAll(PATTERN, (whole: string, metadataKey?: string, dataPath?: string) => {
    if (metadataKey !== undefined) return message.metadata[metadataKey] ?? whole;
    const value = dataPath === undefined ? undefined : valueAt(message, dataPath);
    return value === undefined || value === null || typeof value === "object" ? whole : textOfValue(value);
  });
}

function valueAt(message: ChainMessage, path: string): Json | undefined {
  let value: Json | undefined = message.data === "" ? undefined : parseData(message);
  if (isObject(value) && value[path] !== undefined) return value[path];
  for (const key of path.split(".")) value = isObject(value) ? value[key] : undefined;
  return value;
}
