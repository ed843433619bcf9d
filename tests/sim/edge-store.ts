import { AppError } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { SeqRange } from "../../shared/core/seq-range.ts";
import { addRange, includesRange, intersectRanges, prefixEnd, unionOf } from "../../shared/core/seq-range.ts";
import { committedBelow } from "../../shared/sync/course.ts";
import type { Ack, Batch, Hello, LaneOffer, LaneTag, Rejection, Welcome } from "../../shared/sync/frames.ts";
import { lastSeqOf } from "../../shared/sync/frames.ts";
import type { UplinkLane } from "../../shared/sync/lanes.ts";
import { UPLINK_LANES } from "../../shared/sync/lanes.ts";
import { createMissedAcks } from "../../shared/sync/rejections.ts";
import type { OutgoingBatch, WantedLoad } from "../../shared/sync/sender.ts";
import { SimBlobs } from "./blobs.ts";
import type { Checker } from "./checker.ts";
import { Violation } from "./checker.ts";
import type { SimCloudStore } from "./cloud-store.ts";
import type { ConfigKind } from "./contents.ts";
import {
  configContent,
  decodeNumbers,
  DEVICES_MAX,
  DOWNLINK_NUMBERS,
  encodeNumbers,
  entityContent,
  isLargeEntity,
  isRefusedDownlink,
  readConfigContent,
  recordContent,
  refuse,
  REJECTIONS_PER_ACK,
  REMOVED,
  tagOfContents,
} from "./contents.ts";

// The database of an edge as the protocol sees it: the outbox of edge/store/outbox.ts, the cursor that a loss of power may set
// back, and the site row. Each method is one transaction.

interface Row {
  readonly firstSeq: number;
  readonly configSeq: number;
  readonly contents: readonly number[];
}

const ROWS_PER_READ_MAX = 12;
const LIFE_SPAN = 100_000;

export class SimEdgeStore {
  storeId: Uuid;
  cloudId: Uuid | null = null;
  downlinkApplied = 0;
  downlinkTag: Uuid | null = null;
  /** Version of each entity that came from the cloud. */
  entities = new Map<number, number>();
  devices = 0;
  parked = new Set<string>();
  /** Every downlink of the present numbering that was refused here: what the cloud has to know in the end. */
  refused = new Set<number>();
  /** Those of which the cloud may not know. */
  #rejections: Rejection[] = [];
  readonly blobs = new SimBlobs();
  /** Rows of the downlink that took effect here. */
  #downlinks = new Set<number>();
  #rows: Record<UplinkLane, Row[]> = { config: [], telemetry: [] };
  #next: Record<UplinkLane, number> = { config: 1, telemetry: 1 };
  /** Makes the contents of different histories different. */
  #life = 0;
  /** The first sequences that belong to this store id. */
  #first: Record<UplinkLane, number> = { config: 1, telemetry: 1 };
  #cursor: Record<UplinkLane, readonly SeqRange[]> = { config: [], telemetry: [] };
  /** The cursor that survives a loss of power (synchronous_commit = off). */
  #durableCursor: Record<UplinkLane, readonly SeqRange[]> = { config: [], telemetry: [] };
  readonly #checker: Checker;

  constructor(storeId: Uuid, checker: Checker) {
    this.storeId = storeId;
    this.#checker = checker;
  }

  /** A copy of the disk, as when an SD card is cloned. */
  clone(): SimEdgeStore {
    const copy = new SimEdgeStore(this.storeId, this.#checker);
    copy.cloudId = this.cloudId;
    copy.downlinkApplied = this.downlinkApplied;
    copy.downlinkTag = this.downlinkTag;
    copy.#first = { ...this.#first };
    copy.#life = this.#life;
    copy.entities = new Map(this.entities);
    copy.devices = this.devices;
    copy.parked = new Set(this.parked);
    copy.refused = new Set(this.refused);
    copy.#rejections = [...this.#rejections];
    copy.#downlinks = new Set(this.#downlinks);
    copy.#rows = { config: [...this.#rows.config], telemetry: [...this.#rows.telemetry] };
    copy.#next = { ...this.#next };
    copy.#cursor = { ...this.#cursor };
    copy.#durableCursor = { ...this.#durableCursor };
    return copy;
  }

  /** A copy of the disk takes the place of the original: what it writes from now on is another history. */
  beginLife(): void {
    this.#life = this.#checker.nextLife();
    for (const lane of UPLINK_LANES) this.#checker.storeSetBack(this.storeId, lane, this.#next[lane] - 1);
  }

  /** As renewStore() in edge/store/site-store.ts: what the cloud had acknowledged stays with the store before. */
  renew(storeId: Uuid): void {
    this.storeId = storeId;
    for (const lane of UPLINK_LANES) {
      const acked = prefixEnd(this.#cursor[lane]);
      this.#first[lane] = acked + 1;
      this.#cursor[lane] = unionOf([{ first: 1, last: acked }]);
      this.#durableCursor[lane] = this.#cursor[lane];
      const waiting = this.#rows[lane].flatMap(({ firstSeq, contents }) =>
        contents.slice(Math.max(0, acked + 1 - firstSeq)),
      );
      this.#checker.storeRenewed(storeId, lane, { skippedUpTo: acked, waiting });
    }
  }

  /** Whether the cloud's item is the one here, or an acknowledged one that is no longer there. */
  isSame({ lane, seq, tag }: LaneTag): boolean {
    const row = this.#rows[lane].find((candidate) => candidate.firstSeq <= seq && seq <= lastOf(candidate));
    const own = tagOfContents(row?.contents.slice(seq - row.firstSeq, seq + 1 - row.firstSeq) ?? []);
    return own === null ? includesRange(this.#cursor[lane], { first: seq, last: seq }) : own.tag === tag;
  }

  nextSeq(lane: UplinkLane): number {
    return this.#next[lane];
  }

  /** What the cloud has committed, as far as is known here. */
  cursor(lane: UplinkLane): readonly SeqRange[] {
    return this.#cursor[lane];
  }

  loseVolatile(): void {
    this.#cursor = { ...this.#durableCursor };
    this.blobs.loseParts(0.5);
  }

  flush(): void {
    this.#durableCursor = { ...this.#cursor };
  }

  writeConfig(kind: ConfigKind, device: number): void {
    const made = kind === "create" && this.devices < DEVICES_MAX;
    if (made) this.devices += 1;
    const seq = this.#next.config + this.#life * LIFE_SPAN;
    const content = made
      ? configContent("create", this.devices, seq)
      : configContent(kind === "create" ? "update" : kind, device, seq);
    this.#append("config", 0, [content]);
  }

  /** One group commit: a record batch. */
  writeTelemetry(devices: readonly number[]): void {
    const first = this.#next.telemetry + this.#life * LIFE_SPAN;
    this.#append(
      "telemetry",
      this.#next.config - 1,
      devices.map((device, index) => recordContent(first + index, device)),
    );
  }

  /** Joins neighbouring rows above `aboveSeq`, as the maintenance of the outbox does while they wait. */
  mergeRows(aboveSeq: number, rowsMax: number): void {
    const rows = this.#rows.telemetry;
    const start = rows.findIndex(({ firstSeq }) => firstSeq > aboveSeq);
    const merged = start === -1 ? [] : rows.slice(start, start + rowsMax);
    const first = merged[0];
    if (first === undefined || merged.length < 2) return;
    const contents = merged.flatMap((row) => row.contents);
    rows.splice(start, merged.length, { firstSeq: first.firstSeq, configSeq: this.mergedConfigSeq(merged), contents });
  }

  /** Takes every second record out of rows above `aboveSeq`, as a full disk does, and tells the cloud in the same transaction. */
  removeRecords(aboveSeq: number, rowsMax: number): void {
    const waiting = this.#rows.telemetry.filter(({ firstSeq }) => firstSeq > aboveSeq).slice(0, rowsMax);
    const removed: number[] = [];
    for (const row of waiting) {
      const contents = row.contents.map((content, index) => (index % 2 === 1 ? REMOVED : content));
      for (const [index, content] of row.contents.entries()) {
        if (content !== contents[index]) removed.push(row.firstSeq + index);
      }
      this.#rows.telemetry[this.#rows.telemetry.indexOf(row)] = { ...row, contents };
    }
    if (removed.length > 0) this.tellGap(removed);
  }

  tellGap(removed: readonly number[]): void {
    const told = this.#checker.book(this.storeId, "telemetry").removed;
    for (const seq of removed) told.add(seq);
    this.writeConfig("gap", 1);
  }

  mergedConfigSeq(rows: readonly { readonly configSeq: number }[]): number {
    return rows.at(-1)?.configSeq ?? 0;
  }

  /** Drops rows that were transferred. Dropping a table makes the cursor before it durable too. */
  prune(): void {
    this.flush();
    for (const lane of UPLINK_LANES) {
      this.#rows[lane] = this.#rows[lane].filter((row) => lastOf(row) > prefixEnd(this.#cursor[lane]));
    }
  }

  offers(): readonly LaneOffer[] {
    return UPLINK_LANES.map((lane) => ({
      lane,
      nextSeq: this.#next[lane],
      oldestSeq: Math.max(this.#first[lane], this.#rows[lane][0]?.firstSeq ?? this.#next[lane]),
      firstSeq: this.#first[lane],
      ackedSeq: prefixEnd(this.#cursor[lane]),
    }));
  }

  read(
    lane: UplinkLane,
    { afterSeq, upToSeq, bytesMax, itemsMax }: WantedLoad,
  ): {
    readonly batches: readonly OutgoingBatch[];
    readonly drained: boolean;
  } {
    const found: Row[] = [];
    let bytes = 0;
    for (const row of this.#rows[lane]) {
      if (lastOf(row) <= afterSeq) continue;
      if (
        bytes >= bytesMax ||
        row.firstSeq > Math.min(upToSeq, afterSeq + itemsMax) ||
        found.length >= ROWS_PER_READ_MAX
      )
        break;
      found.push(row);
      bytes += row.contents.length * 4;
    }
    const drained = found.length === 0;
    if (lane === "telemetry")
      return { drained, batches: found.map((row) => this.telemetryBatch(row, afterSeq, upToSeq)) };
    const [first] = found;
    if (first === undefined) return { drained, batches: [] };
    const rows = found.slice(0, itemsMax);
    const large = rows.findIndex(isLarge);
    if (large === 0) {
      const blobs = first.contents.map((content) => this.blobs.make(content));
      return { drained, batches: [{ ...batchOf("config", first.firstSeq, first.contents, 0), blobs }] };
    }
    const joined = rows.slice(0, large === -1 ? rows.length : large).flatMap((row) => row.contents);
    return { drained, batches: [batchOf("config", first.firstSeq, joined, 0)] };
  }

  /** A row, or the part of it in the range: rows may have been merged over what the peer has committed. */
  telemetryBatch(row: Row, afterSeq: number, upToSeq: number): OutgoingBatch {
    const skipped = Math.max(0, afterSeq + 1 - row.firstSeq);
    const contents = row.contents.slice(skipped, Math.max(0, upToSeq + 1 - row.firstSeq));
    return batchOf("telemetry", row.firstSeq + skipped, contents, row.configSeq);
  }

  settle(lane: UplinkLane, committed: readonly SeqRange[], rejections: readonly Rejection[]): void {
    for (const rejection of rejections) this.parked.add(`${lane} ${rejection.seq}`);
    this.#cursor[lane] = committed.reduce(addRange, this.#cursor[lane]);
    if (rejections.length > 0) this.flush();
    this.#checker.cursorMoved(this.storeId, lane, this.#cursor[lane]);
  }

  /** Takes over what the Welcome says. @returns the acks that the cloud has missed */
  welcome(hello: Hello, { cloudId, courses, downlinkAcked, downlinkResume }: Welcome): readonly Ack[] {
    const continues = this.cloudId === cloudId && this.downlinkApplied === downlinkResume;
    if (!continues) {
      this.refused.clear();
      this.downlinkTag = null;
    }
    this.cloudId = cloudId;
    this.downlinkApplied = downlinkResume;
    this.#rejections = continues ? this.#rejections.filter(({ seq }) => seq > downlinkAcked) : [];
    // A cloud that was set back has less than it acknowledged once.
    for (const { lane, nextSeq } of hello.lanes) {
      const committed = committedBelow(courses, lane, nextSeq);
      this.#cursor[lane] = intersectRanges(this.#cursor[lane], committed);
      this.#durableCursor[lane] = intersectRanges(this.#durableCursor[lane], committed);
    }
    const range = { lane: "downlink", ackedSeq: downlinkAcked, upTo: downlinkResume } as const;
    return createMissedAcks({ ...range, rejections: this.#rejections }, REJECTIONS_PER_ACK);
  }

  applyDownlinks(batches: readonly Batch[], cloud: SimCloudStore): readonly Rejection[] {
    const from = (batches[0]?.firstSeq ?? 1) - 1;
    this.guardDownlink(from);
    const rejections: Rejection[] = [];
    for (const batch of batches) {
      const numbers = decodeNumbers(batch.payload);
      for (let index = 0; index < batch.count; index += 1) {
        const [row = 0, entity = 0, version = 0] = numbers.slice(
          index * DOWNLINK_NUMBERS,
          (index + 1) * DOWNLINK_NUMBERS,
        );
        const seq = batch.firstSeq + index;
        cloud.checkDownlink(seq, row);
        if (this.#downlinks.has(row))
          throw new Violation("downlink at most once", `row ${row}, sequence ${seq}, took effect twice`);
        this.#downlinks.add(row);
        if (isLargeEntity(entity) && !this.blobs.isWhole(entityContent(entity, version)))
          throw new Violation("contents before items", `downlink ${seq} names a content that is not here whole`);
        if (isRefusedDownlink(row)) {
          rejections.push(refuse(seq));
          this.refused.add(seq);
        }
        if (version === 0) this.entities.delete(entity);
        else this.entities.set(entity, version);
      }
      this.downlinkApplied = lastSeqOf(batch);
      this.downlinkTag = batch.tag ?? null;
    }
    this.keepRejections(rejections);
    return rejections;
  }

  /** In the transaction that moves the downlink sequence. */
  keepRejections(rejections: readonly Rejection[]): void {
    this.#rejections.push(...rejections);
  }

  guardDownlink(from: number): void {
    if (this.downlinkApplied !== from)
      throw new AppError("PROTOCOL_ERROR", `Downlinks go on after ${from}, applied is ${this.downlinkApplied}`);
  }

  #append(lane: UplinkLane, configSeq: number, contents: readonly number[]): void {
    this.#rows[lane].push({ firstSeq: this.#next[lane], configSeq, contents });
    this.#next[lane] += contents.length;
    this.#checker.book(this.storeId, lane).written.push(...contents);
  }
}

function lastOf(row: Row): number {
  return row.firstSeq + row.contents.length - 1;
}

function batchOf(lane: UplinkLane, firstSeq: number, contents: readonly number[], configSeq: number): OutgoingBatch {
  return {
    type: "batch",
    lane,
    firstSeq,
    count: contents.length,
    compression: "none",
    payload: encodeNumbers(contents),
    configSeq,
  };
}

function isLarge({ contents }: Row): boolean {
  const [content] = contents;
  return content !== undefined && readConfigContent(content).kind === "large";
}
