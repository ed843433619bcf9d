import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { addCustomerUser, startTestCloud, type TestCloud } from "../support/test-cloud.ts";

let cloud: TestCloud;
let customerToken: string;
beforeAll(async () => {
  cloud = await startTestCloud();
  ({ token: customerToken } = await addCustomerUser(cloud));
});
afterAll(() => cloud[Symbol.asyncDispose]());

interface Info {
  readonly id: { readonly id: string };
  readonly link: string;
  readonly [key: string]: unknown;
}

const TEXT = "export const answer = 42;";
const DATA = Buffer.from(TEXT).toString("base64");
const ETAG = createHash("sha256").update(TEXT).digest("hex");
let names = 0;
const make = (more: object = {}): Promise<Info> => {
  names += 1;
  const body = { title: `Resource ${names}`, resourceType: "JS_MODULE", fileName: `module ${names}.js`, data: DATA };
  return cloud.call("POST", "/api/resource", { ...body, ...more });
};

async function sendForm(method: string, path: string, parts: Readonly<Record<string, string | File>>) {
  const form = new FormData();
  for (const [name, value] of Object.entries(parts)) form.set(name, value);
  const headers = { "x-authorization": `Bearer ${cloud.first.token}` };
  const response = await cloud.api.fetch(new Request(`http://cloud.test${path}`, { method, headers, body: form }));
  return (await response.json()) as Info;
}

describe("POST /api/resource", () => {
  test("keeps a file that comes as base64", async () => {
    const made = await make({ resourceSubType: "MODULE", descriptor: { a: 1 } });
    expect(made).toEqual({
      id: { entityType: "TB_RESOURCE", id: made.id.id },
      createdTime: Number(made["createdTime"]),
      tenantId: { entityType: "TENANT", id: cloud.first.tenantId },
      title: `Resource ${names}`,
      resourceType: "JS_MODULE",
      resourceSubType: "MODULE",
      resourceKey: `module ${names}.js`,
      public: false,
      publicResourceKey: null,
      etag: ETAG,
      fileName: `module ${names}.js`,
      descriptor: { a: 1 },
      name: `Resource ${names}`,
      link: `/api/resource/js_module/tenant/module%20${names}.js`,
      publicLink: null,
    } as never);
    expect(await cloud.call("GET", `/api/resource/info/${made.id.id}`)).toEqual(made);
    expect(await cloud.call("GET", `/api/resource/${made.id.id}`)).toEqual({ ...made, data: DATA });
  });

  test("gives a second file of one name a key of its own, and updates by id", async () => {
    const first = await make({ fileName: "twin.tar.gz" });
    expect(await make({ fileName: "twin.tar.gz" })).toMatchObject({ resourceKey: "twin.tar_(1).gz" });
    const body = { ...first, title: "Renamed", data: Buffer.from("new").toString("base64"), resourceKey: "other" };
    const updated = await cloud.call<Info>("POST", "/api/resource", body);
    expect(updated).toMatchObject({ id: first.id, title: "Renamed", resourceKey: "twin.tar.gz" });
    expect(updated["etag"]).not.toBe(ETAG);
    const info = { ...updated, title: "Once more", data: undefined };
    const changed = await cloud.call("PUT", `/api/resource/${first.id.id}/info`, info);
    expect(changed).toMatchObject({ title: "Once more", etag: updated["etag"] });
  });

  test.each([
    [{ title: "" }, "Resource title should be specified!"],
    [{ resourceType: "TOY" }, "Resource type should be specified!"],
    [{ data: null }, "Resource data should be specified!"],
    [{ fileName: null }, "Resource file name should be specified!"],
    [{ data: "?" }, "Resource data is not base64"],
  ])("refuses %j", async (more, message) => {
    const body = { title: "R", resourceType: "GENERAL", fileName: "r.bin", data: DATA, ...more };
    expect((await cloud.request("POST", "/api/resource", { body })).json).toMatchObject({ errorCode: 31, message });
  });
});

describe("forms", () => {
  test("make a resource, and replace its file", async () => {
    const file = new File([TEXT], "form.js", { type: "text/javascript" });
    const parts = { file, resourceType: "JS_MODULE", title: "By form", descriptor: '{"b":2}' };
    const made = await sendForm("POST", "/api/resource/upload", parts);
    expect(made).toMatchObject({ title: "By form", fileName: "form.js", etag: ETAG, descriptor: { b: 2 } });
    const other = { file: new File(["2"], "form-2.js") };
    const replaced = await sendForm("PUT", `/api/resource/${made.id.id}/data`, other);
    expect(replaced).toMatchObject({ id: made.id, fileName: "form-2.js", resourceKey: "form.js" });
    expect((await cloud.request("GET", replaced.link)).text).toBe("2");
    expect(await sendForm("POST", "/api/resource/upload", { title: "x" })).toMatchObject({ errorCode: 31 });
  });
});

describe("the file of a resource", () => {
  test("is answered with its hash, and not again to who has it", async () => {
    const made = await make();
    for (const path of [made.link, `/api/resource/${made.id.id}/download`]) {
      const answer = await cloud.request("GET", path);
      expect([answer.text, answer.headers.get("etag")]).toEqual([TEXT, `"${ETAG}"`]);
      for (const known of [`"${ETAG}"`, `"x", W/"${ETAG}"`]) {
        const again = await cloud.request("GET", path, { headers: { "if-none-match": known } });
        expect([again.status, again.text, again.headers.get("etag")]).toEqual([304, "", `"${ETAG}"`]);
      }
      expect((await cloud.request("GET", path, { headers: { "if-none-match": '"x"' } })).status).toBe(200);
    }
  });

  test("is for users of customers when it is a module, never for another tenant", async () => {
    const [module, general] = [await make(), await make({ resourceType: "GENERAL" })];
    const status = async (path: string, token: string) => (await cloud.request("GET", path, { token })).status;
    expect(await status(module.link, customerToken)).toBe(200);
    expect(await status(general.link, customerToken)).toBe(404);
    expect(await status(`/api/resource/${module.id.id}/download`, cloud.second.token)).toBe(404);
    expect(await status(module.link, cloud.second.token)).toBe(404);
    const answer = await cloud.request("DELETE", `/api/resource/${module.id.id}`, { token: cloud.second.token });
    expect(answer.status).toBe(404);
  });

  test("of the system is for all tenants, and theirs to read only", async () => {
    const body = { title: "Of all", resourceType: "JS_MODULE", fileName: "system.js", data: DATA };
    const made = (await cloud.request("POST", "/api/resource", { body, token: cloud.system })).json as unknown as Info;
    expect(made.link).toBe("/api/resource/js_module/system/system.js");
    expect((await cloud.request("GET", made.link)).text).toBe(TEXT);
    expect(await cloud.call("GET", `/api/resource/info/${made.id.id}`)).toMatchObject({ title: "Of all" });
    for (const path of [`/api/resource/${made.id.id}`]) expect((await cloud.request("DELETE", path)).status).toBe(404);
  });
});

test("lists of resources filter by type, and by ids in both forms", async () => {
  const made = await make({ resourceType: "LWM2M_MODEL", title: "Model" });
  const list = (path: string) => cloud.call<{ data: Info[] }>("GET", path);
  for (const path of ["/api/resource", "/api/resource/tenant"]) {
    const { data } = await list(`${path}?pageSize=10&page=0&resourceType=LWM2M_MODEL`);
    expect(data.map(({ id }) => id)).toEqual([made.id]);
  }
  for (const path of ["/api/resource", "/api/resource/list"]) {
    const unknown = "784f394c-42b6-435a-983c-b7beff2784f9";
    expect(await cloud.call<unknown>("GET", `${path}?resourceIds=${made.id.id},${unknown}`)).toMatchObject([
      { id: made.id },
    ]);
  }
  expect(await cloud.call("DELETE", `/api/resource/${made.id.id}?force=false`)).toEqual({
    success: true,
    references: null,
  });
  expect((await cloud.request("GET", `/api/resource/${made.id.id}`)).status).toBe(404);
});

test("a resource that something names is deleted by force only, and the answer says what names it", async () => {
  const made = await make({ fileName: "used.js" });
  const title = "Dashboard with a module";
  const configuration = { module: `tb-resource;${decodeURIComponent(made.link)}` };
  const dashboard = await cloud.call<Info>("POST", "/api/dashboard", { title, configuration });
  const path = `/api/resource/${made.id.id}`;
  const refused = await cloud.request("DELETE", path);
  expect([refused.status, refused.json]).toEqual([
    400,
    { success: false, references: { DASHBOARD: [{ id: dashboard.id, name: title }] } },
  ]);
  expect(await cloud.call("DELETE", `${path}?force=true`)).toEqual({ success: true, references: null } as never);
});

test("an image is answered by its link, also to users of customers", async () => {
  const made = await make({ resourceType: "IMAGE", fileName: "plan.png" });
  expect(made.link).toBe("/api/images/tenant/plan.png");
  for (const token of [cloud.first.token, customerToken]) {
    expect((await cloud.request("GET", made.link, { token })).text).toBe(TEXT);
  }
  expect((await cloud.request("GET", made.link, { token: cloud.second.token })).status).toBe(404);
});

describe("files that a dashboard names", () => {
  const image = () => make({ resourceType: "IMAGE", resourceSubType: "IMAGE", fileName: "plan of site.png" });
  const configurationOf = (file: Info) => `{ "a": "tb-image;${file.link}", "n": 1.0, "b":"${file.link}?x" }`;
  const save = async (configuration: string, more = "") => {
    const body = `{"title":"With files"${more},"configuration":${configuration}}`;
    return (await cloud.request("POST", "/api/dashboard", { body })).json as unknown as Info;
  };

  test("are in the answer when it is asked for with them, and come in with it again", async () => {
    const [picture, script] = [await image(), await make()];
    const dashboard = await save(`["tb-image;${picture.link}","${script.link}","/api/images/tenant/none"]`);
    const path = `/api/dashboard/${dashboard.id.id}`;
    expect(dashboard["resources"]).toBeNull();
    expect((await cloud.call<Info>("GET", path))["resources"]).toBeNull();
    const whole = await cloud.call<Info>("GET", `${path}?includeResources=true`);
    expect(whole["resources"]).toEqual([
      {
        link: picture.link,
        title: String(picture["title"]),
        type: "IMAGE",
        subType: "IMAGE",
        resourceKey: String(picture["resourceKey"]),
        fileName: "plan of site.png",
        publicResourceKey: null,
        public: false,
        mediaType: "application/octet-stream",
        data: DATA,
      },
      expect.objectContaining({ link: script.link, type: "JS_MODULE", data: DATA }),
    ] as never);

    const { id: _id, ...exported } = whole;
    const again = await cloud.call<Info>("POST", "/api/dashboard", { ...exported, title: "Same tenant" });
    expect(again["configuration"]).toEqual(whole["configuration"]);
    await cloud.request("DELETE", `/api/resource/${picture.id.id}?force=true`);
    const other = { ...exported, title: "Elsewhere" };
    const { token } = cloud.second;
    const answer = await cloud.request("POST", "/api/dashboard", { token, body: other });
    expect(answer).toMatchObject({ status: 200, json: { configuration: whole["configuration"] } });
    const mine = await cloud.request("GET", picture.link, { token });
    expect(mine).toMatchObject({ status: 200, text: TEXT });
    // The name is taken by another file: its link changes, and with it the configuration.
    const data = Buffer.from("another").toString("base64");
    const [first] = exported["resources"] as Info[];
    const changed = { ...other, resources: [{ ...first, data }] };
    const renamed = await cloud.request("POST", "/api/dashboard", { token, body: changed });
    const [link] = (renamed.json as unknown as { configuration: string[] }).configuration;
    expect(link).toStartWith("tb-image;/api/images/tenant/plan%20of%20site");
    expect(link).not.toBe(`tb-image;${picture.link}`);
    const bad = await cloud.request("POST", "/api/dashboard", {
      body: { ...other, resources: [{ ...first, data: "#" }] },
    });
    expect(bad).toMatchObject({ status: 400, json: { errorCode: 31, field: "resources.0.data" } });
  });

  test("are in its texts in place of links when images are asked for inline", async () => {
    const picture = await image();
    const dashboard = await save(configurationOf(picture), `,"image":"tb-image;${picture.link}"`);
    const inline = `data:application/octet-stream;base64,${DATA}`;
    const answer = await cloud.request("GET", `/api/dashboard/${dashboard.id.id}?inlineImages=true`);
    expect(answer.json).toMatchObject({ image: inline });
    expect(answer.text).toContain(`{ "a": "${inline}", "n": 1.0, "b":"${picture.link}?x" }`);
    const profile = { name: "Pictured", image: `tb-image;${picture.link}` };
    for (const kind of ["deviceProfile", "assetProfile"]) {
      const saved = await cloud.call<Info>("POST", `/api/${kind}`, profile);
      expect(await cloud.call("GET", `/api/${kind}/${saved.id.id}?inlineImages=true`)).toMatchObject({ image: inline });
      expect(await cloud.call("GET", `/api/${kind}/${saved.id.id}?inlineImages=false`)).toMatchObject(profile);
    }
  });
});
