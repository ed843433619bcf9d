/**
 * Writes shared/ui/api/{cloud,edge}.gen.ts: what the routes of each end take and answer, as types for the pages. `--check` only compares.
 * They are made from the OpenAPI documents and not from the schemas, so that the pages compile without the server, whose
 * globals are not those of a browser.
 */
import { createCloudApi, type CloudApiDeps } from "../cloud/api/cloud-api.ts";
import { createEdgeApi, type EdgeApiDeps } from "../edge/api/edge-api.ts";
import { createDocument } from "../shared/rest/openapi.ts";
import type { RouteSpec } from "../shared/rest/route.ts";
import { PROJECT_ROOT, runTool } from "./support/tools.ts";

interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
  readonly items?: Schema;
  readonly prefixItems?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Schema;
}

interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly required: boolean;
  readonly schema: Schema;
}

interface Content {
  readonly content?: Readonly<Record<string, { readonly schema: Schema }>>;
}

interface Operation {
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: Content;
  readonly responses: { readonly 200: Content };
}

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

/** Whatever is asked of it, it gives itself: routes are declared without a database behind them. */
function createNothing(): object {
  const get = (_: unknown, name: string | symbol): unknown => (name === Symbol.toPrimitive ? () => 0 : nothing);
  const nothing: object = new Proxy(() => nothing, { get, apply: () => nothing });
  return nothing;
}

function describe(routes: readonly RouteSpec[]): string {
  const document = JSON.parse(createDocument(routes, { title: "", version: "" })) as Document;
  const schemas = Object.entries(document.components.schemas)
    .toSorted(byName)
    .map(([name, schema]) => `export type ${name} = ${toType(schema)};`);
  const operations = Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => [`${method.toUpperCase()} ${path}`, operation] as const),
  );
  const members = operations.toSorted(byName).map(([name, operation]) => `"${name}": ${toMember(operation)};`);
  return [
    "// Made by `bun run generate` from the routes: change those.",
    ...schemas,
    "/** What goes to each operation and what comes back. */",
    `export interface Operations { ${members.join("\n")} }`,
  ].join("\n\n");
}

function byName([one]: readonly [string, unknown], [other]: readonly [string, unknown]): number {
  return one < other ? -1 : 1;
}

function toMember({ parameters = [], requestBody, responses }: Operation): string {
  const fields = (place: "path" | "query"): string =>
    parameters
      .filter((parameter) => parameter.in === place)
      .map(
        ({ name, required, schema }) =>
          `readonly ${name}${required ? "" : "?"}: ${place === "path" ? toType(schema) : toParameter(schema)}${required ? "" : " | undefined"};`,
      )
      .join(" ");
  const isNeeded = parameters.some((parameter) => parameter.in === "query" && parameter.required);
  const part = (name: string, text: string): string => (text === "" ? "" : `readonly ${name}: { ${text} };`);
  const body = requestBody?.content?.["application/json"];
  return [
    "{",
    part("path", fields("path")),
    part(isNeeded ? "query" : "query?", fields("query")),
    body === undefined ? "" : `readonly body: ${toType(body.schema)};`,
    `readonly answer: ${toAnswer(responses[200])} }`,
  ].join(" ");
}

/** Numbers and booleans are written as text in a query. */
function toParameter(schema: Schema): string {
  const type = toType(schema);
  return type === "string" ? "string | number | boolean" : type;
}

function toAnswer({ content = {} }: Content): string {
  const json = content["application/json"];
  if (json !== undefined) return toType(json.schema);
  return Object.keys(content).length === 0 ? "void" : "string";
}

function toType(schema: Schema): string {
  if (schema.$ref !== undefined) return schema.$ref.slice(schema.$ref.lastIndexOf("/") + 1);
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum !== undefined) return unionOf(schema.enum.map((value) => JSON.stringify(value)));
  const parts = schema.anyOf ?? schema.oneOf;
  if (parts !== undefined) return unionOf(parts.map(toType));
  if (schema.allOf !== undefined) return schema.allOf.map((part) => `(${toType(part)})`).join(" & ");
  const types = typeof schema.type === "string" ? [schema.type] : (schema.type ?? []);
  return types.length === 0 ? "unknown" : unionOf(types.map((type) => toNamedType(type, schema)));
}

function toNamedType(type: string, schema: Schema): string {
  switch (type) {
    case "integer":
    case "number":
      return "number";
    case "array":
      if (schema.prefixItems !== undefined) return `readonly [${schema.prefixItems.map(toType).join(", ")}]`;
      return `readonly (${schema.items === undefined ? "unknown" : toType(schema.items)})[]`;
    case "object":
      return toObject(schema);
    default:
      return type;
  }
}

function toObject({ properties = {}, required = [], additionalProperties }: Schema): string {
  const members = Object.entries(properties).map(
    ([name, schema]) => `readonly ${JSON.stringify(name)}${required.includes(name) ? "" : "?"}: ${toType(schema)};`,
  );
  if (members.length > 0) return `{ ${members.join(" ")} }`;
  const value = typeof additionalProperties === "object" ? toType(additionalProperties) : "unknown";
  return `{ readonly [name: string]: ${value} }`;
}

function unionOf(types: readonly string[]): string {
  return [...new Set(types)].map((type) => (type.includes("=>") ? `(${type})` : type)).join(" | ");
}

async function format(path: string, text: string): Promise<string> {
  const folder = `${PROJECT_ROOT}/.cache/api-types`;
  const file = `${folder}/${path.replaceAll("/", "-").replace(".gen.ts", ".ts")}`;
  await Bun.write(file, text);
  const { exitCode, output } = await runTool(["oxfmt", "--write", "--config", ".oxfmtrc.json", file]);
  if (exitCode !== 0) throw new Error(output);
  return Bun.file(file).text();
}

async function main(): Promise<void> {
  const nothing = createNothing();
  const status = { version: "", runtime: "", startedMs: 0, cloudUrl: null };
  const ends = {
    "shared/ui/api/cloud.gen.ts": createCloudApi({ ...spread(nothing), tenantLimits: null } as CloudApiDeps).routes,
    "shared/ui/api/edge.gen.ts": createEdgeApi(spread(nothing) as EdgeApiDeps, status).routes,
  };
  for (const [path, routes] of Object.entries(ends)) {
    const text = await format(path, describe(routes));
    const file = Bun.file(`${PROJECT_ROOT}/${path}`);
    if (!process.argv.includes("--check")) await Bun.write(file, text);
    else if (!(await file.exists()) || (await file.text()) !== text) {
      console.error(`${path} is out of date: run \`bun run generate\` and commit the result`);
      process.exitCode = 1;
    }
  }
}

/** A spread of a proxy has no members: those that the constructors of routes read are named here. */
function spread(nothing: object): object {
  const names = ["clock", "random", "log", "metrics", "passwords", "unitOfWork", "contents", "db", "events", "sources"];
  return { ...Object.fromEntries(names.map((name) => [name, nothing])), deviceApi: { routes: [] } };
}

await main();
