import type { JSX } from "preact";
import { text } from "../text/en.ts";
import { State, type Tone } from "./parts.tsx";

export type SyncState = keyof typeof text.syncState;

const GOOD: ReadonlySet<SyncState> = new Set<SyncState>(["IN_SYNC"]);
const CALM: ReadonlySet<SyncState> = new Set<SyncState>(["SENDING", "CONNECTING"]);
const IDLE: ReadonlySet<SyncState> = new Set<SyncState>(["NEVER_CONNECTED", "NOT_CONFIGURED"]);
/** What mends itself, or waits for somebody without hurry. */
const WARN: ReadonlySet<SyncState> = new Set<SyncState>([
  "LINK_DOWN",
  "NO_ROUTE",
  "PEER_STOPPED",
  "PARKED_ITEMS",
  "CLOCK_SKEW",
  "STORE_MISMATCH",
  "CLOUD_DATABASE_DOWN",
  "STALLED",
]);

export function syncTone(state: SyncState): Tone {
  if (GOOD.has(state)) return "good";
  if (CALM.has(state)) return "calm";
  if (IDLE.has(state)) return "idle";
  return WARN.has(state) ? "warn" : "bad";
}

export function SyncStateBadge({ state }: { readonly state: SyncState }): JSX.Element {
  return <State tone={syncTone(state)}>{text.syncState[state]}</State>;
}
