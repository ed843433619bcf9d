import type * as QuickJsLibrary from "quickjs-wasi";
import type { Clock } from "../../core/clock.ts";
import { AppError } from "../../core/errors.ts";
import type { Random } from "../../core/random.ts";

// JavaScript of users, in QuickJS compiled to WebAssembly: it reaches nothing outside, has no modules and no I/O. Its time is the clock's,
// its random numbers are those of Random, so that a replay gives the same.
// - A call takes CALL_MS_MAX at most, all scripts of a sandbox share MEMORY_BYTES_MAX.
// - A machine that ran out of memory or crashed is thrown away; the next call gets a new one.
// - Scripts of a sandbox share its globals, as those of one site may; each sandbox is a machine of its own.

export const SCRIPT_LENGTH_MAX = 64 * 1024;
const CALL_MS_MAX = 100;
/** Why a script failed that ran into its limit of time. */
export const SCRIPT_TOOK_LONG = `The script took more than ${CALL_MS_MAX} ms`;
/** QuickJS asks after thousands of steps; who was asked less often did not run, but wait for a busy machine. */
const POLLS_MIN = 10;
const MEMORY_BYTES_MAX = 8 * 1024 * 1024;
/** QuickJS checks it on its own; without it a deep recursion would run into the end of the machine's stack. */
const STACK_BYTES_MAX = 128 * 1024;
/** Of all arguments together, and of a result. */
const TEXT_LENGTH_MAX = 1024 * 1024;

/** Expected per call, as it depends on the data: a value. `json` undefined: it returned nothing. */
export type ScriptOutcome =
  | { readonly ok: true; readonly json: string | undefined }
  | { readonly ok: false; readonly reason: string };

export interface Script {
  /** @param texts the arguments as JSON */
  call(texts: readonly string[]): Promise<ScriptOutcome>;
}

export interface ScriptSandbox extends Disposable {
  /**
   * @param source the body of a function
   * @throws AppError INVALID_ARGUMENT that says what is wrong with the source
   */
  compile(source: string, parameters: readonly string[]): Promise<Script>;
}

export interface SandboxDeps {
  readonly clock: Pick<Clock, "nowMs" | "monotonicMs">;
  readonly random: Random;
  /** The program of the machine (shared/runtime/quickjs-wasm.ts). */
  readonly readWasm: () => Promise<Uint8Array<ArrayBuffer>>;
}

type Library = typeof QuickJsLibrary;
type Machine = Awaited<ReturnType<Library["QuickJS"]["create"]>>;
type Handle = ReturnType<Machine["newString"]>;

/** Makes functions of sources that take and give JSON text; it keeps what it needs, so that no script can take it away from others. */
const PRELUDE = `(random => {
  const { parse, stringify } = JSON;
  const { Function, Promise } = globalThis;
  const apply = Function.prototype.call.bind(Function.prototype.apply);
  Math.random = () => random();
  return (source, names) => {
    const body = Function(...parse(names), source);
    return (...texts) => {
      for (let index = 0; index < texts.length; index += 1) texts[index] = parse(texts[index]);
      const result = apply(body, undefined, texts);
      if (result instanceof Promise) throw new TypeError("a script gives its result at once, not a promise");
      return stringify(result);
    };
  };
})`;

/** Loads the machine, which only sites that have scripts pay for. */
export async function loadSandbox(deps: SandboxDeps): Promise<ScriptSandbox> {
  const [library, wasm] = await Promise.all([import("quickjs-wasi"), deps.readWasm()]);
  return new Sandbox(deps, library, await WebAssembly.compile(wasm));
}

interface Running {
  readonly machine: Machine;
  readonly make: Handle;
  readonly functions: Map<string, Handle>;
}

class Sandbox implements ScriptSandbox {
  readonly #deps: SandboxDeps;
  readonly #library: Library;
  readonly #program: WebAssembly.Module;
  #running: Promise<Running> | undefined;
  #deadlineMs = Infinity;
  #polls = 0;

  constructor(deps: SandboxDeps, library: Library, program: WebAssembly.Module) {
    this.#deps = deps;
    this.#library = library;
    this.#program = program;
  }

  async compile(source: string, parameters: readonly string[]): Promise<Script> {
    if (source.length > SCRIPT_LENGTH_MAX) {
      throw new AppError(
        "INVALID_ARGUMENT",
        `A script has at most ${SCRIPT_LENGTH_MAX} characters, got ${source.length}`,
      );
    }
    const names = JSON.stringify(parameters);
    const made = await this.#attempt((running) => {
      this.#functionOf(running, source, names);
      return undefined;
    });
    if (!made.ok) throw new AppError("INVALID_ARGUMENT", `The script can't be read: ${made.reason}`);
    return { call: (texts) => this.#call(source, names, texts) };
  }

  [Symbol.dispose](): void {
    this.#running?.then(
      ({ machine }) => machine.dispose(),
      () => undefined,
    );
    this.#running = undefined;
  }

  async #call(source: string, names: string, texts: readonly string[]): Promise<ScriptOutcome> {
    const length = texts.reduce((sum, text) => sum + text.length, 0);
    if (length > TEXT_LENGTH_MAX) {
      return { ok: false, reason: `A script takes at most ${TEXT_LENGTH_MAX} characters, got ${length}` };
    }
    return this.#attempt((running) => {
      const { machine } = running;
      const compiled = this.#functionOf(running, source, names);
      const values = texts.map((text) => machine.newString(text));
      try {
        const result = machine.callFunction(compiled, machine.undefined, ...values);
        const json = result.isUndefined ? undefined : result.toString();
        result.dispose();
        if ((json?.length ?? 0) > TEXT_LENGTH_MAX) {
          throw new AppError("PAYLOAD_TOO_LARGE", `A script gives at most ${TEXT_LENGTH_MAX} characters`);
        }
        return json;
      } finally {
        for (const value of values) value.dispose();
      }
    });
  }

  async #attempt(use: (running: Running) => string | undefined): Promise<ScriptOutcome> {
    const running = await this.#machine();
    this.#deadlineMs = this.#deps.clock.monotonicMs() + CALL_MS_MAX;
    this.#polls = 0;
    try {
      return { ok: true, json: use(running) };
    } catch (thrown) {
      if (thrown instanceof AppError) return { ok: false, reason: thrown.message };
      const reason = thrown instanceof Error ? thrown.message : String(thrown);
      const isOfScript = thrown instanceof this.#library.JSException;
      if (isOfScript) thrown.dispose();
      if (!isOfScript || reason.includes("out of memory")) this.#running = undefined;
      return { ok: false, reason: reasonOf(reason) };
    }
  }

  /** One that could not be started is not kept. */
  #machine(): Promise<Running> {
    this.#running ??= this.#start().catch((thrown: unknown) => {
      this.#running = undefined;
      throw thrown;
    });
    return this.#running;
  }

  #functionOf({ functions, machine, make }: Running, source: string, names: string): Handle {
    const key = `${names}${source}`;
    const known = functions.get(key);
    if (known !== undefined) return known;
    const values = [machine.newString(source), machine.newString(names)];
    try {
      const compiled = machine.callFunction(make, machine.undefined, ...values);
      functions.set(key, compiled);
      return compiled;
    } finally {
      for (const value of values) value.dispose();
    }
  }

  async #start(): Promise<Running> {
    const { clock, random } = this.#deps;
    const machine = await this.#library.QuickJS.create({
      wasm: this.#program,
      memoryLimit: MEMORY_BYTES_MAX,
      maxStackSize: STACK_BYTES_MAX,
      interruptHandler: () => {
        this.#polls += 1;
        return this.#polls > POLLS_MIN && clock.monotonicMs() > this.#deadlineMs;
      },
      wasi: (memory: WebAssembly.Memory) => ({
        clock_time_get: (_id: number, _precision: bigint, address: number): number => {
          new DataView(memory.buffer).setBigUint64(address, BigInt(clock.nowMs()) * 1_000_000n, true);
          return 0;
        },
      }),
    });
    // What is ours is not measured.
    this.#deadlineMs = Infinity;
    const prelude = machine.evalCode(PRELUDE);
    const drawRandom = machine.newFunction("random", () => machine.newNumber(random.float()));
    const make = machine.callFunction(prelude, machine.undefined, drawRandom);
    return { machine, make, functions: new Map() };
  }
}

function reasonOf(message: string): string {
  if (message.includes("interrupted")) return SCRIPT_TOOK_LONG;
  if (message.includes("out of memory")) return `The script needs more than ${MEMORY_BYTES_MAX / 1024 / 1024} MB`;
  return message.slice(0, 500);
}
