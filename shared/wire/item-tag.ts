import { sha256Hex } from "../core/hash.ts";
import type { SentItem } from "../entities/change.ts";
import type { TelemetryColumns } from "../entities/telemetry-columns.ts";
import type { UplinkLane } from "../sync/lanes.ts";
import { decodeItems } from "./changes-codec.ts";
import { decodeTelemetry } from "./telemetry-codec.ts";

// What an item of the uplink was, in short: a sequence number alone does not tell two histories apart that both used it, as when a
// database was set back to a backup and written on. Both ends make the tag from the item itself.

/** The tag of one item of a batch. */
export interface ItemTag {
  /** Of its sequence from the first one of the batch. */
  readonly offset: number;
  readonly tag: string;
}

/** Of the last item of the config lane that every version reads alike; null: there is none. The time of its commit is to the ms. */
export function tagOfItems(items: readonly SentItem[]): ItemTag | null {
  const offset = items.findLastIndex(({ unknown }) => unknown === 0);
  const item = items[offset];
  if (item === undefined) return null;
  const what = item.changes.map(({ kind, entity }) => `${kind} ${entity.id}`).join(" ");
  return { offset, tag: `${item.changedMs} ${sha256Hex(what).slice(0, TAG_DIGITS)}` };
}

/** Of the last record that was not removed on the edge; null: all were. */
export function tagOfRecords({ entityIds, entityIndex, sparse, tsMs, values }: TelemetryColumns): ItemTag | null {
  const last = tsMs.length - 1;
  const timeMs = tsMs[last];
  if (timeMs === undefined) return null;
  const entityId = entityIds[entityIndex[last] ?? 0] ?? "";
  const line = values.slice(values.lastIndexOf("\n") + 1);
  const tag = `${timeMs} ${sha256Hex(`${entityId} ${line}`).slice(0, TAG_DIGITS)}`;
  return { offset: sparse?.offsets[last] ?? last, tag };
}

/** Of the single item in an uncompressed payload of a lane; null: it has none. */
export function tagOfPayload(lane: UplinkLane, payload: Uint8Array): string | null {
  const tag = lane === "telemetry" ? tagOfRecords(decodeTelemetry(payload, 1)) : tagOfItems(decodeItems(payload, 1));
  return tag?.tag ?? null;
}

const TAG_DIGITS = 32;
