import { admitMachine, CONFLICT_RETRY_MS } from "../../cloud/store/edge-identity.ts";
import type { BlobRef } from "../../shared/core/blob-ref.ts";
import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { uuidFromBytes } from "../../shared/core/ids.ts";
import type { SeqRange } from "../../shared/core/seq-range.ts";
import { addRange, gapsBelow, overlaps, prefixEnd, rangesAbove, unionOf } from "../../shared/core/seq-range.ts";
import { inOrderFrom, planTelemetry } from "../../shared/sync/course.ts";
import type { RoundCounts } from "../../shared/sync/digest-round.ts";
import { compareEntries } from "../../shared/sync/digest.ts";
import type {
  Ack,
  BacklogOrder,
  Batch,
  Entries,
  Hello,
  LaneCourse,
  LaneOffer,
  LaneTag,
  Rejection,
} from "../../shared/sync/frames.ts";
import { lastSeqOf } from "../../shared/sync/frames.ts";
import type { UplinkLane } from "../../shared/sync/lanes.ts";
import { createMissedAcks } from "../../shared/sync/rejections.ts";
import type { OutgoingBatch } from "../../shared/sync/sender.ts";
import type { LoadRequest } from "../../shared/sync/session-driver.ts";
import type { ItemTag } from "../../shared/wire/item-tag.ts";
import { SimBlobs } from "./blobs.ts";
import type { Checker } from "./checker.ts";
import { Violation } from "./checker.ts";
import {
  decodeNumbers,
  deviceOfRecord,
  DOWNLINK_NUMBERS,
  encodeNumbers,
  entityContent,
  isLargeEntity,
  isRefusedRecord,
  readConfigContent,
  refuse,
  REJECTIONS_PER_ACK,
  REMOVED,
  tagOfContents,
} from "./contents.ts";
import { entriesIn, entityOf } from "./digests.ts";

// The database of the cloud as the protocol sees it, with one edge: cloud/store/edge-session-store.ts, uplink-apply.ts and
// downlink-store.ts without SQL. Each method is one transaction.

export interface UplinkSource {
  readonly storeId: Uuid;
  readonly session: number;
  readonly lane: UplinkLane;
}

interface Uplink {
  committed: readonly SeqRange[];
  session: number;
  /** Of the newest sequence whose tag is known. */
  tag: string | null;
  tagSeq: number;
}

interface DownlinkRow {
  readonly row: number;
  readonly entity: number;
}

interface Backup {
  readonly session: number;
  readonly storeId: Uuid | null;
  readonly downlinkLast: number;
  readonly downlinkAcked: number;
  readonly uplinks: Map<string, Uplink>;
  readonly rejections: Map<string, ReadonlyMap<number, Rejection>>;
  readonly failed: Set<number>;
  readonly coveredUpTo: number;
  readonly events: Map<number, DownlinkRow>;
  readonly entities: Map<number, number>;
  readonly devices: Set<string>;
  readonly applied: Map<string, number[]>;
}

export class SimCloudStore {
  readonly cloudId: Uuid;
  session = 0;
  storeId: Uuid | null = null;
  downlinkLast = 0;
  downlinkAcked = 0;
  /** It may have forgotten what the edge refused, and the edge, which told it once, as well. */
  wasSetBack = false;
  machine: { machineId: Uuid | null; displacedMachines: readonly string[] } = {
    machineId: null,
    displacedMachines: [],
  };
  /** When the newest session began. */
  connectedMs = 0;
  /** When the newest session ended; null while it lives. */
  disconnectedMs: number | null = 0;
  /** Downlinks that the edge refused. */
  failed = new Set<number>();
  /** A full sync covers what was refused up to here. */
  coveredUpTo = 0;
  readonly blobs = new SimBlobs();
  /** Version of each entity. */
  entities = new Map<number, number>();
  #uplinks = new Map<string, Uplink>();
  #rejections = new Map<string, ReadonlyMap<number, Rejection>>();
  #events = new Map<number, DownlinkRow>();
  #devices = new Set<string>();
  /** Sequence of each row that was ever written, in any life of this database. */
  readonly #rowSeqs: number[] = [];
  readonly #checker: Checker;

  constructor(cloudId: Uuid, checker: Checker) {
    this.cloudId = cloudId;
    this.#checker = checker;
  }

  backup(): Backup {
    return {
      session: this.session,
      storeId: this.storeId,
      downlinkLast: this.downlinkLast,
      downlinkAcked: this.downlinkAcked,
      uplinks: new Map([...this.#uplinks].map(([key, uplink]) => [key, { ...uplink }])),
      rejections: new Map(this.#rejections),
      failed: new Set(this.failed),
      coveredUpTo: this.coveredUpTo,
      events: new Map(this.#events),
      entities: new Map(this.entities),
      devices: new Set(this.#devices),
      applied: new Map([...this.#checker.books()].map(([key, { applied }]) => [key, [...applied]])),
    };
  }

  restore(backup: Backup): void {
    this.wasSetBack = true;
    this.blobs.loseParts(0);
    this.session = backup.session;
    this.storeId = backup.storeId;
    this.downlinkLast = backup.downlinkLast;
    this.downlinkAcked = backup.downlinkAcked;
    this.#uplinks = backup.uplinks;
    this.#rejections = backup.rejections;
    this.failed = backup.failed;
    this.coveredUpTo = backup.coveredUpTo;
    this.#events = backup.events;
    this.entities = backup.entities;
    this.#devices = backup.devices;
    for (const [key, book] of this.#checker.books()) book.applied = backup.applied.get(key) ?? [];
  }

  committed(storeId: Uuid, lane: UplinkLane): readonly SeqRange[] {
    return this.#uplinks.get(`${storeId} ${lane}`)?.committed ?? [];
  }

  /** A change that the edge has to hear of. */
  writeEntity(entity: number): void {
    this.entities.set(entity, (this.entities.get(entity) ?? 0) + 1);
    this.#record(entity);
  }

  openSession(
    hello: Hello,
    nowMs: number,
  ): {
    readonly session: number;
    readonly courses: readonly LaneCourse[];
    readonly tags: readonly LaneTag[];
    readonly missedAcks: readonly Ack[];
    readonly downlinkResume: number;
    readonly downlinkAcked: number;
  } {
    const machine = this.admit(hello, nowMs);
    // All or nothing: a refusal leaves the session before in its place.
    for (const offer of hello.lanes) this.guardOffer(hello.storeId, offer);
    this.machine = machine;
    this.connectedMs = nowMs;
    this.disconnectedMs = null;
    const session = this.session + 1;
    for (const uplink of this.#uplinks.values()) uplink.session = session;
    const courses = hello.lanes.flatMap((offer) => {
      const committed = this.#openLane(hello.storeId, session, offer);
      return offer.lane === "telemetry"
        ? this.planTelemetry(committed, offer.nextSeq, hello.backlogOrder)
        : [{ lane: offer.lane, course: inOrderFrom(prefixEnd(committed) + 1) }];
    });
    const tags = hello.lanes.flatMap(({ lane }) => this.#tagOf(hello.storeId, lane));
    const { seq, fullSync } = this.resumeDownlinks(hello);
    this.session = session;
    this.storeId = hello.storeId;
    this.downlinkLast = Math.max(this.downlinkLast, seq);
    this.downlinkAcked = fullSync ? seq : this.heardUpTo(seq);
    if (fullSync) {
      this.coveredUpTo = seq;
      for (const entity of this.entities.keys()) this.#record(entity);
    }
    const missedAcks = hello.lanes.flatMap(({ lane, ackedSeq }) => this.#recall(hello.storeId, lane, ackedSeq));
    return { session, courses, tags, missedAcks, downlinkResume: seq, downlinkAcked: this.downlinkAcked };
  }

  /** @throws AppError IDENTITY_CONFLICT */
  admit(hello: Hello, nowMs: number): SimCloudStore["machine"] {
    const { connectedMs, disconnectedMs } = this;
    const replicaId = disconnectedMs === null ? this.cloudId : null;
    const machine = admitMachine({ ...this.machine, replicaId, connectedMs, disconnectedMs }, hello.machineId, nowMs);
    if (machine === null)
      throw new AppError("IDENTITY_CONFLICT", "Another machine is there", { retryAfterMs: CONFLICT_RETRY_MS });
    return machine;
  }

  closeSession(session: number, nowMs: number): void {
    if (session === this.session) this.disconnectedMs = nowMs;
  }

  /** What the edge refused beyond is not known here yet. */
  heardUpTo(resume: number): number {
    return Math.min(this.downlinkAcked, resume);
  }

  planTelemetry(committed: readonly SeqRange[], nextSeq: number, order: BacklogOrder): readonly LaneCourse[] {
    return planTelemetry({ committed, nextSeq, order });
  }

  guardOffer(storeId: Uuid, { lane, nextSeq }: LaneOffer): void {
    if ((this.committed(storeId, lane).at(-1)?.last ?? 0) >= nextSeq)
      throw new AppError("STORE_MISMATCH", `Lane ${lane} goes on at ${nextSeq}`);
  }

  resumeDownlinks(hello: Hello): { readonly seq: number; readonly fullSync: boolean } {
    const { downlinkLast, storeId } = this;
    if (storeId === null && hello.cloudId === null) return { seq: 0, fullSync: false };
    if (storeId !== hello.storeId || hello.cloudId !== this.cloudId) {
      // Never below what the edge applied of this very cloud: should the Welcome be lost, its next Hello would skip what is written now.
      const seq = hello.cloudId === this.cloudId ? Math.max(downlinkLast, hello.downlinkApplied) : downlinkLast;
      return { seq, fullSync: true };
    }
    const { downlinkApplied, downlinkTag } = hello;
    if (downlinkApplied > downlinkLast) return { seq: downlinkApplied, fullSync: true };
    const applied = this.#events.get(downlinkApplied);
    if (downlinkTag !== null && applied !== undefined && rowTag(applied.row) !== downlinkTag)
      return { seq: downlinkLast, fullSync: true };
    for (let seq = downlinkApplied + 1; seq <= downlinkLast; seq += 1)
      if (!this.#events.has(seq)) return { seq: downlinkLast, fullSync: true };
    return { seq: downlinkApplied, fullSync: false };
  }

  /** As cloud/store/reconcile-store.ts. */
  repair({ entries, downlinkApplied, busyIds, buckets }: Entries): RoundCounts {
    const found = compareEntries(entries, entriesIn(this.entities, buckets), new Set(busyIds));
    const underWay = new Set([...this.#events].flatMap(([seq, { entity }]) => (seq > downlinkApplied ? [entity] : [])));
    const counts = { missing: 0, stale: 0, surplus: 0, unknown: 0, lasting: 0 };
    for (const kind of ["missing", "stale", "surplus"] as const) {
      for (const { id } of found[kind]) {
        if (underWay.has(entityOf(id))) continue;
        this.#record(entityOf(id));
        counts[kind] += 1;
      }
    }
    return counts;
  }

  /** One transaction: what is committed and the effects. @returns the items refused for good */
  applyUplink(source: UplinkSource, batches: readonly Batch[]): readonly Rejection[] {
    const first = batches[0]?.firstSeq ?? 1;
    const last = batches.at(-1);
    const range = { first, last: last === undefined ? 0 : lastSeqOf(last) };
    this.guardUplink(source, range);
    if (source.session !== this.session)
      throw new Violation("fenced", `session ${source.session} wrote after ${this.session} began`);
    const rejections = batches.flatMap((batch) => this.applyEffects(source, batch));
    this.commitRange(source, range, tagOfContents(batches.flatMap(({ payload }) => decodeNumbers(payload))));
    this.keepRejections(source, rejections);
    return rejections;
  }

  guardUplink(source: UplinkSource, range: SeqRange): void {
    const uplink = this.#uplinks.get(`${source.storeId} ${source.lane}`);
    const isNext = source.lane === "telemetry" || prefixEnd(uplink?.committed ?? []) === range.first - 1;
    if (uplink?.session !== source.session || overlaps(uplink.committed, range) || !isNext)
      throw new AppError("SESSION_FENCED", "A newer session took over");
  }

  applyEffects({ storeId, lane }: UplinkSource, batch: Batch): readonly Rejection[] {
    const rejections: Rejection[] = [];
    const isWhole = this.#checker.book(storeId, "config").skipped.length === 0;
    for (const [index, content] of decodeNumbers(batch.payload).entries()) {
      const seq = batch.firstSeq + index;
      this.#checker.appliedUplink(storeId, lane, seq, content);
      if (content === REMOVED) continue;
      const { kind, device } =
        lane === "config" ? readConfigContent(content) : { kind: "telemetry", device: deviceOfRecord(content) };
      if (kind === "large" && !this.blobs.isWhole(content))
        throw new Violation("contents before items", `${lane} ${seq} names a content that is not here whole`);
      const key = `${storeId} ${device}`;
      if (kind === "create") this.#devices.add(key);
      else if (kind === "gap") continue;
      else if (kind === "refused") rejections.push(refuse(seq));
      else if (isWhole && !this.#devices.has(key)) {
        throw new Violation("config before telemetry", `${lane} ${seq} needs device ${device}, which was not made yet`);
      } else if (lane === "telemetry" && isRefusedRecord(content)) rejections.push(refuse(seq));
    }
    return rejections;
  }

  commitRange({ storeId, lane }: UplinkSource, range: SeqRange, tag: ItemTag | null): void {
    const uplink = this.#uplinks.get(`${storeId} ${lane}`);
    if (uplink !== undefined) {
      uplink.committed = addRange(uplink.committed, range);
      const tagSeq = tag === null ? 0 : range.first + tag.offset;
      if (tag !== null && tagSeq > uplink.tagSeq) Object.assign(uplink, { tag: tag.tag, tagSeq });
    }
    this.#checker.committed(storeId, lane, range);
  }

  /** Rows as they are, entities as they are now. */
  readDownlinks({ afterSeq, itemsMax, bytesMax }: Omit<LoadRequest, "lane">): {
    readonly batches: readonly OutgoingBatch[];
    readonly drained: boolean;
  } {
    const numbers: number[] = [];
    const blobs: BlobRef[] = [];
    for (let seq = afterSeq + 1; seq <= afterSeq + itemsMax && numbers.length * 4 < bytesMax; seq += 1) {
      const event = this.#events.get(seq);
      if (event === undefined) break;
      const version = this.entities.get(event.entity) ?? 0;
      const isLarge = isLargeEntity(event.entity);
      if (isLarge && numbers.length > 0) break;
      numbers.push(event.row, event.entity, version);
      if (!isLarge) continue;
      blobs.push(this.blobs.make(entityContent(event.entity, version)));
      break;
    }
    const count = numbers.length / DOWNLINK_NUMBERS;
    if (count === 0) return { batches: [], drained: true };
    const payload = encodeNumbers(numbers);
    const batch: OutgoingBatch = {
      type: "batch",
      lane: "downlink",
      firstSeq: afterSeq + 1,
      count,
      compression: "none",
      payload,
      configSeq: 0,
      blobs,
      tag: rowTag(this.#events.get(afterSeq + count)?.row ?? 0),
    };
    return { batches: [batch], drained: !this.#events.has(afterSeq + count + 1) };
  }

  /** Drops rows that were applied. */
  pruneEvents(): void {
    for (const seq of this.#events.keys()) if (seq <= this.downlinkAcked) this.#events.delete(seq);
  }

  settleDownlinks(session: number, seq: number, rejections: readonly Rejection[]): void {
    if (session !== this.session) throw new AppError("SESSION_FENCED", "A newer session took over");
    this.downlinkAcked = Math.max(this.downlinkAcked, seq);
    for (const rejection of rejections) this.failed.add(rejection.seq);
  }

  /** In the transaction that commits. */
  keepRejections({ storeId, lane }: Pick<UplinkSource, "storeId" | "lane">, rejections: readonly Rejection[]): void {
    if (rejections.length === 0) return;
    const key = `${storeId} ${lane}`;
    const kept = this.#rejections.get(key) ?? new Map<number, Rejection>();
    this.#rejections.set(key, new Map([...kept, ...rejections.map((one) => [one.seq, one] as const)]));
  }

  /** What an edge applies must be what was written here. */
  checkDownlink(seq: number, row: number): void {
    const written = this.#rowSeqs[row];
    if (written !== seq)
      throw new Violation("applied is written", `downlink ${seq} is row ${row}, which was written as ${written}`);
  }

  /** Forgets what the edge knows. @returns the acks that it has missed */
  #recall(storeId: Uuid, lane: UplinkLane, ackedSeq: number): readonly Ack[] {
    const key = `${storeId} ${lane}`;
    const left = [...(this.#rejections.get(key) ?? [])].filter(([seq]) => seq > ackedSeq);
    this.#rejections.set(key, new Map(left));
    const rejections = left.map(([, rejection]) => rejection).toSorted((one, other) => one.seq - other.seq);
    return rangesAbove(this.committed(storeId, lane), ackedSeq).flatMap(({ first, last }) => {
      const inRange = rejections.filter(({ seq }) => first <= seq && seq <= last);
      return createMissedAcks({ lane, ackedSeq: first - 1, upTo: last, rejections: inRange }, REJECTIONS_PER_ACK);
    });
  }

  #tagOf(storeId: Uuid, lane: UplinkLane): readonly LaneTag[] {
    const uplink = this.#uplinks.get(`${storeId} ${lane}`);
    if (uplink === undefined || uplink.tag === null) return [];
    return [{ lane, seq: uplink.tagSeq, tag: uplink.tag }];
  }

  #openLane(storeId: Uuid, session: number, { lane, oldestSeq, firstSeq }: LaneOffer): readonly SeqRange[] {
    const uplink = this.#uplinks.get(`${storeId} ${lane}`);
    let committed = uplink?.committed ?? unionOf([{ first: 1, last: firstSeq - 1 }]);
    const book = this.#checker.book(storeId, lane);
    for (const lost of gapsBelow(committed, oldestSeq)) {
      committed = addRange(committed, lost);
      book.skipped = addRange(book.skipped, lost);
      this.#checker.committed(storeId, lane, lost);
    }
    const { tag = null, tagSeq = 0 } = uplink ?? {};
    this.#uplinks.set(`${storeId} ${lane}`, { committed, session, tag, tagSeq });
    this.#checker.checkCommitted(storeId, lane, committed);
    return committed;
  }

  #record(entity: number): void {
    this.downlinkLast += 1;
    this.#events.set(this.downlinkLast, { row: this.#rowSeqs.push(this.downlinkLast) - 1, entity });
  }
}

function rowTag(row: number): Uuid {
  const bytes = new Uint8Array(16);
  new DataView(bytes.buffer).setUint32(0, row);
  return uuidFromBytes(bytes);
}
