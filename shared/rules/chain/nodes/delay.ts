import * as z from "zod";
import { AppError } from "../../../core/errors.ts";
import { checkKept, lengthOf } from "../kept.ts";
import type { ChainMessage } from "../message.ts";
import { defineNode, SUCCESS, type NodeContext, type NodeOutcome } from "../node-kind.ts";
import { fillPattern } from "../patterns.ts";
import { earliest, wakeAt, type Waking } from "../wakes.ts";

const PERIOD_SECONDS_MAX = 30 * 24 * 60 * 60;
const PENDING_MAX = 10_000;

interface DelayState extends Waking {
  /** Of all that waits. */
  readonly length: number;
  readonly pending: readonly { readonly atMs: number; readonly message: ChainMessage }[];
}

const NOTHING: DelayState = { wakeMs: null, length: 0, pending: [] };

/** Holds messages back for a time. */
export const delay = defineNode({
  type: "delay.TbMsgDelayNode",
  config: z.object({
    periodInSeconds: z.number().min(0).nullish(),
    maxPendingMsgs: z.number().min(1).nullish(),
    periodInSecondsPattern: z.string().nullish(),
    useMetadataPeriodInSecondsPatterns: z.boolean().nullish(),
  }),
  make: (config) => {
    const pendingMax = Math.min(config.maxPendingMsgs ?? 1_000, PENDING_MAX);
    const periodOf = (message: ChainMessage): number => {
      const usesPattern = config.useMetadataPeriodInSecondsPatterns ?? false;
      const text = usesPattern ? fillPattern(config.periodInSecondsPattern ?? "", message) : "";
      const seconds = usesPattern
        ? /^\d{1,9}$/.test(text)
          ? Number(text)
          : Number.NaN
        : (config.periodInSeconds ?? 60);
      if (!(seconds <= PERIOD_SECONDS_MAX)) {
        throw new AppError("INVALID_ARGUMENT", `Expected a period of at most ${PERIOD_SECONDS_MAX} seconds`);
      }
      return seconds * 1000;
    };
    return {
      handle: (message, context) => {
        const state = stateOf(context);
        if (state.pending.length >= pendingMax) {
          throw new AppError("TOO_MANY_REQUESTS", `More than ${pendingMax} messages wait here`);
        }
        const length = state.length + lengthOf(message);
        checkKept(length);
        const atMs = context.nowMs + periodOf(message);
        const { wakeMs, effects } = wakeAt(context, state, atMs);
        const next: DelayState = { wakeMs, length, pending: [...state.pending, { atMs, message }] };
        return { emissions: [], effects, state: next };
      },
      start: (context) => release(context),
      wake: (context) => release(context),
    };
  },
});

function release(context: NodeContext): NodeOutcome {
  const { pending } = stateOf(context);
  const due = pending.filter(({ atMs }) => atMs <= context.nowMs);
  const left = pending.filter(({ atMs }) => atMs > context.nowMs);
  const { wakeMs, effects } = wakeAt(context, NOTHING, earliest(left.map(({ atMs }) => atMs)));
  const length = left.reduce((sum, { message }) => sum + lengthOf(message), 0);
  const next: DelayState = { wakeMs, length, pending: left };
  const emissions = due
    .toSorted((one, other) => one.atMs - other.atMs)
    .map(({ message }) => ({ label: SUCCESS, message }));
  return { emissions, effects, state: next };
}

function stateOf({ state }: NodeContext): DelayState {
  return (state as DelayState | undefined) ?? NOTHING; // written by this node only
}
