import { AppError } from "../core/errors.ts";
import type { SeqRange } from "../core/seq-range.ts";
import { countSeqs, gapsBelow, SEQ_MAX, unionOf } from "../core/seq-range.ts";
import type { BacklogOrder, Batch, Course, LaneCourse } from "./frames.ts";
import { lastSeqOf } from "./frames.ts";
import type { UplinkLane } from "./lanes.ts";
import { uplinkLaneOf } from "./lanes.ts";

// A course says what a lane carries in a session, and in which order: runs of sequence numbers, each contiguous inside. Most lanes have
// one run without an end. Telemetry has more after an outage: what the cloud has committed of it is a set of ranges, since fresh
// telemetry (lane live) does not wait for the backlog (lane telemetry).

/** Items that go in their order when the newest go first, at least; and the most chunks that a backlog is cut into. */
const CHUNK_ITEMS_MIN = 4_096;
const CHUNKS_MAX = 64;
/** With more gaps than this, all telemetry goes in order until they are filled: a link that flaps would make ever more of them. */
const GAPS_MAX = 256;

/** A lane whose every item from `firstSeq` on goes in order. */
export function inOrderFrom(firstSeq: number): Course {
  return [{ first: firstSeq, last: SEQ_MAX }];
}

/** What is left of a course once it went on to `lastSeq`. */
export function courseBehind(course: Course, lastSeq: number): Course {
  const [run, ...rest] = course;
  if (run === undefined) return course;
  return run.last > lastSeq ? [{ first: lastSeq + 1, last: run.last }, ...rest] : rest;
}

/** @returns what is wrong with the batch as the next one of this course; null: nothing */
export function faultOf(course: Course, batch: Pick<Batch, "lane" | "firstSeq" | "count">): string | null {
  const [run] = course;
  if (batch.count < 1) return `Batch of lane ${batch.lane} has ${batch.count} items, expected at least 1`;
  if (batch.firstSeq !== run?.first) {
    return `Batch of lane ${batch.lane} begins at ${batch.firstSeq}, expected ${run?.first ?? "none"}`;
  }
  if (lastSeqOf(batch) <= run.last) return null;
  return `Batch of lane ${batch.lane} ends at ${lastSeqOf(batch)}, expected at most ${run.last}`;
}

export interface TelemetryOffer {
  /** Sorted and apart. */
  readonly committed: readonly SeqRange[];
  readonly nextSeq: number;
  readonly order: BacklogOrder;
}

/** Every sequence that is not committed is in exactly one run; lanes without a run are left out. */
export function planTelemetry({ committed, nextSeq, order }: TelemetryOffer): readonly LaneCourse[] {
  const backlog = gapsBelow(committed, nextSeq);
  if (order === "oldest-first" || backlog.length > GAPS_MAX) {
    return [{ lane: "telemetry", course: joined([...backlog, ...inOrderFrom(nextSeq)]) }];
  }
  const live: LaneCourse = { lane: "live", course: inOrderFrom(nextSeq) };
  if (backlog.length === 0) return [live];
  return [live, { lane: "telemetry", course: order === "newest-first" ? newestFirst(backlog) : backlog }];
}

/**
 * What the cloud has committed of a lane of the edge below `nextSeq`: all that no run names.
 *
 * @throws AppError PROTOCOL_ERROR when no run of the lane is open: what is written from now on would never be sent
 */
export function committedBelow(courses: readonly LaneCourse[], lane: UplinkLane, nextSeq: number): readonly SeqRange[] {
  const runs = unionOf(courses.filter((course) => uplinkLaneOf(course.lane) === lane).flatMap(({ course }) => course));
  if (runs.at(-1)?.last !== SEQ_MAX)
    throw new AppError("PROTOCOL_ERROR", `The Welcome leaves lane ${lane} without an end`);
  return gapsBelow(runs, nextSeq);
}

function newestFirst(backlog: readonly SeqRange[]): Course {
  const size = Math.max(CHUNK_ITEMS_MIN, Math.ceil(countSeqs(backlog) / CHUNKS_MAX));
  const runs: SeqRange[] = [];
  for (const { first, last } of backlog.toReversed()) {
    for (let end = last; end >= first; end -= size) runs.push({ first: Math.max(first, end - size + 1), last: end });
  }
  return runs;
}

/** Neighbouring runs as one. */
function joined(runs: Course): Course {
  const joint: SeqRange[] = [];
  for (const run of runs) {
    const before = joint.at(-1);
    if (before?.last === run.first - 1) joint[joint.length - 1] = { first: before.first, last: run.last };
    else joint.push(run);
  }
  return joint;
}
