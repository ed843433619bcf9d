import type * as z from "zod";
import { AppError } from "../../core/errors.ts";
import type { Uuid } from "../../core/ids.ts";
import type { Random } from "../../core/random.ts";
import type { EntityRef } from "../../entities/change.ts";
import type { Cel } from "../cel.ts";
import type { CallAnswer, ChainEffect } from "./effects.ts";
import type { ChainMessage, NodeRef } from "./message.ts";
import type { ChainReads } from "./reads.ts";
import type { ScriptSandbox } from "./sandbox.ts";

// A kind of node is one file in nodes/ and a line in node-list.ts. It reads its configuration once, and is then asked for each message;
// what it wants done are effects, what it remembers is its state. It fails by throwing an AppError, which sends the message to Failure.

export interface Emission {
  readonly label: string;
  readonly message: ChainMessage;
}

export interface NodeOutcome {
  /** Empty: the message ends here. */
  readonly emissions: readonly Emission[];
  readonly effects?: readonly ChainEffect[];
  /** What the node remembers from now on: JSON; absent: as before. */
  readonly state?: unknown;
  /** Why the message goes to Failure with what is in `emissions`: counted and shown. */
  readonly failure?: string;
  /** Hands the message to another chain. */
  readonly enter?: { readonly chainId: Uuid; readonly message: ChainMessage };
  /** Hands the message back to the chain that it came from, under a label. */
  readonly leave?: Emission;
}

export interface NodeContext {
  readonly node: NodeRef;
  readonly nowMs: number;
  readonly random: Random;
  readonly reads: ChainReads;
  readonly tenant: EntityRef;
  /** What the node remembers; undefined: nothing yet. */
  readonly state: unknown;
}

export interface NodeRun {
  /** The chain to which it hands messages. */
  readonly leadsTo?: Uuid;
  handle(message: ChainMessage, context: NodeContext): NodeOutcome | Promise<NodeOutcome>;
  /** Once, when its chain begins to run. */
  start?(context: NodeContext): NodeOutcome;
  /** At a time for which it asked, or later. */
  wake?(context: NodeContext): NodeOutcome | Promise<NodeOutcome>;
  /** With the outcome of what it asked for. */
  answer?(message: ChainMessage, answer: CallAnswer): NodeOutcome;
}

/** Languages of expressions, loaded when the first node asks for them. */
export interface Languages {
  readonly cel: () => Promise<Cel>;
  readonly sandbox: () => Promise<ScriptSandbox>;
}

export interface NodeTools extends Languages {
  readonly name: string;
  /** Says what of the node's configuration works otherwise than where it comes from. */
  readonly note: (text: string) => void;
}

export interface NodeKind {
  /** Name of the public convention. */
  readonly type: string;
  /** @throws AppError INVALID_ARGUMENT for a configuration that can't be mapped */
  make(configuration: unknown, tools: NodeTools): Promise<NodeRun>;
}

const ENGINE = "org.thingsboard.rule.engine";

/** @param type behind the common prefix, e.g. `filter.TbMsgTypeFilterNode` */
export function defineNode<Config>(definition: {
  readonly type: string;
  readonly config: z.ZodType<Config>;
  readonly make: (config: Config, tools: NodeTools) => NodeRun | Promise<NodeRun>;
}): NodeKind {
  const { type, config, make } = definition;
  return {
    type: `${ENGINE}.${type}`,
    make: async (configuration, tools) => {
      const parsed = config.safeParse(configuration);
      if (parsed.success) return make(parsed.data, tools);
      const issue = parsed.error.issues[0];
      const place = issue?.path.join(".") ?? "";
      throw new AppError(
        "INVALID_ARGUMENT",
        `${place === "" ? "configuration" : place}: ${issue?.message ?? "invalid"}`,
      );
    },
  };
}

export const SUCCESS = "Success";
export const FAILURE = "Failure";

export function tell(label: string, message: ChainMessage): NodeOutcome {
  return { emissions: [{ label, message }] };
}

export function succeed(message: ChainMessage, effects: readonly ChainEffect[] = []): NodeOutcome {
  return { emissions: [{ label: SUCCESS, message }], effects };
}

export function fail(message: ChainMessage, reason: string): NodeOutcome {
  return { emissions: [{ label: FAILURE, message }], failure: reason };
}
