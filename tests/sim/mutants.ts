import { AppError } from "../../shared/core/errors.ts";
import { lastSeqOf } from "../../shared/sync/frames.ts";
import { advanceSession } from "../../shared/sync/session.ts";
import type { SessionEffect, SessionEvent, SessionState, Step } from "../../shared/sync/session.ts";
import { REMOVED } from "./contents.ts";
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
    const received = state.receivers.find(({ lane }) => lane === frame.lane)?.received ?? 0;
    return advanceSession(state, { type: "frame", frame: { ...frame, firstSeq: received + 1 } }, nowMs);
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
  machine("waits for acknowledgements without end", (state, event, nowMs) =>
    advanceSession(
      { ...state, senders: state.senders.map((sender) => ({ ...sender, progressMs: nowMs })) },
      event,
      nowMs,
    ),
  ),
  { name: "begins the next session before the last one's work is done", build: { ...PRODUCT, waitsForWork: false } },
  {
    name: "goes on from its own cursor instead of the cloud's watermark",
    build: {
      ...PRODUCT,
      edgeOpening: (opening, store) => ({
        ...opening,
        sending: opening.sending.map((start) => ({
          ...start,
          seq: start.lane === "downlink" ? start.seq : store.cursor(start.lane) - 1,
        })),
      }),
    },
  },
  edgeStore("lets telemetry go without waiting for its config", (store) => {
    const read = store.telemetryBatch.bind(store);
    store.telemetryBatch = (row, afterSeq) => ({ ...read(row, afterSeq), configSeq: 0 });
  }),
  edgeStore("gives merged rows the config sequence of the first", (store) => {
    store.mergedConfigSeq = (rows) => rows[0]?.configSeq ?? 0;
  }),
  edgeStore("sends a merged row whole though a part of it is committed", (store) => {
    const read = store.telemetryBatch.bind(store);
    store.telemetryBatch = (row) => read(row, 0);
  }),
  edgeStore("removes records without telling the cloud", (store) => {
    store.tellGap = () => undefined;
  }),
  edgeStore("closes up thinned rows, so that records get other numbers", (store) => {
    const read = store.telemetryBatch.bind(store);
    store.telemetryBatch = (row, afterSeq) => {
      const kept = row.contents.filter((content) => content !== REMOVED);
      return kept.length === 0 ? read(row, afterSeq) : read({ ...row, contents: kept }, afterSeq);
    };
  }),
  edgeStore("moves the cursor to what was written", (store) => {
    const settle = store.settle.bind(store);
    store.settle = (lane, _seq, rejections) => settle(lane, store.nextSeq(lane) - 1, rejections);
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
    store.welcome = (frame) => welcome({ ...frame, downlinkResume: store.downlinkApplied });
  }),
  edgeStore("forgets what it refused when the acknowledgement is lost", (store) => {
    store.keepRejections = () => undefined;
  }),
  edgeStore("takes what the Welcome says was committed for acknowledged", (store) => {
    const welcome = store.welcome.bind(store);
    store.welcome = (frame) => {
      const missed = welcome(frame);
      for (const { lane, seq } of frame.watermarks) store.settle(lane, seq, []);
      return missed;
    };
  }),
  cloudStore("forgets what it refused when the acknowledgement is lost", (store) => {
    store.keepRejections = () => undefined;
  }),
  cloudStore("takes what the edge has applied for acknowledged", (store) => {
    store.heardUpTo = (resume) => resume;
  }),
  cloudStore("does not compare session and watermark before it applies", (store) => {
    store.guardUplink = () => undefined;
  }),
  cloudStore("does not compare the session before it applies", (store) => {
    store.guardUplink = (source, from) => {
      if (store.watermark(source.storeId, source.lane) !== from)
        throw new AppError("SESSION_FENCED", "Watermark differs");
    };
  }),
  cloudStore("commits the watermark before the effects", (store) => {
    const apply = store.applyUplink.bind(store);
    let calls = 0;
    store.applyUplink = (source, batches) => {
      calls += 1;
      const last = batches.at(-1);
      if (calls % 50 !== 0 || last === undefined) return apply(source, batches);
      store.guardUplink(source, (batches[0]?.firstSeq ?? 1) - 1);
      store.moveWatermark(source, lastSeqOf(last));
      throw new AppError("DATABASE_UNAVAILABLE", "The connection was lost between two commits");
    };
  }),
  cloudStore("commits the effects before the watermark", (store) => {
    const move = store.moveWatermark.bind(store);
    let calls = 0;
    store.moveWatermark = (source, to) => {
      calls += 1;
      if (calls % 50 === 0) throw new AppError("DATABASE_UNAVAILABLE", "The connection was lost between two commits");
      move(source, to);
    };
  }),
  cloudStore("takes an edge whose database is older than what it sent", (store) => {
    store.guardOffer = () => undefined;
  }),
  cloudStore("goes on with downlinks where another database of the edge was", (store) => {
    store.resumeDownlinks = ({ downlinkApplied }) => ({ seq: downlinkApplied, fullSync: false });
  }),
  cloudStore("skips downlinks of another database without a full sync", (store) => {
    const resume = store.resumeDownlinks.bind(store);
    store.resumeDownlinks = (hello) => ({ ...resume(hello), fullSync: false });
  }),
  cloudStore("forgets a full sync of which the edge was not told", (store) => {
    const open = store.openSession.bind(store);
    store.openSession = (hello) => {
      const isNew = store.storeId !== hello.storeId;
      const opened = open(hello);
      // Counted from where the edge was, which skips what the Welcome of another database would have named.
      return isNew ? { ...opened, downlinkResume: store.downlinkLast } : opened;
    };
  }),
  cloudStore("does not lift its last downlink over what the edge applied", (store) => {
    const open = store.openSession.bind(store);
    store.openSession = (hello) => {
      const last = store.downlinkLast;
      const opened = open(hello);
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
