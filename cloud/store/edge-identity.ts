import { and, eq, gt, lte, sql } from "drizzle-orm";
import type { Uuid } from "../../shared/core/ids.ts";
import type { Queryable } from "../../shared/store/unit-of-work.ts";
import type { Hello } from "../../shared/sync/frames.ts";
import { edgeEvent, type edgeSync } from "./schema.ts";

// Whether an edge that greets is the one that was here before, and whether its database and this one continue each other.

type EdgeSyncRow = typeof edgeSync.$inferSelect;

/** How long a machine keeps its edge while it is away, when another one claims the edge too. */
export const MACHINE_KEPT_MS = 5 * 60_000;
/**
 * A machine that was there for less has no claim: what a process said just before its end may come after its successor's greeting, and
 * that nobody is there any more is noticed after 15 s.
 */
const PROVEN_AFTER_MS = 20_000;
/** When a machine that was refused may ask again. */
export const CONFLICT_RETRY_MS = 60_000;
/** How long a refusal shows as a warning: longer than it takes until the next one. */
export const CONFLICT_SHOWN_MS = 10 * 60_000;
/** Restarts make new machines; older ones than these don't come back. */
const DISPLACED_MAX = 8;

export interface AdmittedMachine {
  readonly machineId: Uuid | null;
  readonly displacedMachines: readonly string[];
}

/**
 * A machine id is made anew by each process. A new one takes over, as after a restart; one that was taken over from and comes back is a
 * second machine that is alive: the edge was cloned. It is refused for as long as the other one is there.
 *
 * @returns null to refuse it
 */
export function admitMachine(
  before: Pick<EdgeSyncRow, "machineId" | "displacedMachines" | "replicaId" | "connectedMs" | "disconnectedMs">,
  machineId: Uuid | null,
  nowMs: number,
): AdmittedMachine | null {
  const displaced = (before.displacedMachines ?? []) as readonly string[]; // written here only
  if (machineId === null || machineId === before.machineId || before.machineId === null)
    return { machineId: machineId ?? (before.machineId as Uuid | null), displacedMachines: displaced };
  if (displaced.includes(machineId) && isKept(before, nowMs)) return null;
  const others = [before.machineId, ...displaced.filter((other) => other !== machineId)];
  return { machineId, displacedMachines: others.slice(0, DISPLACED_MAX) };
}

/** Whether the machine of now is there, or will be again. */
function isKept(
  { replicaId, connectedMs, disconnectedMs }: Pick<EdgeSyncRow, "replicaId" | "connectedMs" | "disconnectedMs">,
  nowMs: number,
): boolean {
  if (replicaId !== null) return true;
  if (connectedMs === null || disconnectedMs === null) return false;
  return disconnectedMs - connectedMs >= PROVEN_AFTER_MS && nowMs - disconnectedMs < MACHINE_KEPT_MS;
}

export interface DownlinkResume {
  readonly seq: number;
  readonly fullSync: boolean;
  readonly note: string | null;
}

/** Where downlinks go on; a full sync where the edge's database and this one don't continue each other. */
export async function resumeDownlinks(
  tx: Queryable,
  hello: Hello,
  { before, cloudId }: { readonly before: EdgeSyncRow; readonly cloudId: Uuid },
): Promise<DownlinkResume> {
  const { downlinkLast, edgeId, storeId } = before;
  const { downlinkApplied } = hello;
  if (storeId === null && hello.cloudId === null) return { seq: 0, fullSync: false, note: null };
  // What the edge counts of this very database must never be given out again, even when a backup forgot about it.
  const last = hello.cloudId === cloudId ? Math.max(downlinkLast, downlinkApplied) : downlinkLast;
  const anew = (why: string): DownlinkResume => ({
    seq: last,
    fullSync: true,
    note: `${why}: everything assigned is sent again`,
  });
  if (storeId !== hello.storeId) return anew("The edge has a new database");
  if (hello.cloudId !== cloudId) return anew("The edge knew another cloud database");
  if (downlinkApplied > downlinkLast) return anew("This database is older than what the edge received");
  if (!(await isSameDownlink(tx, edgeId as Uuid, hello)))
    return anew("What the edge received last is not what this database has: it was set back to a backup");
  if (await hasAllDownlinks(tx, { edgeId: edgeId as Uuid, after: downlinkApplied, last: downlinkLast }))
    return { seq: downlinkApplied, fullSync: false, note: null };
  return anew("Downlinks that the edge did not receive are no longer there");
}

/** Whether the number stands for the same row here and on the edge. Without a tag or a row there is nothing to compare. */
async function isSameDownlink(tx: Queryable, edgeId: Uuid, hello: Hello): Promise<boolean> {
  if (hello.downlinkTag === null) return true;
  const [row] = await tx
    .select({ id: edgeEvent.id })
    .from(edgeEvent)
    .where(and(eq(edgeEvent.edgeId, edgeId), eq(edgeEvent.seq, hello.downlinkApplied)));
  return row === undefined || row.id === hello.downlinkTag;
}

async function hasAllDownlinks(
  tx: Queryable,
  { edgeId, after, last }: { readonly edgeId: Uuid; readonly after: number; readonly last: number },
): Promise<boolean> {
  if (after === last) return true;
  const [row] = await tx
    .select({ count: sql<number>`count(*)`.mapWith(Number) })
    .from(edgeEvent)
    .where(and(eq(edgeEvent.edgeId, edgeId), gt(edgeEvent.seq, after), lte(edgeEvent.seq, last)));
  return row?.count === last - after;
}
