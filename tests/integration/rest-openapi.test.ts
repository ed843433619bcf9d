import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { pathParameters } from "../../shared/rest/route.ts";
import { addCustomerUser, startTestCloud, type TestCloud } from "../support/test-cloud.ts";

let cloud: TestCloud;
beforeAll(async () => {
  cloud = await startTestCloud();
});
afterAll(() => cloud[Symbol.asyncDispose]());

interface Operation {
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly security?: readonly object[];
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly required: boolean }[];
  readonly responses: Record<string, object>;
}
interface Document {
  readonly openapi: string;
  readonly info: object;
  readonly paths: Record<string, Record<string, Operation>>;
  readonly components: { readonly schemas: Record<string, object>; readonly securitySchemes: object };
}

describe("/api/openapi.json", () => {
  let document: Document;
  beforeAll(async () => {
    const answer = await cloud.request("GET", "/api/openapi.json", { token: null });
    expect(answer.status).toBe(200);
    document = JSON.parse(answer.text) as Document;
  });

  test("is OpenAPI 3.1 and holds every route, and nothing else", () => {
    expect(document).toMatchObject({ openapi: "3.1.0", info: { title: "Skerry cloud", version: "0.0.0" } });
    const documented = Object.entries(document.paths).flatMap(([path, item]) =>
      Object.keys(item).map((method) => `${method} ${path}`),
    );
    expect(documented.toSorted()).toEqual(cloud.api.routes.map(({ method, path }) => `${method} ${path}`).toSorted());
  });

  test("names every path parameter, gives every operation an id of its own, an answer and its security", () => {
    const ids = new Set<string>();
    for (const { method, path, access } of cloud.api.routes) {
      const operation = document.paths[path]?.[method];
      if (operation === undefined) throw new Error(`${method} ${path} is not documented`);
      ids.add(operation.operationId);
      const inPath = (operation.parameters ?? []).filter((parameter) => parameter.in === "path");
      expect(inPath.map((parameter) => parameter.name)).toEqual(pathParameters(path));
      expect(inPath.every((parameter) => parameter.required)).toBeTrue();
      expect(operation.responses["200"]).toBeDefined();
      expect(operation.security === undefined).toBe(access === "anyone");
    }
    expect(ids.size).toBe(cloud.api.routes.length);
  });

  test("refers to schemas that are there", () => {
    const names = Array.from(
      JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g),
      (match) => match[1] ?? "",
    );
    expect(names.length).toBeGreaterThan(20);
    for (const name of names) expect(document.components.schemas).toHaveProperty(name);
  });
});

test("/api/openapi.json says what may be null, and takes the numbers of a query as text", async () => {
  const { json } = await cloud.request("GET", "/api/openapi.json", { token: null });
  expect(json).toMatchObject({
    components: {
      schemas: {
        Device: {
          properties: {
            createdTime: { type: "integer" },
            externalId: { anyOf: [{ $ref: "#/components/schemas/EntityId" }, { type: "null" }] },
          },
        },
      },
    },
    paths: {
      "/api/tenant/deviceInfos": {
        get: {
          parameters: expect.arrayContaining([
            { name: "pageSize", in: "query", required: true, schema: expect.objectContaining({ type: "string" }) },
          ]),
        },
      },
    },
  });
  expect(JSON.stringify(json)).not.toContain("$defs");
});

test("/api/docs needs nothing from elsewhere", async () => {
  const answer = await cloud.request("GET", "/api/docs", { token: null });
  expect(answer.status).toBe(200);
  expect(answer.headers.get("content-security-policy")).toStartWith("default-src 'self' 'unsafe-inline'");
  expect(answer.text).not.toMatch(/https?:\/\//);
  const script = /<script>([\s\S]*)<\/script>/.exec(answer.text)?.[1] ?? "";
  expect(() => new Bun.Transpiler({ loader: "js" }).transformSync(script)).not.toThrow();
});

describe("every route", () => {
  const UNKNOWN_ID = "784f394c-42b6-435a-983c-b7beff2784f9";
  const concrete = (path: string): string =>
    path.replaceAll(/\{(\w+)\}/g, (_, name: string) => (name.endsWith("Id") ? UNKNOWN_ID : "DEVICE"));

  test("that is not for anyone refuses a call without a token", async () => {
    for (const { method, path, access } of cloud.api.routes) {
      if (access === "anyone") continue;
      const answer = await cloud.request(method.toUpperCase(), concrete(path), {
        token: null,
        ...(method === "get" ? {} : { body: {} }),
      });
      expect([path, answer.status, answer.json?.["errorCode"]]).toEqual([path, 401, 10]);
    }
  });

  test("for administrators only refuses a customer user with 403/20", async () => {
    const { token } = await addCustomerUser(cloud);
    for (const { method, path, access } of cloud.api.routes) {
      if (access === "anyone" || access.includes("CUSTOMER_USER")) continue;
      const answer = await cloud.request(method.toUpperCase(), concrete(path), {
        token,
        ...(method === "get" ? {} : { body: {} }),
      });
      expect([path, answer.status, answer.json?.["errorCode"]]).toEqual([path, 403, 20]);
    }
  });

  test("with a uuid in its path answers 400 to something else, and never a fault of its own", async () => {
    for (const { method, path, access } of cloud.api.routes) {
      if (!/\{\w*Id\}/.test(path)) continue;
      const token = access.includes("TENANT_ADMIN") ? cloud.first.token : cloud.system;
      const bad = path.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
        name === "scope" ? "SHARED_SCOPE" : name === "entityType" ? "DEVICE" : "nonsense",
      );
      const body = path.includes("/timeseries") || path.includes("scope") ? { a: 1 } : {};
      const answer = await cloud.request(
        method.toUpperCase(),
        `${bad}?pageSize=1&page=0&keys=a`,
        method === "get" ? { token } : { token, body },
      );
      expect([method, path, answer.status]).toEqual([method, path, 400]);
    }
  });
});

describe("operations", () => {
  test("health and readiness need no token", async () => {
    expect(await cloud.request("GET", "/healthz", { token: null })).toMatchObject({
      status: 200,
      json: { status: "ok" },
    });
    expect(await cloud.request("GET", "/readyz", { token: null })).toMatchObject({
      status: 200,
      json: { status: "ready" },
    });
  });

  test("metrics count requests by route, not by path", async () => {
    await cloud.request("GET", "/api/device/784f394c-42b6-435a-983c-b7beff2784f9");
    const answer = await cloud.request("GET", "/metrics", { token: null });
    expect(answer.status).toBe(200);
    expect(answer.text).toMatch(
      /skerry_http_requests_total\{method="get",route="\/api\/device\/\{deviceId\}",status="404"\} \d+/,
    );
    expect(answer.text).toContain("skerry_http_request_seconds_bucket");
  });
});
