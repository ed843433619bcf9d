import { z } from "zod";
import {
  type SyncVerdict,
  judgeSync,
  SYNC_STATE_NAMES,
  SYNC_STATES,
  type SyncFacts,
} from "../../shared/core/sync-states.ts";
import { thinnedKeySchema } from "../../shared/rest/thinned-keys.ts";
import { backlogAgeMs } from "../../shared/sync/edge-report.ts";
import type { EdgeStatus } from "../store/edge-store.ts";

// How an edge stands with the cloud, as the cloud knows it: from the session, from what the edge told last, from who was refused.

export const edgeSyncSchema = z
  .object({
    state: z.enum(SYNC_STATE_NAMES).meta({ description: "The gravest reason, or IN_SYNC; see docs/states.md" }),
    reasons: z.array(z.object({ code: z.enum(SYNC_STATE_NAMES), text: z.string(), detail: z.string().nullable() })),
    sinceTime: z.int().nullable().meta({ description: "Since when, as far as the cloud knows; null: never connected" }),
    reportedTime: z.int().nullable().meta({ description: "When the edge told of itself last; null: not yet" }),
    backlog: z
      .array(
        z.object({
          lane: z.string(),
          items: z.int(),
          bytes: z.int().nullable(),
          oldestTime: z.int().nullable().meta({ description: "By the clock of the edge" }),
        }),
      )
      .meta({ description: "Per lane what the edge had not sent when it reported" }),
    lagMs: z.int().nullable().meta({ description: "Age of its oldest unsent item when it reported; null: none" }),
    parkedItems: z.int(),
    quota: z.enum(["ok", "thinning", "full"]),
    thinned: z.array(thinnedKeySchema).meta({
      description: "Keys of which less goes up than the edge stores, those that save most first; since it was started",
    }),
    edgeState: z.string().nullable().meta({ description: "The state in the edge's own words" }),
  })
  .meta({ id: "EdgeSync" });

/** Facts and verdict of one edge; `nowMs` is the cloud's wall clock. */
export function judgeEdge(status: EdgeStatus, nowMs: number): SyncVerdict {
  const { report } = status;
  const isConnected = status.isConnected;
  return judgeSync({
    side: "cloud",
    ...sessionFacts(status),
    backlogAgeMs: isConnected ? waitingAgeMs(status, nowMs) : null,
    parkedItems: report?.parkedItems ?? 0,
    skewMs: currentSkewMs(status),
    quota: report?.quota ?? "ok",
    // An edge whose database is down can't hold a session for long, but may tell so before.
    isDatabaseDown: isConnected && report?.state === "DATABASE_DOWN",
    ackWaitMs: null,
  });
}

/** Wall clock of the edge minus the cloud's, in ms: as of its last report, or of its last greeting. */
export function currentSkewMs({ clockSkewMs, connectedMs, report }: EdgeStatus): number | null {
  return report === null || report.reportedMs < (connectedMs ?? 0)
    ? clockSkewMs
    : Math.round(report.wallClockMs - report.reportedMs);
}

function sessionFacts(status: EdgeStatus): Pick<SyncFacts, "session" | "ended"> {
  if (status.isConnected) return { session: "live" };
  const refusal = refusalOf(status);
  const ended = refusal ?? (status.reason === null ? null : { code: status.reason, text: null });
  return { session: status.connectedMs === null ? "never" : "ended", ended };
}

/** The refusal since the edge was connected last; what is older was overcome. */
function refusalOf({ connectedMs, disconnectedMs, refusal }: EdgeStatus): EdgeStatus["refusal"] {
  return refusal !== null && refusal.atMs >= Math.max(connectedMs ?? 0, disconnectedMs ?? 0) ? refusal : null;
}

function waitingAgeMs({ downlinkOldestMs, report }: EdgeStatus, nowMs: number): number | null {
  const down = downlinkOldestMs === null ? null : Math.max(0, nowMs - downlinkOldestMs);
  const up = report === null ? null : backlogAgeMs(report);
  return down === null && up === null ? null : Math.max(down ?? 0, up ?? 0);
}

export function edgeSyncToRest(status: EdgeStatus | undefined, nowMs: number): z.input<typeof edgeSyncSchema> | null {
  if (status === undefined) return null;
  const { report } = status;
  const { reasons, state } = judgeEdge(status, nowMs);
  return {
    state,
    reasons: reasons.map(({ code, detail }) => {
      const { action, cause } = SYNC_STATES[code];
      return { code, text: `${cause} ${action}`, detail };
    }),
    sinceTime: sinceMs(status),
    reportedTime: report?.reportedMs ?? null,
    backlog: report?.lanes.map(({ oldestMs, ...lane }) => ({ ...lane, oldestTime: oldestMs })) ?? [],
    lagMs: report === null ? null : backlogAgeMs(report),
    parkedItems: report?.parkedItems ?? 0,
    quota: report?.quota ?? "ok",
    thinned: [...(report?.thinned ?? [])],
    edgeState: report?.state ?? null,
  };
}

/** A state within a session began when the edge says so, by the cloud's clock. */
function sinceMs(status: EdgeStatus): number | null {
  const { connectedMs, disconnectedMs, isConnected, report } = status;
  if (isConnected && report !== null && connectedMs !== null) {
    return Math.max(connectedMs, Math.round(report.reportedMs - report.stateForMs));
  }
  return isConnected ? connectedMs : (refusalOf(status)?.atMs ?? disconnectedMs ?? connectedMs);
}
