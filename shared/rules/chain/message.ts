import { AppError } from "../../core/errors.ts";
import { createUuid, type Uuid } from "../../core/ids.ts";
import type { Random } from "../../core/random.ts";
import type { EntityRef } from "../../entities/change.ts";
import type { Json } from "../../entities/entity-record.ts";

/** A node of a chain, as others name it. */
export interface NodeRef {
  readonly chainId: Uuid;
  readonly nodeId: Uuid;
}

/** What goes through a chain. */
export interface ChainMessage {
  readonly id: Uuid;
  readonly type: string;
  readonly originator: EntityRef;
  /** When it came, ms since 1970 UTC; `ts` of the metadata is the time that it is about. */
  readonly tsMs: number;
  /** JSON text: numbers keep their digits until a node changes them. */
  readonly data: string;
  readonly metadata: Readonly<Record<string, string>>;
  /** Nodes that handed it to the chain that it is in, the last one last. */
  readonly callers: readonly NodeRef[];
}

export type JsonObject = { readonly [key: string]: Json };

/** The time that the message is about: `ts` of its metadata, else when it came. */
export function timeOf({ metadata, tsMs }: ChainMessage): number {
  const text = metadata["ts"] ?? "";
  return /^\d{1,15}$/.test(text) ? Number(text) : tsMs;
}

/** @throws AppError INVALID_PAYLOAD for what is no JSON */
export function parseData({ data }: Pick<ChainMessage, "data">): Json {
  try {
    return JSON.parse(data) as Json;
  } catch (cause) {
    throw new AppError("INVALID_PAYLOAD", "The payload of the message is no JSON", { cause });
  }
}

/** @throws AppError INVALID_PAYLOAD for anything but an object */
export function objectData(message: Pick<ChainMessage, "data">): JsonObject {
  const data = parseData(message);
  if (!isObject(data)) throw new AppError("INVALID_PAYLOAD", "The payload of the message is no JSON object");
  return data;
}

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A value as metadata and patterns have it: text as it is, anything else as JSON. */
export function textOfValue(value: Json): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** A message that a node makes by itself. */
export function derivedMessage(
  { type, originator, data }: Pick<ChainMessage, "type" | "originator" | "data">,
  { nowMs, random, metadata }: { readonly nowMs: number; readonly random: Random } & Pick<ChainMessage, "metadata">,
): ChainMessage {
  const id = createUuid({ nowMs: () => nowMs }, random);
  return { id, type, originator, tsMs: nowMs, data, metadata, callers: [] };
}
