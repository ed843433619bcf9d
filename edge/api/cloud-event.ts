import * as z from "zod";
import type { Uuid } from "../../shared/core/ids.ts";
import { uuidFromBytes } from "../../shared/core/ids.ts";
import type { SeqRange } from "../../shared/core/seq-range.ts";
import { includesRange, unionOf } from "../../shared/core/seq-range.ts";
import { entityIdSchema, restId } from "../../shared/entities/fields.ts";
import type { UplinkLane } from "../../shared/sync/lanes.ts";

/** A row of the outbox as the list of events shows it: an item of the config lane, or a record batch of the telemetry lane. */
export interface CloudEvent {
  readonly lane: UplinkLane;
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly createdMs: number;
  /** By the REST convention, e.g. ADDED, TIMESERIES_UPDATED. */
  readonly action: string;
  /** Null for a record batch, which is of many entities. */
  readonly entityType: string | null;
  readonly entityId: Uuid | null;
  /** Range of measurement times; null in the config lane. */
  readonly tsMinMs: number | null;
  readonly tsMaxMs: number | null;
  /** What the cloud refused of it for good; null: nothing. */
  readonly refused: { readonly items: number; readonly code: string; readonly text: string } | null;
}

/** How far a lane is. */
export interface LanePosition {
  /** On its way to the cloud. */
  readonly inFlight: readonly SeqRange[];
  /** Committed by the cloud. */
  readonly committed: readonly SeqRange[];
}

export const CLOUD_EVENT_STATES = ["queued", "sent", "transferred", "failed"] as const;

/**
 * queued: waits for the link; sent: on its way, not committed by the cloud; transferred: committed by the cloud;
 * failed: the cloud refused it, or a part of it, for good.
 */
export type CloudEventState = (typeof CLOUD_EVENT_STATES)[number];

const batchBodySchema = z
  .object({
    count: z.int().meta({ description: "Records in the batch, one per message" }),
    firstSeq: z.int(),
    lastSeq: z.int(),
    startTs: z.int().nullable(),
    endTs: z.int().nullable(),
    refused: z.int().meta({ description: "Records that the cloud refused for good" }),
  })
  .meta({ id: "RecordBatch" });

export const cloudEventSchema = z
  .object({
    id: z.object({ id: z.uuid() }),
    createdTime: z.int(),
    seqId: z.int(),
    tenantId: entityIdSchema,
    action: z.string(),
    entityId: z.uuid().nullable(),
    type: z.string(),
    entityBody: batchBodySchema.nullable(),
    state: z.enum(CLOUD_EVENT_STATES),
    reason: z.string().nullable(),
  })
  .meta({ id: "CloudEvent" });

export type RestCloudEvent = z.output<typeof cloudEventSchema>;

export function cloudEventToRest(event: CloudEvent, position: LanePosition, tenantId: Uuid): RestCloudEvent {
  return {
    id: { id: eventId(event) },
    createdTime: event.createdMs,
    seqId: event.firstSeq,
    tenantId: restId("TENANT", tenantId),
    action: event.action,
    entityId: event.entityId,
    // Telemetry comes from devices; the convention has no word for several.
    type: event.entityType ?? "DEVICE",
    entityBody: event.lane === "config" ? null : batchBody(event),
    state: cloudEventState(event, position),
    reason: refusalText(event),
  };
}

export function cloudEventState(
  event: Pick<CloudEvent, "firstSeq" | "lastSeq" | "refused">,
  position: LanePosition,
): CloudEventState {
  if (event.refused !== null) return "failed";
  const range = { first: event.firstSeq, last: event.lastSeq };
  if (includesRange(position.committed, range)) return "transferred";
  return includesRange(unionOf([...position.committed, ...position.inFlight]), range) ? "sent" : "queued";
}

function refusalText({ refused, firstSeq, lastSeq }: CloudEvent): string | null {
  if (refused === null) return null;
  const count = lastSeq - firstSeq + 1;
  const part = count === 1 ? "" : `${refused.items} of ${count} records: `;
  return `${part}${refused.code}: ${refused.text}`;
}

function batchBody({ firstSeq, lastSeq, tsMinMs, tsMaxMs, refused }: CloudEvent): z.output<typeof batchBodySchema> {
  const count = lastSeq - firstSeq + 1;
  return { count, firstSeq, lastSeq, startTs: tsMinMs, endTs: tsMaxMs, refused: refused?.items ?? 0 };
}

/** A version 8 uuid (RFC 9562) out of time, lane and sequence: events have no id of their own, and clients want one that stays. */
function eventId({ createdMs, lane, firstSeq }: CloudEvent): Uuid {
  const bytes = new Uint8Array(16);
  writeInteger(bytes, createdMs, { end: 6, length: 6 });
  bytes[6] = 0x80;
  bytes[7] = lane === "config" ? 1 : 2;
  writeInteger(bytes, firstSeq, { end: 16, length: 7 });
  bytes[8] = 0x80;
  return uuidFromBytes(bytes);
}

function writeInteger(
  bytes: Uint8Array,
  value: number,
  { end, length }: { readonly end: number; readonly length: number },
): void {
  let rest = value;
  for (let index = end - 1; index >= end - length; index -= 1) {
    bytes[index] = rest % 256;
    rest = Math.floor(rest / 256);
  }
}
