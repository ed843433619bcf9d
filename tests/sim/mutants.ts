import { AppError } from "../../shared/core/errors.ts";
import { overlaps, prefixEnd } from "../../shared/core/seq-range.ts";
import { committedBelow, inOrderFrom } from "../../shared/sync/course.ts";
import { lastSeqOf } from "../../shared/sync/frames.ts";
import type { SessionEffect, SessionEvent, SessionState, Step } from "../../shared/sync/session-state.ts";
import { advanceSession } from "../../shared/sync/session.ts";
import { decodeNumbers, REMOVED, tagOfContents } from "./contents.ts";
import { entityOf } from "./digests.ts";
import type { Build } from "./simulation.ts";
import { PRODUCT } from "./simulation.ts";

// Versions of the product that are broken on purpose, one fault each. The simulation has to catch every one of them.

export interface Mutant {
  readonly name: string;
  readonly build: Build;
}

export const MUTANTS: readonly Mutant[] = [
  machine("acknowledges what arrived instead of what was committed", (state, event, nowMs) => {
    const step = advanceSession(state, event, nowMs);
    const effects = step.effects.filter((effect) => effect.type !== "send" || effect.frame.type !== "ack");
    return {
      state: step.state,
      effects: effects.flatMap((effect) => (effect.type === "apply" ? [earlyAck(effect), effect] : [effect])),
    };
  }),
  machine("takes a batch without looking at its first sequence", (state, event, nowMs) => {
    if (event.type !== "frame" || event.frame.type !== "batch" || state.phase !== "live")
      return advanceSession(state, event, nowMs);
    const { frame } = event;
    const firstSeq = state.receivers.find(({ lane }) => lane === frame.lane)?.course[0]?.first ?? 1;
    return advanceSession(state, { type: "frame", frame: { ...frame, firstSeq } }, nowMs);
  }),
  machine("forgets a wake-up that comes while loading", (state, event, nowMs) => {
    const isLost =
      event.type === "woken" && state.senders.some(({ lane, mode }) => lane === event.lane && mode === "loading");
    return isLost ? { state, effects: [] } : advanceSession(state, event, nowMs);
  }),
  machine("takes a load that found something for the last one", (state, event, nowMs) =>
    advanceSession(state, event.type === "loaded" ? { ...event, drained: true } : event, nowMs),
  ),
  machine("sends beyond the window", (state, event, nowMs) =>
    withWindow(advanceSession(withWindow(state, scaled(state.window, 4)), event, nowMs), state.window),
  ),
  machine("drops batches that come before the session is open", (state, event, nowMs) =>
    isEarlyBatch(state, event) ? { state, effects: [] } : advanceSession(state, event, nowMs),
  ),
  machine("refuses batches that come before the session is open", (state, event, nowMs) =>
    advanceSession(
      state,
      isEarlyBatch(state, event) ? { type: "stop", code: "PROTOCOL_ERROR", text: "early" } : event,
      nowMs,
    ),
  ),
  machine("never pings and never gives up", (state, event, nowMs) =>
    event.type === "tick" && state.phase === "live" ? { state, effects: [] } : advanceSession(state, event, nowMs),
  ),
  machine("waits for acknowledgements without end", (state, event, nowMs) => {
    const senders = state.senders.map((sender) => ({ ...sender, progressMs: nowMs }));
    const transfer = state.blobSender.transfer === null ? null : { ...state.blobSender.transfer, progressMs: nowMs };
    return advanceSession({ ...state, senders, blobSender: { ...state.blobSender, transfer } }, event, nowMs);
  }),
  { name: "begins the next session before the last one's work is done", build: { ...PRODUCT, waitsForWork: false } },
  {
    name: "goes on from its own cursor instead of the cloud's course",
    build: {
      ...PRODUCT,
      edgeOpening: (opening, store) => ({
        ...opening,
        sending: opening.sending.map((start) =>
          start.lane === "config" ? { ...start, course: inOrderFrom(prefixEnd(store.cursor("config"))) } : start,
        ),
      }),
    },
  },
  edgeStore("lets telemetry go without waiting for its config", (store) => {
    const read = store.telemetryBatch.bind(store);
    store.telemetryBatch = (row, afterSeq, upToSeq) => ({ ...read(row, afterSeq, upToSeq), configSeq: 0 });
  }),
  edgeStore("gives merged rows the config sequence of the first", (store) => {
    store.mergedConfigSeq = (rows) => rows[0]?.configSeq ?? 0;
  }),
  edgeStore("sends a merged row whole though a part of it is committed", (store) => {
    const read = store.telemetryBatch.bind(store);
    store.telemetryBatch = (row, _afterSeq, upToSeq) => read(row, 0, upToSeq);
  }),
  edgeStore("removes records without telling the cloud", (store) => {
    store.tellGap = () => undefined;
  }),
  edgeStore("closes up thinned rows, so that records get other numbers", (store) => {
    const read = store.telemetryBatch.bind(store);
    store.telemetryBatch = (row, afterSeq, upToSeq) => {
      const kept = row.contents.filter((content) => content !== REMOVED);
      return read(kept.length === 0 ? row : { ...row, contents: kept }, afterSeq, upToSeq);
    };
  }),
  edgeStore("moves the cursor to what was written", (store) => {
    const settle = store.settle.bind(store);
    store.settle = (lane, _committed, rejections) =>
      settle(lane, [{ first: 1, last: store.nextSeq(lane) - 1 }], rejections);
  }),
  {
    name: "begins the next session early and applies downlinks without looking at what was applied",
    build: {
      ...PRODUCT,
      waitsForWork: false,
      prepareEdge: (store) => {
        store.guardDownlink = () => undefined;
      },
    },
  },
  edgeStore("commits downlinks before their sequence", (store) => {
    const apply = store.applyDownlinks.bind(store);
    let calls = 0;
    store.applyDownlinks = (batches, cloud) => {
      const before = store.downlinkApplied;
      const rejections = apply(batches, cloud);
      calls += 1;
      if (calls % 10 !== 0) return rejections;
      store.downlinkApplied = before;
      throw new AppError("DATABASE_UNAVAILABLE", "The connection was lost between two commits");
    };
  }),
  edgeStore("keeps its own downlink sequence when the Welcome names another", (store) => {
    const welcome = store.welcome.bind(store);
    store.welcome = (hello, frame) => welcome(hello, { ...frame, downlinkResume: store.downlinkApplied });
  }),
  edgeStore("forgets what it refused when the acknowledgement is lost", (store) => {
    store.keepRejections = () => undefined;
  }),
  edgeStore("takes what the Welcome says was committed for acknowledged", (store) => {
    const welcome = store.welcome.bind(store);
    store.welcome = (hello, frame) => {
      const missed = welcome(hello, frame);
      for (const { lane, nextSeq } of hello.lanes) store.settle(lane, committedBelow(frame.courses, lane, nextSeq), []);
      return missed;
    };
  }),
  cloudStore("forgets what it refused when the acknowledgement is lost", (store) => {
    store.keepRejections = () => undefined;
  }),
  cloudStore("takes what the edge has applied for acknowledged", (store) => {
    store.heardUpTo = (resume) => resume;
  }),
  cloudStore("compares neither session nor sequences before it applies", (store) => {
    store.guardUplink = () => undefined;
  }),
  cloudStore("does not compare the session before it applies", (store) => {
    store.guardUplink = (source, range) => {
      if (overlaps(store.committed(source.storeId, source.lane), range))
        throw new AppError("SESSION_FENCED", "Committed already");
    };
  }),
  {
    name: "begins the next session early and does not look at what is committed before it applies",
    build: {
      ...PRODUCT,
      waitsForWork: false,
      prepareCloud: (store) => {
        store.guardUplink = ({ session }) => {
          if (session !== store.session) throw new AppError("SESSION_FENCED", "A newer session took over");
        };
      },
    },
  },
  cloudStore("lets the backlog go over what lies ahead of the first gap", (store) => {
    const plan = store.planTelemetry.bind(store);
    store.planTelemetry = (committed, nextSeq, order) => plan(committed.slice(0, 1), nextSeq, order);
  }),
  cloudStore("sends fresh telemetry behind the backlog", (store) => {
    const plan = store.planTelemetry.bind(store);
    store.planTelemetry = (committed, nextSeq) => plan(committed, nextSeq, "oldest-first");
  }),
  machine("applies the backlog before fresh telemetry", (state, event, nowMs) => {
    const receivers = state.receivers.toSorted((left, right) => (left.lane < right.lane ? 1 : -1));
    return advanceSession({ ...state, receivers }, event, nowMs);
  }),
  cloudStore("goes on with a content behind what arrived of it", (store) => {
    store.blobs.resumeAt = (incoming) => {
      if (incoming.received > 0 && !incoming.isComplete)
        incoming.received = Math.min(incoming.received + 400, incoming.bytes.length - 4);
      return incoming.received;
    };
  }),
  cloudStore("commits sequences before the effects", (store) => {
    const apply = store.applyUplink.bind(store);
    let calls = 0;
    store.applyUplink = (source, batches) => {
      calls += 1;
      const last = batches.at(-1);
      if (calls % 50 !== 0 || last === undefined) return apply(source, batches);
      const range = { first: batches[0]?.firstSeq ?? 1, last: lastSeqOf(last) };
      store.guardUplink(source, range);
      store.commitRange(source, range, tagOfContents(batches.flatMap(({ payload }) => decodeNumbers(payload))));
      throw new AppError("DATABASE_UNAVAILABLE", "The connection was lost between two commits");
    };
  }),
  cloudStore("commits the effects before their sequences", (store) => {
    const commit = store.commitRange.bind(store);
    let calls = 0;
    store.commitRange = (source, range, tag) => {
      calls += 1;
      if (calls % 50 === 0) throw new AppError("DATABASE_UNAVAILABLE", "The connection was lost between two commits");
      commit(source, range, tag);
    };
  }),
  cloudStore("takes an edge whose database is older than what it sent", (store) => {
    store.guardOffer = () => undefined;
  }),
  cloudStore("goes on with downlinks where another database of the edge was", (store) => {
    store.resumeDownlinks = ({ downlinkApplied }) => ({ seq: downlinkApplied, fullSync: false });
  }),
  cloudStore("repairs nothing that is surplus", (store) => {
    const repair = store.repair.bind(store);
    store.repair = (answer) => {
      const known = answer.entries.filter(({ id }) => store.entities.has(entityOf(id)));
      return repair({ ...answer, entries: known });
    };
  }),
  cloudStore("takes all that it ever sent for on its way", (store) => {
    const repair = store.repair.bind(store);
    store.repair = (answer) => repair({ ...answer, downlinkApplied: 0 });
  }),
  edgeStore("goes on with its numbers though they stand for something else in the cloud", (store) => {
    store.isSame = () => true;
  }),
  cloudStore("does not lift its last downlink over what the edge applied", (store) => {
    const open = store.openSession.bind(store);
    store.openSession = (hello, nowMs) => {
      const last = store.downlinkLast;
      const opened = open(hello, nowMs);
      if (hello.downlinkApplied > last) store.downlinkLast = last;
      return opened;
    };
  }),
];

function machine(name: string, advance: (state: SessionState, event: SessionEvent, nowMs: number) => Step): Mutant {
  return { name, build: { ...PRODUCT, advance } };
}

function edgeStore(name: string, prepareEdge: Build["prepareEdge"]): Mutant {
  return { name, build: { ...PRODUCT, prepareEdge } };
}

function cloudStore(name: string, prepareCloud: Build["prepareCloud"]): Mutant {
  return { name, build: { ...PRODUCT, prepareCloud } };
}

function earlyAck({ lane, batches }: Extract<SessionEffect, { type: "apply" }>): SessionEffect {
  const last = batches.at(-1);
  return { type: "send", frame: { type: "ack", lane, seq: last === undefined ? 0 : lastSeqOf(last), rejections: [] } };
}

function isEarlyBatch(state: SessionState, event: SessionEvent): boolean {
  return state.phase === "opening" && event.type === "frame" && event.frame.type === "batch";
}

function scaled(window: SessionState["window"], factor: number): SessionState["window"] {
  return { bytes: window.bytes * factor, items: window.items * factor };
}

function withWindow<T extends SessionState | Step>(holder: T, window: SessionState["window"]): T {
  if ("state" in holder)
    return {
      ...holder,
      state:
        holder.state.phase === "live"
          ? withWindow(holder.state, holder.state.window.items > window.items ? window : holder.state.window)
          : holder.state,
    };
  return { ...holder, window };
}
