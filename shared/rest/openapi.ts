import { z } from "zod";
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
  let document: Promise<string> | undefined;
  hono.get("/api/openapi.json", async (c) => {
    document ??= createDocument(routes, info).then((made) => JSON.stringify(made));
    return c.body(await document, 200, { "content-type": "application/json; charset=utf-8" });
  });
  hono.get("/api/docs", (c) => c.html(DOCS_PAGE, 200, { "content-security-policy": CSP }));
}

/** The generator is loaded here only: an edge that is never asked for its document does not pay for it. */
export async function createDocument(routes: readonly RouteSpec[], info: OpenApiInfo): Promise<object> {
  const { OpenAPIHono } = await import("@hono/zod-openapi");
  const generator = new OpenAPIHono();
  const registry = generator.openAPIRegistry;
  const security = registry.registerComponent("securitySchemes", "token", {
    type: "apiKey",
    in: "header",
    name: "X-Authorization",
    description: "`Bearer <token>`; the token comes from POST /api/auth/login",
  });
  for (const spec of routes) registry.registerPath(toPath(spec, security.name));
  const tags = [...new Set(routes.map((spec) => spec.tag))].map((name) => ({ name }));
  return generator.getOpenAPI31Document({
    openapi: "3.1.0",
    info: { ...info, description: "Ids, pages and errors follow the ThingsBoard REST conventions." },
    servers: [{ url: "/" }],
    tags,
  });
}

const errorSchema = z
  .object({ status: z.int(), message: z.string(), errorCode: z.int(), timestamp: z.int() })
  .meta({ id: "Error" });

function toPath(spec: RouteSpec, scheme: string) {
  const { method, path, tag, summary, access, query } = spec;
  const error = (description: string) => ({ description, content: { "application/json": { schema: errorSchema } } });
  const body = toBody(spec);
  return {
    method,
    path,
    tags: [tag],
    summary,
    operationId: operationId(spec),
    ...(access === "anyone" ? {} : { security: [{ [scheme]: [] }], description: `Roles: ${access.join(", ")}` }),
    request: {
      params: parameterSchema(path),
      ...(query instanceof z.ZodObject ? { query } : {}),
      ...(body === undefined ? {} : { body }),
    },
    responses: {
      200: toAnswer(spec),
      400: error("The request is not valid"),
      ...(access === "anyone"
        ? {}
        : { 401: error("No valid token"), 403: error("Not allowed"), 404: error("Not found") }),
    },
  };
}

function toBody({ body, textBody }: RouteSpec) {
  if (body !== undefined) return { required: true, content: { "application/json": { schema: body } } };
  if (textBody === undefined) return undefined;
  return { required: true, content: { "application/json": { schema: {}, example: JSON.parse(textBody) as unknown } } };
}

function toAnswer({ answer, answerType = "application/json" }: RouteSpec) {
  if (answer === undefined) return { description: "Done; the answer is empty" };
  return { description: "The answer", content: { [answerType]: { schema: answer } } };
}

function parameterSchema(path: string) {
  const names = pathParameters(path);
  return z.object(Object.fromEntries(names.map((name) => [name, isUuidParameter(name) ? z.uuid() : z.string()])));
}

/** `get_api_device_by_deviceId`: unique because method and path are. */
function operationId({ method, path }: RouteSpec): string {
  return `${method}${path.replaceAll(/\{(\w+)\}/g, "by_$1").replaceAll(/[^A-Za-z0-9]+/g, "_")}`;
}
