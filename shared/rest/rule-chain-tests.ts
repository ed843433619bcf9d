import * as z from "zod";
import { AppError } from "../core/errors.ts";
import { entityIdSchema, idInput, restId } from "../entities/fields.ts";
import type { OpenScriptSandbox } from "../runtime/script-sandbox.ts";
import { getEntity } from "../store/entity-store.ts";
import type { ResourceDeps } from "./resource.ts";
import { TENANT_ADMIN, type Call, type RouteTable } from "./route.ts";

export interface RuleTestDeps extends ResourceDeps {
  readonly openScriptSandbox: OpenScriptSandbox;
}

const tag = "Rule chains";

/** Of one process. */
const TESTS_AT_ONCE_MAX = 2;

/** Scripts and chains before they are used. Add them in front of what takes anything behind `/api/ruleChain/`. */
export function addRuleTestRoutes(routes: RouteTable, deps: RuleTestDeps): void {
  addScriptRoutes(routes, deps);
  addProblemsRoute(routes, deps);
}

const name = z.string().regex(/^[A-Za-z_$][\w$]*$/, { error: "Argument names should be names!" });

const scriptInput = z
  .object({
    script: z.string(),
    scriptType: z.enum(["update", "filter", "switch", "json", "generate", "string"]),
    argNames: z.array(name).max(3).nullish(),
    msg: z.string().nullish(),
    metadata: z.record(z.string(), z.string()).nullish(),
    msgType: z.string().nullish(),
  })
  .meta({ id: "TestScriptInput" });

function addScriptRoutes(routes: RouteTable, { clock, random, openScriptSandbox }: RuleTestDeps): void {
  routes.add(
    {
      method: "get",
      path: "/api/ruleChain/tbelEnabled",
      tag,
      summary: "Whether scripts may be in TBEL as a language of its own; they run as JavaScript",
      access: TENANT_ADMIN,
      answer: z.boolean(),
    },
    () => Promise.resolve(false),
  );
  routes.add(
    {
      method: "post",
      path: "/api/ruleChain/testScript",
      tag,
      summary: "Run a script once with the message given",
      access: TENANT_ADMIN,
      query: z.object({ scriptLang: z.enum(["JS", "TBEL"]).optional() }),
      body: scriptInput,
      answer: z.object({ output: z.string(), error: z.string() }),
    },
    async ({ body: { script: source, scriptType, argNames, msg, metadata, msgType } }) => {
      const sandbox = await openScriptSandbox({ nowMs: () => clock.nowMs(), random });
      try {
        const script = await sandbox.compile(source, argNames ?? ["msg", "metadata", "msgType"]);
        const outcome = await script.call([msg ?? "{}", JSON.stringify(metadata ?? {}), JSON.stringify(msgType ?? "")]);
        if (!outcome.ok) return { output: "", error: outcome.reason };
        return scriptOutput(outcome.json, scriptType);
      } catch (thrown) {
        // A script that can't be read is an answer too.
        return { output: "", error: AppError.from(thrown).message };
      } finally {
        sandbox[Symbol.dispose]();
      }
    },
  );
}

const EXPECTED = {
  filter: { what: "true or false", schema: z.boolean() },
  switch: { what: "a label or a list of labels", schema: z.union([z.string(), z.array(z.string())]) },
  string: { what: "text", schema: z.string() },
  json: { what: "a value", schema: z.unknown() },
  update: {
    what: "an object with msg, metadata and msgType, or a list",
    schema: z.union([z.looseObject({}), z.array(z.looseObject({}))]),
  },
  generate: { what: "an object with msg, metadata and msgType", schema: z.looseObject({}) },
} as const;

function scriptOutput(json: string | undefined, scriptType: keyof typeof EXPECTED) {
  const { what, schema } = EXPECTED[scriptType];
  const value: unknown = json === undefined ? undefined : JSON.parse(json);
  if (json === undefined || !schema.safeParse(value).success) {
    return { output: "", error: `The script gave ${json?.slice(0, 100) ?? "nothing"}, expected ${what}` };
  }
  return { output: scriptType === "string" ? String(value) : json, error: "" };
}

const problemSchema = z
  .object({
    ruleChainId: entityIdSchema,
    ruleNodeId: entityIdSchema,
    ruleNodeName: z.string(),
    ruleNodeType: z.string(),
    effect: z.enum(["unmapped", "approximated"]),
    reason: z.string(),
  })
  .meta({ id: "RuleChainProblem" });

function addProblemsRoute(routes: RouteTable, deps: RuleTestDeps): void {
  routes.add(
    {
      method: "get",
      path: "/api/ruleChain/{ruleChainId}/problems",
      tag,
      summary: "Nodes of the chain, and of those that it leads to, that can't be run here or work otherwise",
      access: TENANT_ADMIN,
      answer: z.array(problemSchema),
    },
    async (call) => {
      const { chainProblems } = await import("./rule-chain-engine.ts");
      const problems = await chainProblems(deps, await chainOf(deps, call));
      return problems.map(({ chainId, nodeId, nodeName, nodeType, effect, reason }): z.input<typeof problemSchema> => ({
        ruleChainId: restId("RULE_CHAIN", chainId),
        ruleNodeId: { entityType: "RULE_NODE", id: nodeId },
        ruleNodeName: nodeName,
        ruleNodeType: nodeType,
        effect,
        reason,
      }));
    },
  );
}

const testInput = z
  .object({ deviceId: idInput, startTs: z.int().min(0), endTs: z.int().min(0) })
  .meta({ id: "RuleChainTestInput" });

/** What a chain would have done with recorded telemetry; for the cloud, which has the history of all its devices. */
export function addChainTestRoute(routes: RouteTable, deps: RuleTestDeps): void {
  let running = 0;
  routes.add(
    {
      method: "post",
      path: "/api/ruleChain/{ruleChainId}/test",
      tag,
      summary:
        "What the chain would have done with the telemetry of a device in a range of time; nothing is stored or sent",
      access: TENANT_ADMIN,
      body: testInput,
      answer: z.object({
        lines: z.array(z.looseObject({ ts: z.int(), kind: z.string() })),
        cut: z.string().nullable().meta({ description: "Why not all of the range was looked at" }),
      }),
    },
    async (call) => {
      const { deviceId: id, startTs: startMs, endTs: endMs } = call.body;
      const chain = await chainOf(deps, call);
      const device = await getEntity(deps.db, { type: "DEVICE", id, tenantId: call.principal.tenantId });
      if (running >= TESTS_AT_ONCE_MAX) {
        throw new AppError("TOO_MANY_REQUESTS", `At most ${TESTS_AT_ONCE_MAX} tests of chains run at once`);
      }
      running += 1;
      try {
        const { testChain } = await import("./rule-chain-engine.ts");
        return await testChain(deps, { chain, device, startMs, endMs });
      } finally {
        running -= 1;
      }
    },
  );
}

function chainOf({ db }: RuleTestDeps, call: Call<unknown, unknown>) {
  return getEntity(db, { type: "RULE_CHAIN", id: call.uuid("ruleChainId"), tenantId: call.principal.tenantId });
}
