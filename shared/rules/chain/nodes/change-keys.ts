import * as z from "zod";
import { AppError } from "../../../core/errors.ts";
import type { Json } from "../../../entities/entity-record.ts";
import { objectData, textOfValue, type ChainMessage } from "../message.ts";
import { defineNode, succeed } from "../node-kind.ts";

// Renames, copies and deletes keys of the payload (DATA) or the metadata.

const source = z.enum(["DATA", "METADATA"]).nullish();
const keys = z.array(z.string().max(255)).max(1_000);

export const renameKeys = defineNode({
  type: "transform.TbRenameKeysNode",
  config: z.object({ renameIn: source, renameKeysMapping: z.record(z.string(), z.string()) }),
  make: ({ renameIn, renameKeysMapping }) => {
    const renamed = <Value>(values: Readonly<Record<string, Value>>): Record<string, Value> => {
      const result = { ...values };
      for (const [from, to] of Object.entries(renameKeysMapping)) {
        const value = result[from];
        if (value === undefined) continue;
        delete result[from];
        result[to] = value;
      }
      return result;
    };
    return {
      handle: (message) =>
        succeed(
          renameIn === "METADATA"
            ? { ...message, metadata: renamed(message.metadata) }
            : withData(message, renamed(objectData(message))),
        ),
    };
  },
});

export const copyKeys = defineNode({
  type: "transform.TbCopyKeysNode",
  config: z.object({ copyFrom: source, keys }),
  make: ({ copyFrom, keys: patterns }) => {
    const matches = keyMatcher(patterns);
    return {
      handle: (message) => {
        const data = objectData(message);
        if (copyFrom === "METADATA") {
          const copied = Object.entries(message.metadata).filter(([key]) => matches(key));
          return succeed(copied.length === 0 ? message : withData(message, { ...data, ...Object.fromEntries(copied) }));
        }
        const copied = Object.entries(data).flatMap(([key, value]) =>
          matches(key) ? [[key, textOfValue(value)] as const] : [],
        );
        return succeed({ ...message, metadata: { ...message.metadata, ...Object.fromEntries(copied) } });
      },
    };
  },
});

export const deleteKeys = defineNode({
  type: "transform.TbDeleteKeysNode",
  config: z.object({ deleteFrom: source, keys }),
  make: ({ deleteFrom, keys: patterns }) => {
    const matches = keyMatcher(patterns);
    const kept = <Value>(values: Readonly<Record<string, Value>>): Record<string, Value> =>
      Object.fromEntries(Object.entries(values).filter(([key]) => !matches(key)));
    return {
      handle: (message) =>
        succeed(
          deleteFrom === "METADATA"
            ? { ...message, metadata: kept(message.metadata) }
            : withData(message, kept(objectData(message))),
        ),
    };
  },
});

function withData(message: ChainMessage, data: Readonly<Record<string, Json>>): ChainMessage {
  return { ...message, data: JSON.stringify(data) };
}

/** Keys are regular expressions that match the whole key. */
function keyMatcher(patterns: readonly string[]): (key: string) => boolean {
  const expressions = patterns.map((pattern) => {
    try {
      return new RegExp(`^(?:${pattern})$`);
    } catch (cause) {
      throw new AppError("INVALID_ARGUMENT", `Key ${pattern} is no regular expression`, { cause });
    }
  });
  return (key) => expressions.some((expression) => expression.test(key));
}
