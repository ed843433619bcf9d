import * as z from "zod";
import { AppError } from "../../../core/errors.ts";
import { checkKept, lengthOf } from "../kept.ts";
import { parseData, timeOf, type ChainMessage } from "../message.ts";
import { defineNode, SUCCESS, type NodeContext, type NodeOutcome } from "../node-kind.ts";
import { earliest, wakeAt, type Waking } from "../wakes.ts";

const PENDING_MAX = 1_000;
const ORIGINATORS_MAX = 10_000;

interface Group {
  readonly endMs: number;
  readonly messages: readonly ChainMessage[];
}

interface DeduplicationState extends Waking {
  /** Of all that waits. */
  readonly length: number;
  readonly groups: Readonly<Record<string, Group>>;
}

const NOTHING: DeduplicationState = { wakeMs: null, length: 0, groups: {} };

const config = z.object({
  interval: z.number().min(1).max(86_400),
  strategy: z.enum(["FIRST", "LAST", "ALL"]),
  outMsgType: z.string().nullish(),
  maxPendingMsgs: z.number().min(1).nullish(),
});
type Config = z.output<typeof config>;

/** Of the messages that an originator sends in an interval, which begins with the first of them, the first, the last, or all as one. */
export const deduplicate = defineNode({
  type: "deduplication.TbMsgDeduplicationNode",
  config,
  make: (settings) => {
    const pendingMax = Math.min(settings.maxPendingMsgs ?? 100, PENDING_MAX);
    return {
      handle: (message, context) => {
        const state = stateOf(context);
        const key = `${message.originator.type}/${message.originator.id}`;
        const group = state.groups[key] ?? { endMs: context.nowMs + settings.interval * 1000, messages: [] };
        if (group.messages.length >= pendingMax) {
          throw new AppError("TOO_MANY_REQUESTS", `More than ${pendingMax} messages of an originator wait here`);
        }
        if (state.groups[key] === undefined && Object.keys(state.groups).length >= ORIGINATORS_MAX) {
          throw new AppError("TOO_MANY_REQUESTS", `Messages of more than ${ORIGINATORS_MAX} originators wait here`);
        }
        const messages = kept([...group.messages, message], settings);
        const length = state.length - lengthOfAll(group.messages) + lengthOfAll(messages);
        if (length > state.length) checkKept(length);
        const { wakeMs, effects } = wakeAt(context, state, group.endMs);
        const next: DeduplicationState = { wakeMs, length, groups: { ...state.groups, [key]: { ...group, messages } } };
        return { emissions: [], effects, state: next };
      },
      start: (context) => release(context, settings),
      wake: (context) => release(context, settings),
    };
  },
});

function kept(messages: readonly ChainMessage[], { strategy }: Config): readonly ChainMessage[] {
  if (strategy === "ALL") return messages;
  const [first, ...others] = messages;
  if (first === undefined) return [];
  const isBetter = (one: ChainMessage, other: ChainMessage): boolean =>
    strategy === "FIRST" ? timeOf(one) < timeOf(other) : timeOf(one) >= timeOf(other);
  return [others.reduce((best, message) => (isBetter(message, best) ? message : best), first)];
}

function release(context: NodeContext, settings: Config): NodeOutcome {
  const groups = Object.entries(stateOf(context).groups);
  const left = groups.filter(([, { endMs }]) => endMs > context.nowMs);
  const due = groups.filter(([, { endMs }]) => endMs <= context.nowMs);
  const { wakeMs, effects } = wakeAt(context, NOTHING, earliest(left.map(([, { endMs }]) => endMs)));
  const length = left.reduce((sum, [, { messages }]) => sum + lengthOfAll(messages), 0);
  const next: DeduplicationState = { wakeMs, length, groups: Object.fromEntries(left) };
  const emissions = due.flatMap(([, { messages }]) => {
    const message = settings.strategy === "ALL" ? joined(messages, context, settings) : messages[0];
    return message === undefined ? [] : [{ label: SUCCESS, message }];
  });
  return { emissions, effects, state: next };
}

function lengthOfAll(messages: readonly ChainMessage[]): number {
  return messages.reduce((sum, message) => sum + lengthOf(message), 0);
}

function joined(
  messages: readonly ChainMessage[],
  { nowMs }: NodeContext,
  { outMsgType }: Config,
): ChainMessage | undefined {
  const [first] = messages;
  if (first === undefined) return undefined;
  const data = messages.map((message) => ({ msg: parseData(message), metadata: message.metadata }));
  return {
    ...first,
    type: outMsgType ?? first.type,
    tsMs: nowMs,
    data: JSON.stringify(data),
    metadata: { ts: String(nowMs) },
  };
}

function stateOf({ state }: NodeContext): DeduplicationState {
  return (state as DeduplicationState | undefined) ?? NOTHING; // written by this node only
}
