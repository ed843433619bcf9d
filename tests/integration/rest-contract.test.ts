import { afterAll, beforeAll, expect, test } from "bun:test";
import type { RouteSpec } from "../../shared/rest/route.ts";
import { findDifferences, type JsonSchema } from "../support/json-schema.ts";
import { startTestPostgres } from "../support/postgres.ts";
import { startTestCloud, type TestCloud } from "../support/test-cloud.ts";
import { startTestEdge } from "../support/test-edge.ts";

// What the OpenAPI document says against what is answered.

interface Operation {
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly required: boolean }[];
  readonly responses: Record<
    string,
    { readonly content?: Record<string, { readonly schema: JsonSchema }> } | undefined
  >;
}
interface Document {
  readonly paths: Record<string, Record<string, Operation | undefined> | undefined>;
  readonly components: { readonly schemas: Record<string, JsonSchema> };
}

const PHONE = { "X-Mobile-Token": "phone" } as const;

let cloud: TestCloud;
let document: Document;
const params: Record<string, string> = {
  entityType: "DEVICE",
  scope: "SERVER_SCOPE",
  relationType: "Contains",
  method: "docker",
  edgeVersion: "1.0",
  type: "FIRMWARE",
};
/** Where a route needs others than the rest. */
const special: Record<string, Record<string, string>> = {};
/** Parameters that may be missing, but not all of them. */
const ALTERNATIVES: readonly string[] = ["fromId", "fromType", "activateToken", "resetToken"];
const query: Record<string, string> = { pageSize: "10", page: "0", limit: "10", startTs: "0", endTs: "9000" };

beforeAll(async () => {
  cloud = await startTestCloud();
  document = JSON.parse((await cloud.request("GET", "/api/openapi.json", { token: null })).text) as Document;
  await makeOneOfEach();
});
afterAll(() => cloud[Symbol.asyncDispose]());

interface Saved {
  readonly id: { readonly entityType: string; readonly id: string };
  readonly tenantId: { readonly id: string };
  readonly [field: string]: unknown;
}

async function makeOneOfEach(): Promise<void> {
  const make = (kind: string, body: object): Promise<Saved> => cloud.call<Saved>("POST", `/api/${kind}`, body);
  const remember = (word: string, { id }: Saved, name: string): void => {
    params[`${word}Id`] = id.id;
    query[`${word}Ids`] = id.id;
    query[`${word}Name`] = name;
  };
  const customer = await make("customer", { title: "Customer" });
  remember("customer", customer, "Customer");
  query["customerTitle"] = "Customer";
  const device = await make("device", { name: "Device", label: "L", customerId: customer.id });
  remember("device", device, "Device");
  remember("asset", await make("asset", { name: "Asset", customerId: customer.id }), "Asset");
  remember("edge", await make("edge", { name: "Edge", type: "site" }), "Edge");
  remember("dashboard", await make("dashboard", { title: "Dashboard", configuration: { a: 1 } }), "Dashboard");
  remember("ruleChain", await make("ruleChain", { name: "Chain", type: "EDGE" }), "Chain");
  remember("entityView", await make("entityView", { name: "View", type: "v", entityId: device.id }), "View");
  for (const kind of ["device", "asset"]) {
    const { id } = await cloud.call<Saved>("GET", `/api/${kind}ProfileInfo/default`);
    params[`${kind}ProfileId`] = id.id;
    query[`${kind}ProfileIds`] = id.id;
  }
  const user = await cloud.call<Saved>("GET", "/api/auth/user");
  params["userId"] = user.id.id;
  query["userIds"] = user.id.id;
  params["tenantId"] = user.tenantId.id;
  query["tenantIds"] = user.tenantId.id;
  params["entityId"] = device.id.id;
  const target = { type: "WEBHOOK", url: "https://a.example/b", secret: "a secret of 16 letters" };
  const rule = { name: "Rule", transitions: ["CREATED"], target };
  params["notificationRuleId"] = (await make("notification/rule", rule)).id.id;
  const alarm = await make("alarm", { type: "High", originator: device.id, severity: "MAJOR" });
  params["alarmId"] = alarm.id.id;
  await cloud.call("POST", `/api/alarm/${alarm.id.id}/comment`, { comment: { text: "Seen" } });
  const request = { method: "m", params: {}, persistent: true };
  params["rpcId"] = String((await cloud.call("POST", `/api/rpc/twoway/${device.id.id}`, request))["rpcId"]);
  await cloud.call("POST", "/api/apiKey", { userId: user.id, description: "ci" });
  const asset = { entityType: "ASSET", id: params["assetId"] };
  await cloud.call("POST", "/api/relation", { from: device.id, to: asset, type: "Contains" });
  Object.assign(query, {
    fromId: device.id.id,
    fromType: "DEVICE",
    toId: asset.id,
    toType: "ASSET",
    relationType: "Contains",
  });
  const file = { title: "File", fileName: "a.js", data: "YQ==", resourceType: "JS_MODULE" };
  params["resourceId"] = (await make("resource", file)).id.id;
  const deviceProfileId = { entityType: "DEVICE_PROFILE", id: params["deviceProfileId"] };
  const packaged = {
    title: "fw",
    version: "1",
    type: "FIRMWARE",
    deviceProfileId,
    usesUrl: true,
    url: "https://a.example/b",
  };
  params["otaPackageId"] = (await make("otaPackage", packaged)).id.id;
  await makePackage(deviceProfileId);
  await makeLinks();
  const home = { dashboardId: { entityType: "DASHBOARD", id: params["dashboardId"] }, hideDashboardToolbar: true };
  await cloud.call("POST", "/api/tenant/dashboard/home/info", home);
  await cloud.request("POST", "/api/user/mobile/session", { headers: PHONE, body: { fcmTokenTimestamp: 1 } });
  const edge = `/api/edge/${params["edgeId"]}`;
  for (const word of ["device", "asset", "entityView", "dashboard", "ruleChain"]) {
    await cloud.call("POST", `${edge}/${word}/${params[`${word}Id`]}`);
  }
  const asked = await make(`edge/${params["edgeId"]}/backfill`, { entityId: device.id, startTs: 0, endTs: 1 });
  params["backfillId"] = asked.id.id;
  const data = `/api/plugins/telemetry/DEVICE/${device.id.id}`;
  await cloud.call("POST", `${data}/SERVER_SCOPE`, { active: true, site: { a: 1 } });
  await cloud.call("POST", `${data}/timeseries/ANY`, { ts: 1000, values: { level: 1.5, on: true } });
}

/** What is asked for by links, and by the system administrator. */
async function makeLinks(): Promise<void> {
  const edgeId = params["edgeId"] ?? "";
  await cloud.database.sql`
    insert into edge_session values (${edgeId}, 1, ${edgeId}, '1.0.0', 1000, 2000, 'LINK_DOWN')`;
  const ofEdge = { entityType: "EDGE", entityId: edgeId, eventType: "LC_EVENT" };
  special["/api/events/{entityType}/{entityId}/{eventType}"] = ofEdge;
  const email = "asleep@example.com";
  const asleep = await cloud.call<Saved>("POST", "/api/user", { email, authority: "TENANT_ADMIN" });
  for (const path of ["activationLink", "activationLinkInfo"])
    special[`/api/user/{userId}/${path}`] = { userId: asleep.id.id };
  const tokenOf = async (path: string): Promise<string> => {
    const link = await cloud.request("GET", path);
    return new URL(link.text).searchParams.values().next().value ?? "";
  };
  query["activateToken"] = await tokenOf(`/api/user/${asleep.id.id}/activationLink`);
  query["resetToken"] = await tokenOf(`/api/user/${params["userId"]}/resetLink`);
  const image = { title: "Image", fileName: "a.png", data: "YQ==", resourceType: "IMAGE" };
  const made = await cloud.call<Saved>("POST", "/api/resource", image);
  special["/api/images/{scope}/{key}"] = { scope: "tenant", key: String(made["resourceKey"]) };
  const script = await cloud.call<Saved>("GET", `/api/resource/info/${params["resourceId"]}`);
  const key = String(script["resourceKey"]);
  special["/api/resource/{type}/{scope}/{key}"] = { type: "js_module", scope: "tenant", key };
  const tenant = await cloud.call<{ tenantProfileId: Saved["id"] }>("GET", `/api/tenant/${params["tenantId"]}`);
  params["tenantProfileId"] = tenant.tenantProfileId.id;
}

/** A package with data of its own. */
async function makePackage(deviceProfileId: object): Promise<void> {
  const info = { title: "bytes", version: "1", type: "FIRMWARE", deviceProfileId, usesUrl: false };
  const { id } = await cloud.call<Saved>("POST", "/api/otaPackage", info);
  const form = new FormData();
  form.append("file", new Blob(["abc"]), "a.bin");
  const headers = { "x-authorization": `Bearer ${cloud.first.token}` };
  const url = `http://cloud.test/api/otaPackage/${id.id}?checksumAlgorithm=SHA256`;
  const answer = await cloud.api.fetch(new Request(url, { method: "POST", headers, body: form }));
  expect(answer.status).toBe(200);
  special["/api/otaPackage/{otaPackageId}/download"] = { otaPackageId: id.id };
}

/** The address of a call of this route with what was made. */
function addressOf({ path }: RouteSpec, operation: Operation): string {
  const kind = path.startsWith("/api/assetProfileInfo") ? "asset" : "device";
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    const value = special[path]?.[name] ?? (name === "profileId" ? params[`${kind}ProfileId`] : params[name]);
    return value ?? "784f394c-42b6-435a-983c-b7beff2784f9";
  });
  // Where a list is asked for by ids or by the page, it is asked for by the page.
  const hasPage = operation.parameters?.some(({ name }) => name === "pageSize") ?? false;
  const asked = (operation.parameters ?? []).filter(
    ({ in: place, name, required }) =>
      place === "query" && (required || (hasPage && name.startsWith("page")) || ALTERNATIVES.includes(name)),
  );
  const text = asked.map(({ name }) => `${name}=${encodeURIComponent(query[name] ?? "")}`).join("&");
  return text === "" ? filled : `${filled}?${text}`;
}

/** Who of the two administrators may call it. */
function callerOf({ access, path }: RouteSpec): string {
  // An administrator of a tenant asks for tenants by their ids only.
  if (path === "/api/tenants") return cloud.system;
  return access === "anyone" || access.includes("TENANT_ADMIN") ? cloud.first.token : cloud.system;
}

/** By the convention they send a browser on. */
const REDIRECTS: readonly string[] = ["/api/noauth/activate", "/api/noauth/resetPassword"];

test("GET routes answer what the OpenAPI document says, with nothing missing and nothing more", async () => {
  const differences: string[] = [];
  const unanswered: string[] = [];
  for (const route of cloud.api.routes.filter(({ method }) => method === "get")) {
    const operation = document.paths[route.path]?.["get"];
    if (operation === undefined) throw new Error(`${route.path} is not documented`);
    const address = addressOf(route, operation);
    const answer = await cloud.request("GET", address, { token: callerOf(route), headers: PHONE });
    if (answer.status !== (REDIRECTS.includes(route.path) ? 303 : 200)) {
      unanswered.push(`${route.path} ${answer.status} ${answer.text}`);
      continue;
    }
    if (answer.status === 303) continue;
    const [[type, content] = []] = [Object.entries(operation.responses["200"]?.content ?? {})[0]];
    if (type === undefined || content === undefined) {
      if (answer.text !== "") differences.push(`${route.path}: an answer that is not documented`);
      continue;
    }
    expect([route.path, answer.headers.get("content-type")?.split(";")[0]]).toEqual([route.path, type]);
    if (type !== "application/json") continue;
    const found = findDifferences(JSON.parse(answer.text), content.schema, document.components.schemas);
    differences.push(...found.map((difference) => `${route.path}: ${difference}`));
  }
  expect(differences).toEqual([]);
  expect(unanswered).toEqual([]);
});

test("the edge documents each of its routes too", async () => {
  await using postgres = await startTestPostgres();
  const edge = await startTestEdge(await postgres.createDatabase("edge"), cloud.clock);
  const answer = await edge.request("GET", "/api/openapi.json");
  const { paths } = JSON.parse(answer.text) as Document;
  const missing = edge.api.routes.filter(({ method, path }) => paths[path]?.[method] === undefined);
  expect([answer.status, missing.map(({ path }) => path)]).toEqual([200, []]);
});

test("errors have one shape, that of the document, and name the field that was wrong", async () => {
  const { schemas } = document.components;
  const schema = schemas["Error"] ?? {};
  const wrong: [string, string, object | undefined, number, string | undefined][] = [
    ["GET", "/api/tenant/devices?pageSize=0&page=0", undefined, 400, "pageSize"],
    ["GET", "/api/tenant/devices?page=0", undefined, 400, "pageSize"],
    ["GET", "/api/tenant/deviceInfos?pageSize=1&page=0&sortProperty=x", undefined, 400, "sortProperty"],
    ["GET", "/api/device/nonsense", undefined, 400, "deviceId"],
    ["POST", "/api/device", {}, 400, "name"],
    ["POST", "/api/device", { name: "Device" }, 400, "name"],
    ["POST", "/api/entitiesQuery/count", { entityFilter: { type: "x" } }, 400, "entityFilter.type"],
    ["GET", "/api/device/784f394c-42b6-435a-983c-b7beff2784f9", undefined, 404, undefined],
    ["GET", "/api/none", undefined, 404, undefined],
  ];
  for (const [method, path, body, status, field] of wrong) {
    const answer = await cloud.request(method, path, body === undefined ? {} : { body });
    expect([path, answer.status, answer.json?.["field"]]).toEqual([path, status, field]);
    expect([path, findDifferences(answer.json, schema, schemas)]).toEqual([path, []]);
  }
});

test.each([
  ["GET", "/api/tenant/devices?pageSize=1&page=0&textSearch=%00", undefined],
  ["GET", "/api/tenant/device?deviceName=%00", undefined],
  ["GET", "DATA/values/timeseries?keys=%00&startTs=0&endTs=5", undefined],
  ["GET", "DATA/values/attributes?keys=%00", undefined],
  [
    "POST",
    "/api/entitiesQuery/count",
    { entityFilter: { type: "entityName", entityType: "DEVICE", entityNameFilter: "\0" } },
  ],
  ["POST", "/api/device/bulk_import", { file: "a\0", mapping: { columns: [{ type: "NAME" }] } }],
])("a text with the character 0x00 is the caller's fault: %s %s", async (method, path, body) => {
  const address = path.replace("DATA", `/api/plugins/telemetry/DEVICE/${params["deviceId"]}`);
  const answer = await cloud.request(method, address, body === undefined ? {} : { body });
  expect([answer.status, answer.json?.["errorCode"]]).toEqual([400, 31]);
  expect(answer.json?.["message"]).toContain("0x00");
});

test("findDifferences() finds what is missing, more, or of another kind", () => {
  const schemas: Record<string, JsonSchema> = {
    Id: { type: "object", properties: { id: { type: "string", format: "uuid" } }, required: ["id"] },
  };
  const schema: JsonSchema = {
    type: "object",
    properties: {
      id: { $ref: "#/components/schemas/Id" },
      count: { type: "integer" },
      label: { anyOf: [{ type: "string" }, { type: "null" }] },
      tags: { type: "array", items: { type: "string" } },
    },
    required: ["id", "count"],
  };
  const id = { id: "784f394c-42b6-435a-983c-b7beff2784f9" };
  expect(findDifferences({ id, count: 1, label: null, tags: ["a"] }, schema, schemas)).toEqual([]);
  expect(findDifferences({ id: { id: "x", more: 1 }, label: 5, tags: [1] }, schema, schemas)).toEqual([
    "answer.count is missing",
    "answer.id.more is not documented",
    "answer.id.id: expected a uuid, got x",
    "answer.label: expected string, got 5",
    "answer.tags[0]: expected string, got 1",
  ]);
});
