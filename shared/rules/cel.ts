import type * as CelLibrary from "@bufbuild/cel";
import { AppError } from "../core/errors.ts";
import type { Json } from "../entities/entity-record.ts";
import type { RuleMessage } from "./message.ts";

// Expressions of rules: CEL (https://cel.dev) with bounds on its length and on what one evaluation may cost.
// - Numbers of variables are doubles, as JSON has them; `temperature * 2` works, because doubles and ints mix here.
// - The functions of the standard and of the strings extension are there.
// - There are no variables but those that are given: nothing outside is reached, and nothing has an effect.

export const CEL_LENGTH_MAX = 4_096;
/** Nodes of the syntax tree: what an evaluation without loops costs at most. */
const NODES_MAX = 1_000;
/** Steps of all the loops (`map`, `filter`, `all`, `exists`, …) of one evaluation. */
const LOOP_STEPS_MAX = 10_000;
/** Of a result. */
const RESULT_NODES_MAX = 10_000;
/** Of variables and results. */
const DEPTH_MAX = 32;

export type CelVariables = Readonly<Record<string, Json>>;

/** What goes wrong in an evaluation (a missing key, a text where a number is needed) is a value: it depends on the data. */
export type CelOutcome = { readonly ok: true; readonly value: Json } | { readonly ok: false; readonly reason: string };

export interface CelExpression {
  readonly text: string;
  /** Per variable the members that the expression names: of `telemetry.co2 > 1` co2 of telemetry. Those that it works out are not in it. */
  readonly members: ReadonlyMap<string, ReadonlySet<string>>;
  /** Variables and types that the expression names, those of its own loops aside. */
  readonly names: ReadonlySet<string>;
  evaluate(variables: CelVariables): CelOutcome;
}

export interface Cel {
  /** @throws AppError INVALID_ARGUMENT that says where the text is wrong, or which bound it exceeds */
  compile(text: string): CelExpression;
}

type Library = typeof CelLibrary;
type Expr = ReturnType<Library["parse"]>["expr"];
type Input = CelLibrary.CelInput;
type Env = ReturnType<Library["celEnv"]>;

/** Loads the language, which only sites that use it pay for. Compiling and evaluating wait for nothing then. */
export async function loadCel(): Promise<Cel> {
  const [library, { strings }] = await Promise.all([import("@bufbuild/cel"), import("@bufbuild/cel/ext")]);
  const budget = { stepsLeft: LOOP_STEPS_MAX };
  const env = library.celEnv({ funcs: [...strings, ...mixedArithmetic(library), stepCounter(library, budget)] });
  return { compile: (text) => compile(text, { library, env, budget }) };
}

/** What expressions about a message may name. */
export function messageVariables({ type, originator, tsMs, data, metadata }: RuleMessage): CelVariables {
  return {
    msg: data,
    metadata,
    msgType: type,
    ts: tsMs,
    originator: { entityType: originator.type, id: originator.id },
  };
}

interface Compiler {
  readonly library: Library;
  readonly env: Env;
  readonly budget: { stepsLeft: number };
}

function compile(text: string, { library, env, budget }: Compiler): CelExpression {
  if (text.length > CEL_LENGTH_MAX) {
    throw invalid(`Expected at most ${CEL_LENGTH_MAX} characters, got ${text.length}`);
  }
  const named: Named = { members: new Map(), names: new Set(), loops: new Set() };
  const evaluate = ((): ((variables: Record<string, Input>) => unknown) => {
    try {
      const parsed = library.parse(text);
      examine(parsed.expr, named);
      return library.plan(env, parsed);
    } catch (thrown) {
      throw thrown instanceof AppError ? thrown : invalid(reasonOf(thrown));
    }
  })();
  return {
    text,
    members: named.members,
    names: named.names.difference(named.loops),
    evaluate: (variables) => {
      budget.stepsLeft = LOOP_STEPS_MAX;
      try {
        const inputs: Record<string, Input> = {};
        for (const [name, value] of Object.entries(variables)) inputs[name] = toInput(value, DEPTH_MAX);
        const result = evaluate(inputs);
        if (library.isCelError(result)) return { ok: false, reason: reasonOf(result) };
        return { ok: true, value: new ResultReader(library).read(result, DEPTH_MAX) };
      } catch (thrown) {
        return { ok: false, reason: reasonOf(thrown) };
      }
    },
  };
}

const STEP = "@step";

interface Named {
  readonly members: Map<string, Set<string>>;
  readonly names: Set<string>;
  /** Variables of loops. */
  readonly loops: Set<string>;
}

/**
 * Counts the nodes, makes every turn of a loop pass through the counter of steps, which ends the loop by an error, and notes which
 * variables and members of them are named.
 */
function examine(root: Expr, named: Named): void {
  const open: (Expr | undefined)[] = [root];
  let nodes = 0;
  while (open.length > 0) {
    const expr = open.pop();
    if (expr === undefined) continue;
    nodes += 1;
    if (nodes > NODES_MAX) throw invalid(`Expected an expression of at most ${NODES_MAX} parts`);
    noteMember(expr, named.members);
    const { exprKind } = expr;
    switch (exprKind.case) {
      case "identExpr":
        named.names.add(exprKind.value.name);
        break;
      case "selectExpr":
        open.push(exprKind.value.operand);
        break;
      case "callExpr":
        open.push(exprKind.value.target, ...exprKind.value.args);
        break;
      case "listExpr":
        open.push(...exprKind.value.elements);
        break;
      case "structExpr":
        for (const { keyKind, value } of exprKind.value.entries) {
          open.push(value, keyKind.case === "mapKey" ? keyKind.value : undefined);
        }
        break;
      case "comprehensionExpr": {
        const loop = exprKind.value;
        for (const name of [loop.iterVar, loop.iterVar2, loop.accuVar]) named.loops.add(name);
        open.push(loop.iterRange, loop.accuInit, loop.loopCondition, loop.loopStep, loop.result);
        if (loop.loopCondition !== undefined) loop.loopCondition = counted(loop.loopCondition);
        break;
      }
      default: // constants have no parts
        break;
    }
  }
}

/** `variable.member` and `variable["member"]`. */
function noteMember({ exprKind }: Expr, members: Map<string, Set<string>>): void {
  const [of, name] =
    exprKind.case === "selectExpr"
      ? [exprKind.value.operand, exprKind.value.field]
      : exprKind.case === "callExpr" && exprKind.value.function === "_[_]"
        ? [exprKind.value.args[0], textOf(exprKind.value.args[1])]
        : [];
  if (of?.exprKind.case !== "identExpr" || name === undefined) return;
  const variable = of.exprKind.value.name;
  members.set(variable, (members.get(variable) ?? new Set<string>()).add(name));
}

function textOf(expr: Expr | undefined): string | undefined {
  const kind = expr?.exprKind.case === "constExpr" ? expr.exprKind.value.constantKind : undefined;
  return kind?.case === "stringValue" ? kind.value : undefined;
}

function counted(condition: Expr): Expr {
  const call = { $typeName: "cel.expr.Expr.Call", function: STEP, args: [condition] } as const;
  return { ...condition, exprKind: { case: "callExpr", value: { ...call, args: [...call.args] } } };
}

function stepCounter({ CelScalar, celFunc }: Library, budget: { stepsLeft: number }) {
  return celFunc(STEP, [CelScalar.DYN], CelScalar.DYN, (condition) => {
    budget.stepsLeft -= 1;
    if (budget.stepsLeft < 0) throw new Error(`The loops of the expression take more than ${LOOP_STEPS_MAX} steps`);
    return condition;
  });
}

/** The standard takes no int beside a double, so that `temperature * 2` would be an error for every number that JSON has. */
function mixedArithmetic({ CelScalar: { DOUBLE, INT }, celFunc }: Library) {
  const operations: Readonly<Record<string, (left: number, right: number) => number>> = {
    "_+_": (left, right) => left + right,
    "_-_": (left, right) => left - right,
    "_*_": (left, right) => left * right,
    "_/_": (left, right) => left / right,
    "_%_": (left, right) => left % right,
  };
  return Object.entries(operations).flatMap(([name, apply]) => [
    celFunc(name, [DOUBLE, INT], DOUBLE, (left, right) => apply(left, Number(right))),
    celFunc(name, [INT, DOUBLE], DOUBLE, (left, right) => apply(Number(left), right)),
    ...(name === "_%_" ? [celFunc(name, [DOUBLE, DOUBLE], DOUBLE, apply)] : []),
  ]);
}

/** Maps instead of objects: a member of any name is only a member then. */
function toInput(value: Json, depthLeft: number): Input {
  if (typeof value !== "object" || value === null) return value;
  if (depthLeft === 0) throw new Error(`Expected values that are nested at most ${DEPTH_MAX} deep`);
  if (Array.isArray(value)) return value.map((element: Json) => toInput(element, depthLeft - 1));
  return new Map(Object.entries(value).map(([name, member]) => [name, toInput(member, depthLeft - 1)]));
}

/** Results as JSON: times and durations as ms, whole numbers beyond 2^53 as the nearest. */
class ResultReader {
  readonly #library: Library;
  #nodesLeft = RESULT_NODES_MAX;

  constructor(library: Library) {
    this.#library = library;
  }

  read(value: unknown, depthLeft: number): Json {
    const { isCelList, isCelMap, isCelUint } = this.#library;
    this.#nodesLeft -= 1;
    if (depthLeft === 0 || this.#nodesLeft < 0) {
      throw new Error(`Expected a result of at most ${RESULT_NODES_MAX} values, nested at most ${DEPTH_MAX} deep`);
    }
    if (typeof value === "number" && !Number.isFinite(value)) throw new Error(`Expected a number, got ${value}`);
    if (value === null || typeof value === "boolean" || typeof value === "number" || typeof value === "string")
      return value;
    if (typeof value === "bigint") return Number(value);
    if (isCelUint(value)) return Number(value.value);
    if (isCelList(value)) return Array.from(value, (element) => this.read(element, depthLeft - 1));
    if (isCelMap(value)) {
      return Object.fromEntries(
        Array.from(value, ([key, member]) => [
          isCelUint(key) ? String(key.value) : String(key),
          this.read(member, depthLeft - 1),
        ]),
      );
    }
    const time = timeOf(value);
    if (time === undefined) throw new Error("Expected a result that JSON has: a number, text, boolean, list or map");
    return time;
  }
}

/** google.protobuf.Timestamp and Duration, in ms. */
function timeOf(value: unknown): number | undefined {
  if (typeof value !== "object" || value === null || !("message" in value)) return undefined;
  const { message } = value;
  if (typeof message !== "object" || message === null || !("seconds" in message) || !("nanos" in message))
    return undefined;
  return Number(message.seconds) * 1_000 + Math.trunc(Number(message.nanos) / 1_000_000);
}

function reasonOf(thrown: unknown): string {
  return (thrown instanceof Error ? thrown.message : String(thrown)).slice(0, 500);
}

function invalid(reason: string): AppError {
  return new AppError("INVALID_ARGUMENT", `Unreadable CEL expression: ${reason}`);
}
