import type { Clock } from "../../shared/core/clock.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { Change } from "../../shared/entities/change.ts";
import type { TelemetryColumns } from "../../shared/entities/telemetry-columns.ts";
import type { BlobStore } from "../../shared/store/blob-store.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import { encodeItems } from "../../shared/wire/changes-codec.ts";
import { compress } from "../../shared/wire/compression.ts";
import { takeOutLarge } from "../../shared/wire/large-changes.ts";
import { encodeTelemetry } from "../../shared/wire/telemetry-codec.ts";
import { eventAction } from "./event-action.ts";
import { cloudEvent, outboxBlob } from "./schema.ts";

// The rows of cloud_event, as the group commit writes them.

/** Where in the outbox a record batch goes. */
export interface EventPlace {
  readonly firstSeq: number;
  /** The last config sequence before it that made an entity: telemetry waits for no item that only changes one, however large. */
  readonly configSeq: number;
  readonly nowMs: number;
}

/** With the parameters of `telemetryEvent`. */
export const WRITE_TELEMETRY_EVENT = `
  insert into cloud_event (lane, first_seq, last_seq, created_ms, action, config_seq, ts_min_ms, ts_max_ms, compression, payload)
  values ('telemetry', $1, $2, $3, 'TIMESERIES_UPDATED', $4, $5, $6, $7, $8)`;

/** first_seq … payload of the row that carries these records. */
export function telemetryEvent(
  columns: TelemetryColumns,
  { firstSeq, configSeq, nowMs }: EventPlace,
): readonly (string | number | Uint8Array)[] {
  const { compression, payload } = compress(encodeTelemetry(columns));
  let tsMinMs = Infinity;
  let tsMaxMs = -Infinity;
  for (const tsMs of columns.tsMs) {
    if (tsMs < tsMinMs) tsMinMs = tsMs;
    if (tsMs > tsMaxMs) tsMaxMs = tsMs;
  }
  const lastSeq = firstSeq + columns.tsMs.length - 1;
  return [firstSeq, lastSeq, Math.round(nowMs), configSeq, tsMinMs, tsMaxMs, compression, payload];
}

export interface ConfigRowDeps {
  readonly blobs: Pick<BlobStore, "put">;
  readonly clock: Clock;
}

interface ConfigRows {
  readonly changes: readonly Change[];
  readonly firstSeq: number;
  /** Rules by which this edge tells of alarms itself. @default none */
  readonly toldByRules?: readonly Uuid[];
}

export interface WrittenConfig {
  /** The sequence behind the last row. */
  readonly nextSeq: number;
  /** The last row that made an entity; null: none did. */
  readonly madeSeq: number | null;
}

/** A row per change; gaps share one. Large changes go to the contents. */
export async function insertConfigEvents(
  tx: Queryable,
  { blobs, clock }: ConfigRowDeps,
  { changes, firstSeq, toldByRules = [] }: ConfigRows,
): Promise<WrittenConfig> {
  const changedMs = Math.round(clock.nowMs());
  const rows: (typeof cloudEvent.$inferInsert)[] = [];
  for (const item of itemsOf(changes)) {
    const seq = firstSeq + rows.length;
    const told = item.first.kind === "alarm-saved" && toldByRules.length > 0 ? { toldByRules } : {};
    const sent = await takeOutLarge(item.changes, (content) => blobs.put(tx, content));
    const named = sent.blobs.map(({ sha256, bytes }) => ({ lane: "config", seq, sha256, totalBytes: bytes }));
    if (named.length > 0) await tx.insert(outboxBlob).values(named);
    rows.push({
      lane: "config",
      firstSeq: seq,
      lastSeq: seq,
      createdMs: changedMs,
      entityType: item.first.entity.type,
      entityId: item.changes.length === 1 ? item.first.entity.id : null,
      action: eventAction(item.first),
      configSeq: 0,
      ...compress(encodeItems([{ changedMs, changes: sent.changes, ...told }])),
    });
  }
  if (rows.length > 0) await tx.insert(cloudEvent).values(rows);
  const made = rows.findLast(({ action }) => action === "ADDED");
  return { nextSeq: firstSeq + rows.length, madeSeq: made?.firstSeq ?? null };
}

interface ItemChanges {
  readonly first: Change;
  readonly changes: readonly Change[];
}

/** An item per change; gaps, of which one removal may leave thousands, share one. */
function itemsOf(changes: readonly Change[]): readonly ItemChanges[] {
  const gaps = changes.filter(({ kind }) => kind === "telemetry-gap");
  const [firstGap] = gaps;
  const others = changes
    .filter(({ kind }) => kind !== "telemetry-gap")
    .map((change) => ({ first: change, changes: [change] }));
  return firstGap === undefined ? others : [...others, { first: firstGap, changes: gaps }];
}
