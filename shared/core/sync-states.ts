/**
 * Every reason for which an edge and the cloud may not be in sync, gravest first. Both ends show these and nothing else: the edge's
 * `/status` and metrics, the edge's record in the cloud, and its metrics. The prose is the manual (docs/states.md is made of it).
 */
export const SYNC_STATES = {
  DATABASE_DOWN: {
    cause: "PostgreSQL of the edge does not answer, or did not when its last session ended. Nothing can be stored.",
    action: "Look at the disk and at postgres/server.log in the data directory; the edge keeps trying.",
  },
  QUOTA: {
    cause: "The disk quota of the edge is reached: its policy thins what waits, or refuses new data.",
    action: "Bring the link back so that the backlog drains, or give the edge more room.",
  },
  IDENTITY_CONFLICT: {
    cause: "Another machine with the key of this edge took over, and the cloud keeps to that one.",
    action: "Stop one of them, or give the copy an edge of its own in the cloud and an empty data directory.",
  },
  STORE_MISMATCH: {
    cause: "The database of the edge does not continue what the cloud has of it, as after restoring a backup.",
    action: "Nothing: the edge goes on under a new store id, and both sides are compared.",
  },
  EDGE_DELETED: {
    cause: "The edge was deleted in the cloud.",
    action: "Stop it, or make a new edge in the cloud and give it that key and secret.",
  },
  CREDENTIALS_REFUSED: {
    cause: "The cloud knows no edge with this key and secret.",
    action: "Compare key and secret with the cloud; a secret that is lost can be set anew there.",
  },
  PEER_UNSUPPORTED: {
    cause: "Edge and cloud have no version of the protocol in common.",
    action: "Upgrade the older of both.",
  },
  CERTIFICATE_REFUSED: {
    cause: "The certificate of the cloud is not trusted: unknown authority, wrong name, or out of date.",
    action: "Set tlsCaFile to the authority's certificate, renew the certificate, or correct this machine's clock.",
  },
  CLOUD_DATABASE_DOWN: {
    cause: "The cloud is reached, but its database does not answer.",
    action: "Nothing on the edge: it keeps everything and tries again. Look after the cloud's PostgreSQL.",
  },
  STALLED: {
    cause: "The link carries frames, but what was sent is not acknowledged.",
    action: "Look at the load and the log of the side that receives; the session is begun anew after a minute.",
  },
  NO_ROUTE: {
    cause: "The cloud can't be reached: its name is not found, the connection is refused, or there is no network.",
    action: "Check cloudUrl, name server, firewall and network of this machine.",
  },
  LINK_DOWN: {
    cause: "There is no connection: it was cut, or its other end fell silent.",
    action: "Nothing, if it returns by itself; everything is kept. Otherwise look at network and power of the site.",
  },
  PEER_STOPPED: {
    cause: "The other side stopped in an orderly way, as for an upgrade.",
    action: "Start it again if it does not come back.",
  },
  SESSION_FAILED: {
    cause: "The last session ended by a fault that the detail names.",
    action: "Look at the code in shared/core/errors.ts and at the log; report it if it repeats.",
  },
  CONNECTING: {
    cause: "The first session is being opened.",
    action: "Nothing.",
  },
  NEVER_CONNECTED: {
    cause: "The edge has not connected yet.",
    action: "Start it with its key and secret.",
  },
  NOT_CONFIGURED: {
    cause: "The edge works alone: no cloudUrl is set.",
    action: "Nothing, or set cloudUrl, edgeKey and the secret.",
  },
  PARKED_ITEMS: {
    cause: "Items were refused for good by the other side; they are kept with the reason.",
    action: "List them, mend the cause, then replay or discard them.",
  },
  SENDING: {
    cause: "What was made earlier is on its way: the backlog drains.",
    action: "Nothing.",
  },
  CLOCK_SKEW: {
    cause: "The clocks of edge and cloud differ by more than is allowed; times of measurement can't be compared.",
    action: "Set the clock of the edge, best by NTP. Sync goes on meanwhile.",
  },
  IN_SYNC: {
    cause: "Everything has arrived on the other side.",
    action: "Nothing.",
  },
} as const satisfies Readonly<Record<string, { readonly cause: string; readonly action: string }>>;

export type SyncState = keyof typeof SYNC_STATES;

/** Gravest first. */
export const SYNC_STATE_NAMES: readonly SyncState[] = Object.keys(SYNC_STATES) as SyncState[]; // the keys of that very object

/** Beside a state, never the state itself: sync goes on. */
const WARNINGS: ReadonlySet<SyncState> = new Set<SyncState>(["CLOCK_SKEW"]);

export interface SyncReason {
  readonly code: SyncState;
  /** What exactly, if there is more to say than the code does; may name hosts. */
  readonly detail: string | null;
}

export interface SyncVerdict {
  readonly state: SyncState;
  /** Everything that holds, gravest first, warnings included; empty when in sync. */
  readonly reasons: readonly SyncReason[];
}

/** What one end knows. Everything optional may not be known, and is then taken to be well. */
export interface SyncFacts {
  /** `none`: there is nothing to connect to; `ended`: the last session ended and no other is live, whether one is being tried or not. */
  readonly session: "none" | "never" | "connecting" | "live" | "ended";
  /** Why it ended: a code of errors.ts, or one of a newer peer. */
  readonly ended?: { readonly code: string; readonly text: string | null } | null;
  /** Which end this is: the same code means another machine. */
  readonly side: "edge" | "cloud";
  readonly isDatabaseDown?: boolean;
  /** Age of the oldest item that the other side has not committed, in either direction; null when there is none. */
  readonly backlogAgeMs?: number | null;
  /** How long what is in flight waits for an acknowledgement; null when nothing does. */
  readonly ackWaitMs?: number | null;
  readonly parkedItems?: number;
  readonly skewMs?: number | null;
  /** @default CLOCK_SKEW_MS_MAX */
  readonly skewMsMax?: number;
  readonly quota?: QuotaState;
}

export type QuotaState = "ok" | "thinning" | "full";

/** Above this, times of measurement can't be compared any more. */
export const CLOCK_SKEW_MS_MAX = 5_000;
/** Less is what is always under way while devices send. */
export const SENDING_AFTER_MS = 2_000;
/** An acknowledgement that takes longer is a fault worth naming, long before the session is given up for it. */
export const STALLED_AFTER_MS = 15_000;

const STATE_OF_ENDING: Readonly<Record<string, SyncState>> = {
  UNAUTHENTICATED: "CREDENTIALS_REFUSED",
  PERMISSION_DENIED: "CREDENTIALS_REFUSED",
  NOT_FOUND: "EDGE_DELETED",
  PEER_UNSUPPORTED: "PEER_UNSUPPORTED",
  STORE_MISMATCH: "STORE_MISMATCH",
  SESSION_FENCED: "IDENTITY_CONFLICT",
  IDENTITY_CONFLICT: "IDENTITY_CONFLICT",
  CERTIFICATE_REFUSED: "CERTIFICATE_REFUSED",
  NO_ROUTE: "NO_ROUTE",
  LINK_DOWN: "LINK_DOWN",
  STALLED: "STALLED",
  CANCELLED: "PEER_STOPPED",
};

/** The state that the end of a session stands for. */
export function stateOfEnding(code: string, side: SyncFacts["side"]): SyncState {
  if (code === "DATABASE_UNAVAILABLE") return side === "edge" ? "CLOUD_DATABASE_DOWN" : "DATABASE_DOWN";
  return STATE_OF_ENDING[code] ?? "SESSION_FAILED";
}

/** What holds, and the gravest of it as the state. */
export function judgeSync(facts: SyncFacts): SyncVerdict {
  const found = [...sessionReasons(facts), ...standingReasons(facts)];
  const reasons = SYNC_STATE_NAMES.flatMap((code) => found.find((reason) => reason.code === code) ?? []);
  return { state: reasons.find(({ code }) => !WARNINGS.has(code))?.code ?? "IN_SYNC", reasons };
}

function sessionReasons(facts: SyncFacts): readonly SyncReason[] {
  switch (facts.session) {
    case "none":
      return [{ code: "NOT_CONFIGURED", detail: null }];
    case "never":
      return [endedReason(facts) ?? { code: "NEVER_CONNECTED", detail: null }];
    case "connecting":
      return [endedReason(facts) ?? { code: "CONNECTING", detail: null }];
    case "ended":
      return [endedReason(facts) ?? { code: "LINK_DOWN", detail: null }];
    case "live":
      return liveReasons(facts);
  }
}

function endedReason({ ended, isDatabaseDown = false, side }: SyncFacts): SyncReason | null {
  if (ended === undefined || ended === null) return null;
  const code = stateOfEnding(ended.code, side);
  // A session that failed for the edge's own database says nothing of the cloud's.
  if (code === "CLOUD_DATABASE_DOWN" && isDatabaseDown) return { code: "DATABASE_DOWN", detail: null };
  const detail = code === "SESSION_FAILED" ? [ended.code, ended.text].filter(Boolean).join(": ") : ended.text;
  return { code, detail };
}

function liveReasons({ ackWaitMs, backlogAgeMs }: SyncFacts): readonly SyncReason[] {
  const reasons: SyncReason[] = [];
  if ((ackWaitMs ?? 0) >= STALLED_AFTER_MS) {
    reasons.push({ code: "STALLED", detail: `Nothing was acknowledged for ${Math.floor((ackWaitMs ?? 0) / 1_000)} s` });
  }
  if ((backlogAgeMs ?? 0) >= SENDING_AFTER_MS) {
    reasons.push({ code: "SENDING", detail: `The oldest is ${Math.floor((backlogAgeMs ?? 0) / 1_000)} s old` });
  }
  return reasons;
}

function standingReasons(facts: SyncFacts): readonly SyncReason[] {
  const { isDatabaseDown = false, parkedItems = 0, quota = "ok", skewMs = null, skewMsMax = CLOCK_SKEW_MS_MAX } = facts;
  const reasons: SyncReason[] = [];
  if (isDatabaseDown) reasons.push({ code: "DATABASE_DOWN", detail: null });
  if (quota !== "ok")
    reasons.push({ code: "QUOTA", detail: quota === "full" ? "New data is refused" : "Data is thinned" });
  if (parkedItems > 0)
    reasons.push({ code: "PARKED_ITEMS", detail: parkedItems === 1 ? "1 item" : `${parkedItems} items` });
  if (skewMs !== null && Math.abs(skewMs) > skewMsMax) {
    reasons.push({ code: "CLOCK_SKEW", detail: `${Math.round(Math.abs(skewMs) / 1_000)} s` });
  }
  return reasons;
}
