import { AppError } from "../../shared/core/errors.ts";
import type { CallOutcome, RpcRecord } from "../../shared/entities/rpc.ts";
import type { CallAnswer, CallHttp, PublishMqtt } from "../../shared/rules/chain/effects.ts";
import { rpcOf } from "../store/chain-effects.ts";
import type { StoredCall } from "../store/rule-chain-store.ts";

// What chains ask for outside, made after the commit that asked for it. Whatever comes of it is an answer; nothing is thrown.
// A call whose outcome was not committed is made again after a restart: services may see it twice. A request to a device is not: who
// opens a valve twice does harm.

/** HTTP calls and publications under way; others wait for their turn. */
const AT_ONCE_MAX = 8;

export interface CallPorts {
  /** Sends a request to a device and waits for what comes of it. @throws AppError TOO_MANY_REQUESTS */
  callDevice(record: RpcRecord): Promise<CallOutcome>;
  /** @throws AppError that says what went wrong, DEADLINE_EXCEEDED after `timeoutMs` */
  callHttp(call: CallHttp, signal: AbortSignal): Promise<CallAnswer>;
  /** Resolves when the broker has it. @throws AppError as `callHttp` */
  publishMqtt(publication: PublishMqtt, signal: AbortSignal): Promise<void>;
}

export interface ChainCallsDeps {
  readonly ports: CallPorts;
  readonly nowMs: () => number;
  readonly onAnswer: (call: StoredCall, answer: CallAnswer) => void;
}

export class ChainCalls {
  readonly #deps: ChainCallsDeps;
  readonly #stop = new AbortController();
  readonly #waiting: StoredCall[] = [];
  #underWay = 0;

  constructor(deps: ChainCallsDeps) {
    this.#deps = deps;
  }

  start(call: StoredCall): void {
    if (call.effect.kind === "send-rpc") {
      void this.#make(call);
      return;
    }
    this.#waiting.push(call);
    this.#next();
  }

  /** What was asked for before the program was started. */
  resume(call: StoredCall): void {
    if (call.effect.kind !== "send-rpc") this.start(call);
    else this.#deps.onAnswer(call, failed("The edge was restarted before the device answered"));
  }

  /** Answers are for nobody from now on: they are asked for again after the next start. */
  stop(): void {
    this.#stop.abort();
    this.#waiting.length = 0;
  }

  #next(): void {
    while (this.#underWay < AT_ONCE_MAX) {
      const call = this.#waiting.shift();
      if (call === undefined) return;
      this.#underWay += 1;
      void this.#make(call).finally(() => {
        this.#underWay -= 1;
        this.#next();
      });
    }
  }

  async #make(call: StoredCall): Promise<void> {
    const answer = await this.#ask(call).catch((thrown: unknown) => failed(AppError.from(thrown).message));
    if (!this.#stop.signal.aborted) this.#deps.onAnswer(call, answer);
  }

  async #ask({ effect, id }: StoredCall): Promise<CallAnswer> {
    const { nowMs, ports } = this.#deps;
    switch (effect.kind) {
      case "send-rpc":
        return answerOf(await ports.callDevice(rpcOf(id, effect, nowMs())));
      case "call-http":
        return ports.callHttp(effect, this.#stop.signal);
      case "publish-mqtt":
        await ports.publishMqtt(effect, this.#stop.signal);
        return { ok: true, body: "", metadata: {} };
      default:
        return effect satisfies never;
    }
  }
}

function answerOf(outcome: CallOutcome): CallAnswer {
  switch (outcome.kind) {
    case "delivered":
      return { ok: true, body: "", metadata: {} };
    case "answered":
      return { ok: true, body: outcome.response, metadata: {} };
    case "unreadable":
      return failed("The answer of the device is not JSON");
    case "no-answer":
      return failed("The device did not answer in time");
    case "no-connection":
      return failed("The device was not connected");
    default:
      return outcome satisfies never;
  }
}

export function failed(reason: string): CallAnswer {
  return { ok: false, reason, metadata: {} };
}
