import type { GapReason } from "../../shared/entities/change.ts";
import type { Log } from "../../shared/observe/log.ts";
import type { Partition } from "../../shared/store/partitions.ts";
import { listPartitions } from "../../shared/store/partitions.ts";
import type { DiskPolicy } from "../disk-quota.ts";
import { dropOldestHistory } from "./history.ts";
import { cutPartition, outboxTable, pruneOutbox } from "./outbox-partitions.ts";
import type { RemovalDeps } from "./outbox-removal.ts";
import { removeRecords } from "./outbox-removal.ts";
import type { Outbox } from "./outbox.ts";

// Makes room when the data directory nears its quota, in this order, no further than needed:
//   1. log of the database that a checkpoint sets free
//   2. rows of the outbox that the cloud has committed
//   3. local history, oldest first
//   4. unsent telemetry thinned, oldest first (policy "thin")
//   5. unsent telemetry dropped, oldest first
// Only telemetry is removed; config, alarms and commands never are. What is removed unsent is noted and told to the cloud.

/** Room is made when this part of the quota is used, and until this part is. */
const PRESSED_ABOVE = 0.9;
const RELIEVED_BELOW = 0.85;
/** The partition that is written is cut off when it is larger: to be thinned or dropped at once, and else so that it is rewritten fast. */
const CUT_PRESSED_ABOVE_BYTES = 1_048_576;
const CUT_ABOVE_BYTES = 64 * 1_048_576;
/** Rewriting a partition for less is not worth it. */
const REMOVED_BYTES_MIN = 1_048_576;

export interface DiskReliefDeps extends RemovalDeps {
  readonly outbox: Pick<Outbox, "range" | "betweenReads">;
  /** Of the next record. */
  readonly nextTelemetrySeq: () => number;
  /** What the data directory takes now. */
  readonly measureBytes: () => Promise<number>;
  readonly log: Log;
}

export interface DiskReliefOptions {
  readonly quotaBytes: number;
  readonly policy: DiskPolicy;
}

export function isPressed(usedBytes: number, quotaBytes: number): boolean {
  return usedBytes > quotaBytes * PRESSED_ABOVE;
}

/** Makes room if the quota is near. @returns false when there is still too little once all was done */
export async function relieveDisk(deps: DiskReliefDeps, { policy, quotaBytes }: DiskReliefOptions): Promise<boolean> {
  const { log, measureBytes } = deps;
  const usedBytes = await measureBytes();
  if (!isPressed(usedBytes, quotaBytes)) return true;
  log.warn("The disk quota is near: room is made", { usedBytes, quotaBytes, policy });
  const targetBytes = quotaBytes * RELIEVED_BELOW;
  const isRelieved = async (): Promise<boolean> => (await measureBytes()) <= targetBytes;

  if (await clearDisk(deps, isRelieved)) return true;
  const reasons: readonly GapReason[] = policy === "thin" ? ["thinned", "dropped"] : ["dropped"];
  for (const reason of reasons) if (await removeUnsent(deps, reason, targetBytes)) return true;
  log.error("The disk quota is exceeded, and nothing is left that may be removed", { quotaBytes });
  return false;
}

/** The steps that take nothing unsent. */
export async function clearDisk(
  deps: Pick<DiskReliefDeps, "outbox" | "sql">,
  isRelieved: () => Promise<boolean>,
): Promise<boolean> {
  await deps.sql`checkpoint`;
  if (await isRelieved()) return true;
  await dropTransferred(deps);
  if (await isRelieved()) return true;
  while (await dropOldestHistory(deps.sql)) {
    await deps.sql`checkpoint`;
    if (await isRelieved()) return true;
  }
  return false;
}

async function dropTransferred({ outbox, sql }: Pick<DiskReliefDeps, "outbox" | "sql">): Promise<void> {
  const { ackedSeq } = await outbox.range("telemetry");
  await pruneOutbox(sql, "telemetry", { ackedSeq, oldSeq: ackedSeq, bytesMax: 0 });
}

/** Partition by partition, because only a partition that is rewritten gives its room back. */
async function removeUnsent(deps: DiskReliefDeps, reason: GapReason, targetBytes: number): Promise<boolean> {
  const { log, measureBytes, outbox, sql } = deps;
  for (const { from, name, to } of await closedPartitions(deps)) {
    for (;;) {
      const excessBytes = (await measureBytes()) - targetBytes;
      if (excessBytes <= 0) return true;
      const { ackedSeq } = await outbox.range("telemetry");
      const range = {
        aboveSeq: Math.max(ackedSeq, from - 1),
        belowSeq: to,
        bytesWanted: Math.max(excessBytes, REMOVED_BYTES_MIN),
      };
      const { bytes, records } = await removeRecords(deps, reason, range);
      if (records === 0) break;
      log.warn("Unsent telemetry was removed to make room", { reason, records, bytes });
      // Nobody writes to it any more, and who reads it waits for no more than its size takes to copy.
      await sql.unsafe(`vacuum full ${name}`);
      await sql`checkpoint`;
    }
  }
  return (await measureBytes()) <= targetBytes;
}

async function closedPartitions(deps: DiskReliefDeps): Promise<readonly Partition[]> {
  await cutWrittenPartition(deps, CUT_PRESSED_ABOVE_BYTES);
  return (await listPartitions(deps.sql, outboxTable("telemetry"))).filter(({ to }) => to <= deps.nextTelemetrySeq());
}

export type CutDeps = Pick<DiskReliefDeps, "nextTelemetrySeq" | "sql" | "unitOfWork">;

/** Cuts off the partition of the telemetry lane that is written, when it has grown large. */
export async function cutWrittenPartition(deps: CutDeps, aboveBytes = CUT_ABOVE_BYTES): Promise<void> {
  const { nextTelemetrySeq, sql, unitOfWork } = deps;
  const isWritten = ({ from, to }: Partition): boolean => from < nextTelemetrySeq() && nextTelemetrySeq() < to;
  const written = (await listPartitions(sql, outboxTable("telemetry"))).find(isWritten);
  if (written === undefined || written.bytes <= aboveBytes) return;
  await unitOfWork.run(async (tx) => {
    if (isWritten(written)) await cutPartition(tx, "telemetry", written, nextTelemetrySeq());
    return { result: undefined, changes: [] };
  });
}
