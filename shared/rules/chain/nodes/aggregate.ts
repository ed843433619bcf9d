import * as z from "zod";
import { AppError } from "../../../core/errors.ts";
import type { EntityRef } from "../../../entities/change.ts";
import { objectData, timeOf, type ChainMessage } from "../message.ts";
import { defineNode, SUCCESS, type Emission, type NodeContext, type NodeOutcome } from "../node-kind.ts";
import { fillPattern } from "../patterns.ts";
import { earliest, wakeAt, type Waking } from "../wakes.ts";

const UNITS_MS = { MILLISECONDS: 1, SECONDS: 1_000, MINUTES: 60_000, HOURS: 3_600_000, DAYS: 86_400_000 } as const;
const ORIGINATORS_MAX = 10_000;

/** What has come in a window of one originator. */
interface Window {
  /** The first one, without its data. */
  readonly message: ChainMessage;
  readonly outputKey: string;
  readonly startMs: number;
  /** By the clock, not by the times of messages, since clocks of devices stand as they like. */
  readonly closeMs: number;
  readonly count: number;
  readonly sum: number;
  readonly min: number;
  readonly max: number;
}

interface AggregateState extends Waking {
  readonly windows: Readonly<Record<string, Window>>;
}

const NOTHING: AggregateState = { wakeMs: null, windows: {} };

const config = z.object({
  mathFunction: z.enum(["MIN", "MAX", "SUM", "AVG", "COUNT"]),
  aggIntervalType: z.literal("CUSTOM").nullish(),
  aggIntervalTimeUnit: z.enum(["MILLISECONDS", "SECONDS", "MINUTES", "HOURS", "DAYS"]),
  aggIntervalValue: z.int().min(1),
  inputValueKey: z.string().min(1),
  outputValueKey: z.string().min(1),
});
type Config = z.output<typeof config>;

/**
 * Aggregates a key per originator over windows of the time that messages are about. A window ends with the first message behind it, or
 * when it was open for its length; what comes for a window that has ended goes to Failure.
 */
export const aggregate = defineNode({
  type: "analytics.incoming.TbSimpleAggMsgNode",
  config,
  make: (settings) => {
    const lengthMs = settings.aggIntervalValue * UNITS_MS[settings.aggIntervalTimeUnit];
    return {
      handle: (message, context) => {
        const state = stateOf(context);
        const key = keyOf(message.originator);
        const startMs = Math.floor(timeOf(message) / lengthMs) * lengthMs;
        const known = state.windows[key];
        if (known !== undefined && startMs < known.startMs) {
          throw new AppError("INVALID_ARGUMENT", "The message is about a window that has ended");
        }
        if (known === undefined && Object.keys(state.windows).length >= ORIGINATORS_MAX) {
          throw new AppError("TOO_MANY_REQUESTS", `More than ${ORIGINATORS_MAX} originators have a window here`);
        }
        const value = valueOf(message, settings);
        const closes = known !== undefined && known.startMs < startMs;
        const opened = known === undefined || closes;
        const window: Window = opened
          ? {
              message: { ...message, data: "{}" },
              outputKey: fillPattern(settings.outputValueKey, message),
              startMs,
              closeMs: context.nowMs + lengthMs,
              count: 1,
              sum: value,
              min: value,
              max: value,
            }
          : { ...known, ...added(known, value) };
        const { wakeMs, effects } = wakeAt(context, state, window.closeMs);
        const next: AggregateState = { wakeMs, windows: { ...state.windows, [key]: window } };
        return { emissions: closes ? [result(known, settings)] : [], effects, state: next };
      },
      start: (context) => close(context, settings),
      wake: (context) => close(context, settings),
    };
  },
});

function added({ count, sum, min, max }: Window, value: number): Pick<Window, "count" | "sum" | "min" | "max"> {
  return { count: count + 1, sum: sum + value, min: Math.min(min, value), max: Math.max(max, value) };
}

function close(context: NodeContext, settings: Config): NodeOutcome {
  const windows = Object.entries(stateOf(context).windows);
  const left = windows.filter(([, { closeMs }]) => closeMs > context.nowMs);
  const due = windows.filter(([, { closeMs }]) => closeMs <= context.nowMs);
  const { wakeMs, effects } = wakeAt(context, NOTHING, earliest(left.map(([, { closeMs }]) => closeMs)));
  const next: AggregateState = { wakeMs, windows: Object.fromEntries(left) };
  return { emissions: due.map(([, window]) => result(window, settings)), effects, state: next };
}

function result({ message, outputKey, startMs, count, sum, min, max }: Window, { mathFunction }: Config): Emission {
  const value = { MIN: min, MAX: max, SUM: sum, AVG: sum / count, COUNT: count }[mathFunction];
  return {
    label: SUCCESS,
    message: {
      ...message,
      type: "POST_TELEMETRY_REQUEST",
      data: JSON.stringify({ [outputKey]: value }),
      metadata: { ...message.metadata, ts: String(startMs) },
    },
  };
}

function valueOf(message: ChainMessage, { inputValueKey, mathFunction }: Config): number {
  const value = objectData(message)[inputValueKey];
  if (mathFunction === "COUNT" && value !== undefined) return 1;
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  if (typeof number !== "number" || !Number.isFinite(number)) {
    throw new AppError("INVALID_PAYLOAD", `The payload of the message has no number ${inputValueKey}`);
  }
  return number;
}

function keyOf({ type, id }: EntityRef): string {
  return `${type}/${id}`;
}

function stateOf({ state }: NodeContext): AggregateState {
  return (state as AggregateState | undefined) ?? NOTHING; // written by this node only
}
