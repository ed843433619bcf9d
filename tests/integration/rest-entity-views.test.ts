import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { startTestCloud, type TestCloud } from "../support/test-cloud.ts";

let cloud: TestCloud;
beforeAll(async () => {
  cloud = await startTestCloud();
});
afterAll(() => cloud[Symbol.asyncDispose]());

interface Entity {
  readonly id: { readonly id: string };
  readonly name: string;
  readonly [key: string]: unknown;
}

describe("entity views", () => {
  test("show attributes of what they are of, as they were when the view was saved", async () => {
    const device = await cloud.call<Entity>("POST", "/api/device", { name: "Viewed" });
    const data = "/api/plugins/telemetry";
    await cloud.call("POST", `${data}/DEVICE/${device.id.id}/attributes/SERVER_SCOPE`, { site: 1, secret: 2 });
    const keys = { timeseries: ["t"], attributes: { cs: [], ss: ["site"], sh: [] } };
    const view = await cloud.call<Entity>("POST", "/api/entityView", { name: "V", entityId: device.id, keys });
    expect(view).toMatchObject({
      type: "default",
      entityId: device.id,
      keys,
      startTimeMs: 0,
      endTimeMs: 0,
      version: 1,
    });
    const read = await cloud.call<object[]>("GET", `${data}/ENTITY_VIEW/${view.id.id}/values/attributes/SERVER_SCOPE`);
    expect(read).toMatchObject([{ key: "site", value: 1 }]);
    expect(await cloud.call<Entity[]>("GET", `/api/entityViews/list?entityViewIds=${view.id.id}`)).toEqual([view]);
    expect(await cloud.call("GET", "/api/tenant/entityViews?entityViewName=V")).toEqual(view);
    expect(await cloud.call("GET", `/api/entityView/info/${view.id.id}`)).toMatchObject({ customerTitle: null });
    expect((await cloud.request("DELETE", `/api/device/${device.id.id}`)).json).toMatchObject({
      status: 400,
      message: "Can't delete device that has entity views or is referenced in calculated fields!",
    });
    await cloud.call("DELETE", `/api/entityView/${view.id.id}`);
    expect((await cloud.request("DELETE", `/api/device/${device.id.id}`)).status).toBe(200);
  });

  test("show telemetry of what they are of: their keys, in their time", async () => {
    const device = await cloud.call<Entity>("POST", "/api/device", { name: "Measured" });
    const data = "/api/plugins/telemetry";
    for (const ts of [1000, 2000, 3000, 4000]) {
      const values = { t: ts, other: ts };
      await cloud.call("POST", `${data}/DEVICE/${device.id.id}/timeseries/ANY`, { ts, values });
    }
    const keys = { timeseries: ["t"], attributes: { cs: [], ss: [], sh: [] } };
    const input = { name: "Times", entityId: device.id, keys };
    const view = await cloud.call<Entity>("POST", "/api/entityView", { ...input, startTimeMs: 2000, endTimeMs: 3000 });
    const path = `${data}/ENTITY_VIEW/${view.id.id}`;
    const history = (more: string) =>
      cloud.call(
        "GET",
        `${path}/values/timeseries?startTs=0&endTs=9000&orderBy=ASC&useStrictDataTypes=true&limit=10${more}`,
      );
    const points = [
      { ts: 2000, value: 2000 },
      { ts: 3000, value: 3000 },
    ];
    expect(await history("&keys=t,other")).toEqual({ t: points });
    expect(await history("")).toEqual({ t: points });
    expect(await cloud.call<string[]>("GET", `${path}/keys/timeseries`)).toEqual(["t"]);
    const latest = () => cloud.call("GET", `${path}/values/timeseries?useStrictDataTypes=true`);
    expect(await latest()).toEqual({ t: [{ ts: 3000, value: 3000 }] });
    await cloud.call("POST", "/api/entityView", { ...input, id: view.id });
    expect(await latest()).toEqual({ t: [{ ts: 4000, value: 4000 }] });
  });

  test.each([
    [{}, "Entity id should be specified!"],
    [
      { entityId: { entityType: "USER", id: "784f394c-42b6-435a-983c-b7beff2784f9" } },
      "Entity view can be of a device or an asset only!",
    ],
    [
      { entityId: { entityType: "DEVICE", id: "784f394c-42b6-435a-983c-b7beff2784f9" } },
      "Can't assign non-existent device!",
    ],
  ])("of %j are refused", async (body, message) => {
    const answer = await cloud.request("POST", "/api/entityView", { body: { name: "Bad", ...body } });
    expect(answer.json).toMatchObject({ status: 400, errorCode: 31, message });
  });
});
