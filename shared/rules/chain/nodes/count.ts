import * as z from "zod";
import { derivedMessage } from "../message.ts";
import { defineNode, SUCCESS, type NodeContext } from "../node-kind.ts";
import { wakeAt, type Waking } from "../wakes.ts";

interface CountState extends Waking {
  readonly count: number;
  readonly sinceMs: number;
}

/** Tells at intervals how many messages came, as telemetry of the tenant. */
export const countMessages = defineNode({
  type: "action.TbMsgCountNode",
  config: z.object({ interval: z.number().min(1).max(86_400), telemetryPrefix: z.string().min(1).max(200) }),
  make: ({ interval, telemetryPrefix }) => {
    const periodMs = interval * 1000;
    const stateOf = ({ state, nowMs }: NodeContext): CountState =>
      (state as CountState | undefined) ?? { wakeMs: null, count: 0, sinceMs: nowMs }; // written by this node only
    return {
      handle: (_, context) => {
        const state = stateOf(context);
        const { wakeMs, effects } = wakeAt(context, state, state.sinceMs + periodMs);
        return { emissions: [], effects, state: { ...state, wakeMs, count: state.count + 1 } };
      },
      start: (context) => {
        const state = stateOf(context);
        const { wakeMs, effects } = wakeAt(context, { wakeMs: null }, state.sinceMs + periodMs);
        return { emissions: [], effects, state: { ...state, wakeMs } };
      },
      wake: (context) => {
        const { count, sinceMs } = stateOf(context);
        const { nowMs, random, tenant } = context;
        if (nowMs < sinceMs + periodMs) return { emissions: [] };
        const message = derivedMessage(
          { type: "POST_TELEMETRY_REQUEST", originator: tenant, data: JSON.stringify({ [telemetryPrefix]: count }) },
          { nowMs, random, metadata: { delta: String(nowMs - sinceMs), ts: String(nowMs) } },
        );
        const { wakeMs, effects } = wakeAt(context, { wakeMs: null }, nowMs + periodMs);
        return { emissions: [{ label: SUCCESS, message }], effects, state: { wakeMs, count: 0, sinceMs: nowMs } };
      },
    };
  },
});
