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
