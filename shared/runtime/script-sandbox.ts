import wasmPath from "quickjs-wasi/quickjs.wasm" with { type: "file" };
import type { Random } from "../core/random.ts";
import { loadSandbox, type ScriptSandbox } from "../rules/chain/sandbox.ts";
import { systemClock } from "./system-clock.ts";

/** @param inputs what scripts take for the time and for chance; how long they run is measured by the system's clock */
export function openScriptSandbox(inputs: {
  readonly nowMs: () => number;
  readonly random: Random;
}): Promise<ScriptSandbox> {
  return loadSandbox({
    clock: { nowMs: inputs.nowMs, monotonicMs: () => systemClock.monotonicMs() },
    random: inputs.random,
    readWasm: () => Bun.file(wasmPath).bytes(),
  });
}

export type OpenScriptSandbox = typeof openScriptSandbox;
