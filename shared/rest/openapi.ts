import * as z from "zod";
import { AppError } from "../core/errors.ts";
import type { RestApp } from "./app.ts";
import { DOCS_PAGE } from "./docs-page.ts";
import { isUuidParameter, pathParameters, type RouteSpec } from "./route.ts";

export interface OpenApiInfo {
  readonly title: string;
  readonly version: string;
}

const CSP = "default-src 'self' 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'";

/** /api/openapi.json, made from the routes when it is first asked for, and /api/docs, a page that shows it without a foreign byte. */
export function addOpenApiRoutes({ hono, routes }: Pick<RestApp, "hono" | "routes">, info: OpenApiInfo): void {
  let document: string | undefined;
  hono.get("/api/openapi.json", (c) => {
    document ??= createDocument(routes, info);
    return c.body(document, 200, { "content-type": "application/json; charset=utf-8" });
  });
  hono.get("/api/docs", (c) => c.html(DOCS_PAGE, 200, { "content-security-policy": CSP }));
}

/** The document as JSON. */
export function createDocument(routes: readonly RouteSpec[], info: OpenApiInfo): string {
  const schemas = new SchemaCollector();
  const paths: Record<string, Record<string, object>> = {};
  for (const spec of routes) (paths[spec.path] ??= {})[spec.method] = toOperation(spec, schemas);
  const document = {
    openapi: "3.1.0",
    info: { ...info, description: "Ids, pages and errors follow the ThingsBoard REST conventions." },
    servers: [{ url: "/" }],
    tags: [...new Set(routes.map((spec) => spec.tag))].map((name) => ({ name })),
    components: { securitySchemes: { [SCHEME]: TOKEN_HEADER }, schemas: schemas.named },
    paths,
  };
  return JSON.stringify(document).replaceAll('"#/$defs/', '"#/components/schemas/');
}

const SCHEME = "token";
const TOKEN_HEADER = {
  type: "apiKey",
  in: "header",
  name: "X-Authorization",
  description: "`Bearer <token>`; the token comes from POST /api/auth/login",
};

const errorSchema = z
  .object({
    status: z.int(),
    message: z.string(),
    errorCode: z.int(),
    timestamp: z.int(),
    field: z.string().optional().meta({ description: "The parameter or member that was wrong" }),
  })
  .meta({ id: "Error" });

type JsonSchema = z.core.JSONSchema.BaseSchema;

/** Schemas as JSON Schema, which is what OpenAPI 3.1 uses. What has an id is kept apart and referred to as `#/$defs/<id>`. */
class SchemaCollector {
  readonly named: Record<string, JsonSchema> = {};

  describe(schema: z.ZodType): JsonSchema {
    // A schema with an id becomes a reference only where it is part of another.
    const { $defs, items } = z.toJSONSchema(z.array(schema), {
      // What is sent: numbers of a query are text.
      io: "input",
      unrepresentable: "any",
      override: ({ jsonSchema }) => simplify(jsonSchema),
    });
    for (const [id, definition] of Object.entries($defs ?? {})) this.#keep(id, definition);
    return items as JsonSchema; // that of the one element
  }

  /** Two schemas of one id would document each other's answers. */
  #keep(id: string, definition: JsonSchema): void {
    const known = this.named[id];
    if (known !== undefined && JSON.stringify(known) !== JSON.stringify(definition))
      throw new AppError("INTERNAL", `Two schemas have the id ${id}`);
    this.named[id] = definition;
  }
}

/** Leaves out what zod adds of its own. */
function simplify(schema: JsonSchema): void {
  if (schema.minimum === Number.MIN_SAFE_INTEGER) delete schema.minimum;
  if (schema.maximum === Number.MAX_SAFE_INTEGER) delete schema.maximum;
  if (schema.format !== undefined) delete schema.pattern;
  delete schema.id;
}

function toOperation(spec: RouteSpec, schemas: SchemaCollector): object {
  const { tag, summary, access } = spec;
  const error = (description: string) => ({
    description,
    content: { "application/json": { schema: schemas.describe(errorSchema) } },
  });
  const parameters = [...pathParametersOf(spec, schemas), ...queryParameters(spec, schemas)];
  const requestBody = toBody(spec, schemas);
  return {
    tags: [tag],
    summary,
    operationId: operationId(spec),
    ...(access === "anyone" ? {} : { security: [{ [SCHEME]: [] }], description: `Roles: ${access.join(", ")}` }),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(requestBody === undefined ? {} : { requestBody }),
    responses: {
      200: toAnswer(spec, schemas),
      400: error("The request is not valid"),
      ...(access === "anyone"
        ? {}
        : { 401: error("No valid token"), 403: error("Not allowed"), 404: error("Not found") }),
    },
  };
}

function pathParametersOf({ path }: RouteSpec, schemas: SchemaCollector): object[] {
  return pathParameters(path).map((name) => {
    const schema = schemas.describe(isUuidParameter(name) ? z.uuid() : z.string());
    return { name, in: "path", required: true, schema };
  });
}

function queryParameters({ query }: RouteSpec, schemas: SchemaCollector): object[] {
  if (query === undefined) return [];
  const { properties = {}, required = [] } = schemas.describe(query);
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    in: "query",
    required: required.includes(name),
    schema,
  }));
}

function toBody({ body, textBody, formFile }: RouteSpec, schemas: SchemaCollector): object | undefined {
  if (formFile !== undefined) {
    const schema = { type: "object", properties: { [formFile]: { type: "string", format: "binary" } } };
    return { required: true, content: { "multipart/form-data": { schema } } };
  }
  if (body !== undefined)
    return { required: true, content: { "application/json": { schema: schemas.describe(body) } } };
  if (textBody === undefined) return undefined;
  return { required: true, content: { "application/json": { schema: {}, example: JSON.parse(textBody) as unknown } } };
}

function toAnswer({ answer, answerType = "application/json" }: RouteSpec, schemas: SchemaCollector): object {
  if (answer === undefined) return { description: "Done; the answer is empty" };
  return { description: "The answer", content: { [answerType]: { schema: schemas.describe(answer) } } };
}

/** `get_api_device_by_deviceId`: unique because method and path are. */
function operationId({ method, path }: RouteSpec): string {
  return `${method}${path.replaceAll(/\{(\w+)\}/g, "by_$1").replaceAll(/[^A-Za-z0-9]+/g, "_")}`;
}
