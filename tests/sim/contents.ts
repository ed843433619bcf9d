import type { Rejection } from "../../shared/sync/frames.ts";
import type { ItemTag } from "../../shared/wire/item-tag.ts";

// What simulated items carry: one or more 32-bit numbers each, so that payloads have bytes and content can be compared.

export function encodeNumbers(numbers: readonly number[]): Uint8Array {
  return new Uint8Array(Int32Array.from(numbers).buffer);
}

export function decodeNumbers(payload: Uint8Array): readonly number[] {
  return [...new Int32Array(payload.buffer, payload.byteOffset, payload.length / 4)];
}

/** The content of an item stands for its tag. Null: all were removed. */
export function tagOfContents(contents: readonly number[]): ItemTag | null {
  const offset = contents.findLastIndex((content) => content !== REMOVED);
  return offset < 0 ? null : { offset, tag: String(contents[offset]) };
}

/** Devices of one edge database. */
export const DEVICES_MAX = 60;

const DEVICE_SPAN = 64;

/** A telemetry record: which one, and of which device. */
export function recordContent(record: number, device: number): number {
  return record * DEVICE_SPAN + device;
}

export function deviceOfRecord(content: number): number {
  return content % DEVICE_SPAN;
}

/** Records that the cloud refuses for good. */
export function isRefusedRecord(content: number): boolean {
  return Math.floor(content / DEVICE_SPAN) % 13 === 0;
}

/** What the simulated receivers say of it. */
export function refuse(seq: number): Rejection {
  return { seq, code: "INVALID_ARGUMENT", text: "refused", version: "sim" };
}

/** Small, so that what one lost acknowledgement held takes several. */
export const REJECTIONS_PER_ACK = 2;

/** Stands where a record was that the edge removed to make room. */
export const REMOVED = -1;

/** A config item makes a device, changes one, is one that the cloud refuses, tells of removed records, or changes one so much that it travels in chunks. */
export type ConfigKind = "create" | "update" | "refused" | "gap" | "large";

const KINDS: readonly ConfigKind[] = ["create", "update", "refused", "gap", "large"];

export function configContent(kind: ConfigKind, device: number, number: number): number {
  return (number * KINDS.length + KINDS.indexOf(kind)) * DEVICE_SPAN + device;
}

export function readConfigContent(content: number): { readonly kind: ConfigKind; readonly device: number } {
  const kind = KINDS[Math.floor(content / DEVICE_SPAN) % KINDS.length];
  return { kind: kind ?? "update", device: content % DEVICE_SPAN };
}

/** Numbers per downlink item: its row, its entity, the entity's version when it was read. */
export const DOWNLINK_NUMBERS = 3;

/** Entities whose state travels in chunks. */
export function isLargeEntity(entity: number): boolean {
  return entity % 12 === 0;
}

/** Which content the state of a large entity is. */
export function entityContent(entity: number, version: number): number {
  return version * 16 + entity;
}

/** Rows that edges refuse for good. */
export function isRefusedDownlink(row: number): boolean {
  return row % 17 === 0;
}
