import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { startTestCloud, type TestCloud } from "../support/test-cloud.ts";

let cloud: TestCloud;
beforeAll(async () => {
  cloud = await startTestCloud();
});
afterAll(() => cloud[Symbol.asyncDispose]());

type Column = string | { readonly type: string; readonly key: string };

function load(kind: string, lines: readonly string[], columns: readonly Column[], options: object = {}) {
  const mapping = {
    columns: columns.map((column) => (typeof column === "string" ? { type: column } : column)),
    delimiter: ",",
    update: false,
    header: true,
    ...options,
  };
  return cloud.request("POST", `/api/${kind}/bulk_import`, { body: { file: lines.join("\n"), mapping } });
}

const byName = (kind: string, name: string) =>
  cloud.call<{ id: { id: string }; [field: string]: unknown }>("GET", `/api/tenant/${kind}?${kind}Name=${name}`);

describe.each(["device", "asset"])("POST /api/%s/bulk_import", (kind) => {
  test("creates a line each, tells the lines that fail, and stops for none", async () => {
    const lines = ["NAME,TYPE", `${kind} 1,pump`, ",pump", `${kind} 1,pump`, `"${kind} <b>",pump`, `"${kind}, 2",`];
    const answer = await load(kind, lines, ["NAME", "TYPE"]);
    const title = kind === "device" ? "Device" : "Asset";
    expect([answer.status, answer.json]).toEqual([
      200,
      {
        created: 2,
        updated: 0,
        errors: 3,
        errorsList: [
          `Line 3: ${title} name should be specified!`,
          `Line 4: ${title} with such name already exists!`,
          "Line 5: Validation error: name is malformed",
        ],
      },
    ]);
    expect(await byName(kind, `${kind} 1`)).toMatchObject({ type: "pump" });
    expect(await byName(kind, `${kind}, 2`)).toMatchObject({ type: "default" });
  });

  test("updates only what the line says, and only when asked to", async () => {
    const columns = ["NAME", "LABEL", "DESCRIPTION", { type: "SERVER_ATTRIBUTE", key: "site" }];
    const name = `${kind} u`;
    const before = await cloud.call("POST", `/api/${kind}`, { name, type: "valve", additionalInfo: { a: 1 } });
    expect((await load(kind, [`${name},L,D,north`], columns, { header: false })).json).toMatchObject({ errors: 1 });
    const answer = await load(kind, [`${name},L,,north`], columns, { header: false, update: true });
    expect(answer.json).toEqual({ created: 0, updated: 1, errors: 0, errorsList: [] });
    expect(await byName(kind, name)).toEqual({ ...before, label: "L", version: 2 } as never);
    expect((await load(kind, [`${name},,D,`], columns, { header: false, update: true })).json?.["updated"]).toBe(1);
    expect(await byName(kind, name)).toMatchObject({ label: "L", additionalInfo: { a: 1, description: "D" } });
  });

  test("saves attributes and telemetry with the types of their values", async () => {
    const columns = [
      "NAME",
      { type: "SHARED_ATTRIBUTE", key: "limit" },
      { type: "SERVER_ATTRIBUTE", key: "on" },
      { type: "TIMESERIES", key: "level" },
    ];
    expect(
      (await load(kind, ["h;h;h;h", `${kind} t;7.50;TRUE;high`], columns, { delimiter: ";" })).json?.["created"],
    ).toBe(1);
    const { id } = await byName(kind, `${kind} t`);
    const path = `/api/plugins/telemetry/${kind.toUpperCase()}/${id.id}/values`;
    expect((await cloud.request("GET", `${path}/attributes/SHARED_SCOPE`)).text).toContain(
      '"key":"limit","value":7.5}',
    );
    expect((await cloud.request("GET", `${path}/attributes/SERVER_SCOPE`)).text).toContain('"key":"on","value":true}');
    expect((await cloud.request("GET", `${path}/timeseries`)).text).toContain('"value":"high"');
  });

  test.each([
    [["A"], ["TYPE"], "A column of type NAME is needed"],
    [["A"], ["NAME", "COLOUR"], "Unsupported column type 'COLOUR'"],
    [["A"], ["NAME", "TIMESERIES"], "A column of type TIMESERIES needs a key"],
    [['"A'], ["NAME"], "Line 1: a quoted value is not closed"],
  ])("refuses a file or mapping that can't be read: %j %j", async (lines, columns, text) => {
    const answer = await load(kind, lines, columns);
    expect([answer.status, answer.json?.["errorCode"]]).toEqual([400, 31]);
    expect(answer.json?.["message"]).toStartWith(text);
  });
});

test("POST /api/device/bulk_import gives devices their tokens, and leaves nothing of a line that fails half-way", async () => {
  const columns = ["NAME", "ACCESS_TOKEN", "IS_GATEWAY", { type: "SERVER_ATTRIBUTE", key: "a" }];
  const answer = await load("device", ["n,t,g,a", "First,token-1,true,1", "Second,token-1,,1", "Third,,,1"], columns);
  expect(answer.json).toEqual({
    created: 2,
    updated: 0,
    errors: 1,
    errorsList: ["Line 3: Device credentials are already assigned to another device!"],
  });
  const { id, additionalInfo } = await byName("device", "First");
  expect(additionalInfo).toEqual({ gateway: true });
  expect(await cloud.call("GET", `/api/device/${id.id}/credentials`)).toMatchObject({ credentialsId: "token-1" });
  expect((await cloud.request("GET", "/api/tenant/device?deviceName=Second")).status).toBe(404);
});

test("POST /api/edge/bulk_import creates and updates edges; a secret that would be made up is refused", async () => {
  const columns = ["NAME", "TYPE", "LABEL", "ROUTING_KEY", "SECRET"];
  const lines = ["h", "Edge 1,site,North,key-1,secret-1", "Edge 2,site,,key-2,", "Edge 3,site,,key-1,secret-3"];
  const answer = await load("edge", lines, columns);
  expect(answer.json).toEqual({
    created: 1,
    updated: 0,
    errors: 2,
    errorsList: ["Line 3: Edge secret should be specified!", "Line 4: Edge with such routing key already exists!"],
  });
  expect((await load("edge", ["h", "Edge 1,,South,,"], columns, { update: true })).json?.["updated"]).toBe(1);
  const edge = await cloud.call("GET", "/api/tenant/edge?edgeName=Edge%201");
  expect(edge).toMatchObject({ type: "site", label: "South", routingKey: "key-1", version: 2 });
});

test("POST /api/device/bulk_import is for tenant administrators, and makes their own devices", async () => {
  const mapping = { columns: [{ type: "NAME" }], header: false };
  const body = { file: "Foreign", mapping };
  const { token } = cloud.second;
  expect((await cloud.request("POST", "/api/device/bulk_import", { body, token })).json?.["created"]).toBe(1);
  expect((await cloud.request("GET", "/api/tenant/device?deviceName=Foreign")).status).toBe(404);
});
