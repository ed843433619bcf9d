import { afterAll, describe, expect, test } from "bun:test";
import wasmPath from "quickjs-wasi/quickjs.wasm" with { type: "file" };
import { createSeededRandom } from "../../shared/core/random.ts";
import { loadSandbox } from "../../shared/rules/chain/sandbox.ts";
import { openScriptSandbox } from "../../shared/runtime/script-sandbox.ts";

const sandbox = await openScriptSandbox({ nowMs: () => 1_700_000_000_000, random: createSeededRandom(1) });
afterAll(() => sandbox[Symbol.dispose]());

async function run(source: string, ...args: readonly unknown[]) {
  const names = ["msg", "metadata", "msgType"].slice(0, args.length);
  const script = await sandbox.compile(source, names);
  return script.call(args.map((arg) => JSON.stringify(arg)));
}

describe("script sandbox", () => {
  test("gives a script its arguments and takes its result as JSON", async () => {
    const outcome = await run(
      "msg.f = msg.c * 1.8 + 32; return { msg, metadata, msgType };",
      { c: 20 },
      { n: "a" },
      "T",
    );
    expect(outcome).toEqual({ ok: true, json: '{"msg":{"c":20,"f":68},"metadata":{"n":"a"},"msgType":"T"}' });
    expect(await run("var x = 1;")).toEqual({ ok: true, json: undefined });
  });

  test.each([
    ["a loop without end", "while (true) {}", "took more than 100 ms"],
    ["an expression that backtracks without end", 'return /(a+)+b/.test("a".repeat(60));', "took more than 100 ms"],
    ["a list without end", "const a = []; while (true) a.push(new Array(10000).fill(1));", "needs more than 8 MB"],
    [
      "a recursion without end",
      "function f(n) { return f(n + 1) + 1; } return f(0);",
      "Maximum call stack size exceeded",
    ],
    ["a promise", "return Promise.resolve(1);", "not a promise"],
    ["a large result", 'return "a".repeat(2 * 1024 * 1024);', "at most 1048576 characters"],
    ["a throw", 'throw new Error("no such pump");', "no such pump"],
    ["what is not there", "return process.env;", "process is not defined"],
    ["a module", 'return import("fs");', "not a promise"],
  ])("ends %s, and runs the next script", async (_, source, reason) => {
    expect(await run(source)).toEqual({ ok: false, reason: expect.stringContaining(reason) });
    expect(await run("return 1 + 1;")).toEqual({ ok: true, json: "2" });
  });

  test("refuses a script that can't be read", async () => {
    await expect(sandbox.compile("return msg.;", ["msg"])).rejects.toThrow("The script can't be read");
    await expect(sandbox.compile("a".repeat(70_000), [])).rejects.toThrow("at most 65536 characters");
  });

  test("takes time and chance from its inputs", async () => {
    const draw = async (): Promise<unknown[]> => {
      const other = await openScriptSandbox({ nowMs: () => 1_700_000_000_000, random: createSeededRandom(1) });
      const script = await other.compile("return [Date.now(), new Date().getTime(), Math.random()];", []);
      const outcome = [await script.call([]), await script.call([])];
      other[Symbol.dispose]();
      return outcome;
    };
    const first = await draw();
    expect(JSON.stringify(first[0])).toMatch(/\[1700000000000,1700000000000,0\.\d+\]/);
    expect(first[1]).not.toEqual(first[0]);
    expect(await draw()).toEqual(first);
  });

  test("keeps what it needs from a script that takes the globals away", async () => {
    await run(
      "JSON.parse = JSON.stringify = undefined; Function.prototype.apply = undefined; globalThis.Function = undefined;",
    );
    expect(await run("return msg;", { a: 1 })).toEqual({ ok: true, json: '{"a":1}' });
  });

  test("ends no short script because the machine is busy", async () => {
    let nowMs = 0;
    const busy = await loadSandbox({
      clock: { nowMs: () => 0, monotonicMs: () => (nowMs += 1_000) },
      random: createSeededRandom(1),
      readWasm: () => Bun.file(wasmPath).bytes(),
    });
    const script = await busy.compile("let n = 0; while (n < 20000) n += 1; return n;", []);
    expect(await script.call([])).toEqual({ ok: true, json: "20000" });
    const endless = await busy.compile("while (true) {}", []);
    expect(await endless.call([])).toMatchObject({ ok: false });
    busy[Symbol.dispose]();
  });

  test("tells every time that it can't be started, and can be given up", async () => {
    const empty = Uint8Array.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
    const broken = await loadSandbox({
      clock: { nowMs: () => 0, monotonicMs: () => 0 },
      random: createSeededRandom(1),
      readWasm: () => Promise.resolve(empty),
    });
    await expect(broken.compile("return 1;", [])).rejects.toThrow();
    await expect(broken.compile("return 1;", [])).rejects.toThrow();
    broken[Symbol.dispose]();
  });
});
