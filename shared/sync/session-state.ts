import type { BlobRef } from "../core/blob-ref.ts";
import type { ErrorCode } from "../core/errors.ts";
import type { SeqRange } from "../core/seq-range.ts";
import type { BlobProgress, BlobReceiverState, WantedWrite } from "./blob-receiver.ts";
import type { BlobSenderState, WantedChunk } from "./blob-sender.ts";
import type { RoundEffect, RoundEvent, RoundState } from "./digest-round.ts";
import type { EdgeReport } from "./edge-report.ts";
import type { EdgeSettings } from "./edge-settings.ts";
import type {
  Ack,
  Batch,
  BlobOffer,
  Digest,
  DigestAnswer,
  DigestQuestion,
  Frame,
  Hello,
  LaneCourse,
  Rejection,
  Settings,
  Welcome,
  Window,
} from "./frames.ts";
import type { Lane } from "./lanes.ts";
import type { ReceiverState } from "./receiver.ts";
import type { LaneSending, OutgoingBatch, SenderState, WantedLoad } from "./sender.ts";

// What a session knows, what happens to it and what it asks for. The machine is in session.ts.
//
// Phases:
//   greeting  the stream is open; the peer's first frame is awaited (edge: Welcome, cloud: Hello)
//   opening   the first frame is here; the driver does its database work, then reports `opened`
//             (the cloud is live once its Welcome is out: an edge holds the batches that come before it is)
//   live      lanes run
//   closed    final; every event is ignored
//
// Limits: frames of a lane lie inside the window, chunks too; one load per lane, one apply per session, one content per direction, at
// most one unanswered ping; an edge works on QUESTIONS_MAX questions of digest rounds.

export type Role = "edge" | "cloud";

export type Phase = "greeting" | "opening" | "live" | "closed";

export interface SessionState {
  readonly role: Role;
  readonly phase: Phase;
  readonly window: Window;
  readonly senders: readonly SenderState[];
  readonly receivers: readonly ReceiverState[];
  readonly blobSender: BlobSenderState;
  readonly blobReceiver: BlobReceiverState;
  /** Batches, acks, digests and settings that came while opening. */
  readonly held: readonly (Batch | Ack | Digest | Settings)[];
  /** The content that was offered while opening. */
  readonly heldOffer: BlobOffer | null;
  /** Digest rounds; null on the edge, and in the cloud until it is live. */
  readonly rounds: RoundState | null;
  /** Questions of the cloud that are being answered. */
  readonly answering: number;
  /** When the peer was last heard; while opening, when its first frame came. */
  readonly lastReceivedMs: number;
  readonly pingSentMs: number | null;
  readonly nextNonce: number;
}

export type SessionEvent =
  | { readonly type: "frame"; readonly frame: Frame }
  /** The database work of `opening` is done; sending and receiving follow these courses. */
  | { readonly type: "opened"; readonly opening: Opening }
  | {
      readonly type: "loaded";
      readonly lane: Lane;
      readonly batches: readonly OutgoingBatch[];
      readonly drained: boolean;
    }
  | { readonly type: "applied"; readonly lane: Lane; readonly rejections: readonly Rejection[] }
  | ({ readonly type: "blob-opened" } & BlobProgress)
  | { readonly type: "chunks-written"; readonly isDone: boolean }
  /** Null: the content is not there any more. */
  | { readonly type: "chunk-read"; readonly content: Uint8Array | null }
  /** Rows were committed to the outbox of a lane. */
  | { readonly type: "woken"; readonly lane: Lane }
  /** The edge has something to tell of itself. */
  | { readonly type: "report"; readonly report: EdgeReport }
  /** The cloud's settings for the edge are others. */
  | { readonly type: "tell"; readonly settings: EdgeSettings }
  /** Cloud: something of a digest round was done, or a round is wanted. */
  | { readonly type: "round"; readonly event: Exclude<RoundEvent, { readonly type: "answered" }> }
  /** Edge: a question is answered. */
  | { readonly type: "answered"; readonly answer: DigestAnswer }
  | { readonly type: "tick" }
  /** Local work failed, or this side wants to stop: tell the peer and close. */
  | { readonly type: "stop"; readonly code: ErrorCode; readonly text: string; readonly retryAfterMs?: number };

export interface Opening {
  readonly window: Window;
  readonly sending: readonly LaneSending[];
  readonly receiving: readonly LaneCourse[];
  /** The cloud's answer to the Hello; null on the edge. */
  readonly welcome: Welcome | null;
  /** Of lanes that come in: what the peer does not know to be committed yet. */
  readonly missedAcks: readonly Ack[];
  /** Cloud: the time between two digest rounds. @default no rounds */
  readonly roundsEveryMs?: number;
}

export type SessionEffect =
  | { readonly type: "send"; readonly frame: Frame }
  /** Do the database work that the peer's first frame asks for, then report `opened`. */
  | { readonly type: "open"; readonly first: Hello | Welcome }
  /** Read the outbox: at most so many bytes and items, but at least one batch if there is one. Report `loaded`. */
  | ({ readonly type: "load"; readonly lane: Lane } & WantedLoad)
  /** Apply in one transaction that also commits the sequences from the first to the last, which continue each other. Report `applied`. */
  | { readonly type: "apply"; readonly lane: Lane; readonly batches: readonly Batch[] }
  /** The peer has committed these sequences: keep it, park the rejected items. */
  | {
      readonly type: "settle";
      readonly lane: Lane;
      /** The last of them, in the order of the lane. */
      readonly seq: number;
      readonly committed: readonly SeqRange[];
      readonly rejections: readonly Rejection[];
    }
  /** The edge told this of itself: keep the newest. */
  | { readonly type: "note"; readonly report: EdgeReport }
  /** The cloud's settings for this edge from now on. */
  | { readonly type: "keep-settings"; readonly settings: EdgeSettings }
  /** Look how much of a content is here. Report `blob-opened`. */
  | { readonly type: "open-blob"; readonly blob: BlobRef }
  /** Store chunks; behind the last one compare the hash. Report `chunks-written`. */
  | ({ readonly type: "write-chunks" } & WantedWrite)
  /** Read a part of a content. Report `chunk-read`. */
  | ({ readonly type: "read-chunk" } & WantedChunk)
  /** Cloud: see RoundEffect. Report `round`. */
  | Exclude<RoundEffect, { readonly type: "send" }>
  /** Edge: read what the question is about. Report `answered`. */
  | { readonly type: "answer"; readonly question: DigestQuestion }
  | { readonly type: "close"; readonly code: string; readonly text: string; readonly retryAfterMs: number };

export interface Step {
  readonly state: SessionState;
  readonly effects: readonly SessionEffect[];
}

/** Items applied in one transaction, beyond the first batch. */
export const APPLY_ITEMS_MAX = 20_000;
/** Questions of the cloud that wait for their answer; one is usual, another when it gave up the first. */
export const QUESTIONS_MAX = 4;
/** Acks that an edge holds while it opens, each for what a lost one held; digests and settings count like one. */
export const HELD_ACKS_MAX = 1_000;

export function findSender(state: SessionState, lane: Lane): SenderState | undefined {
  return state.senders.find((sender) => sender.lane === lane);
}

export function updateSender(
  state: SessionState,
  lane: Lane,
  update: (sender: SenderState) => SenderState,
): SessionState {
  return { ...state, senders: state.senders.map((sender) => (sender.lane === lane ? update(sender) : sender)) };
}

export function replaceSender(state: SessionState, sender: SenderState): SessionState {
  return updateSender(state, sender.lane, () => sender);
}

export function replaceReceiver(state: SessionState, receiver: ReceiverState): SessionState {
  return { ...state, receivers: state.receivers.map((other) => (other.lane === receiver.lane ? receiver : other)) };
}

/** Nothing happens. */
export function stay(state: SessionState): Step {
  return { state, effects: [] };
}

export function send(state: SessionState, frame: Frame): Step {
  return { state, effects: [{ type: "send", frame }] };
}

/** Tells the peer and closes. */
export function fail(state: SessionState, code: ErrorCode, text: string, retryAfterMs = 0): Step {
  return {
    state: { ...state, phase: "closed" },
    effects: [
      { type: "send", frame: { type: "go-away", code, text, retryAfterMs } },
      { type: "close", code, text, retryAfterMs },
    ],
  };
}

export function prepend(effects: readonly SessionEffect[], step: Step): Step {
  return { state: step.state, effects: [...effects, ...step.effects] };
}
