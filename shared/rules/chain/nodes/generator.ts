import * as z from "zod";
import { isUuid } from "../../../core/ids.ts";
import type { EntityRef } from "../../../entities/change.ts";
import { derivedMessage, type ChainMessage } from "../message.ts";
import { defineNode, SUCCESS, type NodeContext, type NodeOutcome } from "../node-kind.ts";
import { chosenScript, compileScript, scriptMembers } from "../scripts.ts";
import { wakeAt, type Waking } from "../wakes.ts";
import { changedMessages } from "./script-transform.ts";

interface GeneratorState extends Waking {
  readonly made: number;
  /** What the script sees as the message before. */
  readonly previous: ChainMessage | null;
}

const NOTHING: GeneratorState = { wakeMs: null, made: 0, previous: null };

/** Arguments of its scripts. */
const ARGUMENTS = ["prevMsg", "prevMetadata", "prevMsgType"] as const;

/** Makes a message at intervals. */
export const generator = defineNode({
  type: "debug.TbMsgGeneratorNode",
  config: z.object({
    msgCount: z.int().min(0).nullish(),
    periodInSeconds: z.number().min(1).max(86_400),
    originatorId: z.string().nullish(),
    originatorType: z.string().nullish(),
    ...scriptMembers,
  }),
  make: async (config, tools) => {
    const script = await compileScript(chosenScript(config), tools, ARGUMENTS);
    const { msgCount, periodInSeconds } = config;
    const [originatorId, originatorType] = [config.originatorId ?? "", config.originatorType ?? ""];
    const mayMake = ({ made }: GeneratorState): boolean => (msgCount ?? 0) === 0 || made < (msgCount ?? 0);
    const again = (context: NodeContext, state: GeneratorState): NodeOutcome => {
      const atMs = mayMake(state) ? context.nowMs + periodInSeconds * 1000 : null;
      const { wakeMs, effects } = wakeAt(context, NOTHING, atMs);
      return { emissions: [], effects, state: { ...state, wakeMs } };
    };
    return {
      handle: () => ({ emissions: [] }),
      start: (context) => again(context, stateOf(context)),
      wake: async (context) => {
        const state = stateOf(context);
        const { nowMs, random, node } = context;
        if (state.wakeMs === null || nowMs < state.wakeMs) return { emissions: [] };
        const originator: EntityRef =
          isUuid(originatorId) && originatorType !== ""
            ? { type: originatorType, id: originatorId }
            : { type: "RULE_NODE", id: node.nodeId };
        const empty = derivedMessage({ type: "", originator, data: "{}" }, { nowMs, random, metadata: {} });
        try {
          const [message = empty] = changedMessages(empty, await script.run(state.previous ?? empty));
          const next = again(context, { ...state, made: state.made + 1, previous: message });
          return { ...next, emissions: [{ label: SUCCESS, message }] };
        } catch (thrown) {
          // A script that fails once is asked again next time.
          return { ...again(context, state), failure: thrown instanceof Error ? thrown.message : String(thrown) };
        }
      },
    };
  },
});

function stateOf({ state }: NodeContext): GeneratorState {
  return (state as GeneratorState | undefined) ?? NOTHING; // written by this node only
}
