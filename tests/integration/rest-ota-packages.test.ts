import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
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
  readonly id: { readonly entityType: string; readonly id: string };
  readonly [key: string]: unknown;
}

let names = 0;
let profileId: { readonly entityType: string; readonly id: string };
beforeEach(async () => {
  names += 1;
  ({ id: profileId } = await cloud.call<Info>("POST", "/api/deviceProfile", { name: `Profile ${names}` }));
});
const make = (more: object = {}): Promise<Info> => {
  names += 1;
  const body = { type: "FIRMWARE", title: `fw ${names}`, version: "1.0", deviceProfileId: profileId, ...more };
  return cloud.call("POST", "/api/otaPackage", body);
};
const file = (bytes: number): Uint8Array<ArrayBuffer> =>
  Uint8Array.from({ length: bytes }, (_, at) => (at * 31 + (at >> 8)) & 0xff);

/** As a browser sends it; the body comes in pieces of a size that no boundary fits. */
async function upload(
  { id }: Info,
  content: Uint8Array,
  { query = "checksumAlgorithm=SHA256", name = "file", fileName = "a.bin", token = cloud.first.token } = {},
) {
  const mark = "----form 7d1";
  const head = `--${mark}\r\nContent-Disposition: form-data; name="${name}"; filename="${fileName}"\r\nContent-Type: application/x-fw\r\n\r\n`;
  const body = new Blob([head, content, `\r\n--${mark}--\r\n`]);
  const bytes = await body.bytes();
  const response = await cloud.api.fetch(
    new Request(`http://cloud.test/api/otaPackage/${id.id}?${query}`, {
      method: "POST",
      headers: { "x-authorization": `Bearer ${token}`, "content-type": `multipart/form-data; boundary="${mark}"` },
      body: new ReadableStream<Uint8Array>({
        start(controller) {
          for (let at = 0; at < bytes.length; at += 1_021) controller.enqueue(bytes.subarray(at, at + 1_021));
          controller.close();
        },
      }),
    }),
  );
  return (await response.json()) as Record<string, unknown>;
}

async function download({ id }: Info): Promise<Response> {
  const headers = { "x-authorization": `Bearer ${cloud.first.token}` };
  return cloud.api.fetch(new Request(`http://cloud.test/api/otaPackage/${id.id}/download`, { headers }));
}
const rows = async (): Promise<number> => {
  const [row] = await cloud.database.sql<
    { rows: number }[]
  >`select (select count(*) from blob) + (select count(*) from blob_chunk) as rows`;
  return row?.rows ?? -1;
};

describe("a package", () => {
  test("is described first, then gets its file, once", async () => {
    const made = await make({ title: "Pump firmware", version: "2.1-rc", additionalInfo: { a: 1 } });
    expect(made).toEqual({
      id: { entityType: "OTA_PACKAGE", id: made.id.id },
      createdTime: Number(made["createdTime"]),
      tenantId: { entityType: "TENANT", id: cloud.first.tenantId },
      deviceProfileId: profileId,
      type: "FIRMWARE",
      title: "Pump firmware",
      version: "2.1-rc",
      tag: "Pump firmware 2.1-rc",
      url: null,
      hasData: false,
      fileName: null,
      contentType: null,
      checksumAlgorithm: null,
      checksum: null,
      dataSize: null,
      name: "Pump firmware",
      externalId: null,
      additionalInfo: { a: 1 },
    });
    const content = file(700_001);
    const checksum = createHash("sha384").update(content).digest("hex");
    const query = `checksum=${checksum.toUpperCase()}&checksumAlgorithm=sha384`;
    const uploaded = await upload(made, content, { query });
    const described = { fileName: "a.bin", contentType: "application/x-fw", checksumAlgorithm: "SHA384", checksum };
    expect(uploaded).toMatchObject({ hasData: true, dataSize: 700_001, ...described });
    expect(await cloud.call("GET", `/api/otaPackage/info/${made.id.id}`)).toEqual(uploaded);
    const again = await upload(made, content);
    expect(again).toMatchObject({ status: 400, errorCode: 31, message: "Updating otaPackage data is prohibited!" });
    const response = await download(made);
    expect(new Uint8Array(await response.arrayBuffer())).toEqual(content);
    expect(response.headers.get("content-disposition")).toBe('attachment;filename="a.bin"');
    expect([response.headers.get("x-filename"), response.headers.get("content-type")]).toEqual([
      "a.bin",
      "application/x-fw",
    ]);
    const whole = await cloud.call<Info>("GET", `/api/otaPackage/${made.id.id}`);
    expect(Uint8Array.fromBase64(String(whole["data"]))).toEqual(content);
    // Saving it again keeps the file.
    const body = { ...made, additionalInfo: { b: 2 } };
    expect(await cloud.call("POST", "/api/otaPackage", body)).toMatchObject({ ...described, additionalInfo: { b: 2 } });
  });

  test("of one title has a version of its own", async () => {
    await make({ title: "Twin", version: "1" });
    await make({ title: "Twin", version: "2" });
    const body = { type: "SOFTWARE", title: "Twin", version: "1" };
    const answer = await cloud.request("POST", "/api/otaPackage", { body });
    expect(answer.json).toMatchObject({
      errorCode: 31,
      message: "OtaPackage with such title and version already exists!",
    });
  });

  test.each([
    [{ title: "" }, "OtaPackage title should be specified!"],
    [{ version: null }, "OtaPackage version should be specified!"],
    [{ type: "OTHER" }, "OtaPackage type should be specified!"],
    [{ usesUrl: true }, "Ota package URL should be specified!"],
    [
      { deviceProfileId: { id: "784f394c-42b6-435a-983c-b7beff2784f9" } },
      "OtaPackage is referencing to non-existent device profile!",
    ],
  ])("with %j is refused", async (more, message) => {
    const body = { type: "FIRMWARE", title: "fw", version: "1.0", ...more };
    expect((await cloud.request("POST", "/api/otaPackage", { body })).json).toMatchObject({ errorCode: 31, message });
  });

  test("that is elsewhere takes no file, and has none to download", async () => {
    const made = await make({ usesUrl: true, url: "https://example.com/a.bin" });
    expect(made).toMatchObject({ url: "https://example.com/a.bin", hasData: true });
    expect(await upload(made, file(5))).toMatchObject({ errorCode: 31 });
    expect((await download(made)).status).toBe(400);
  });
});

describe("an upload leaves nothing behind when", () => {
  test.each([
    ["the file is another", { query: `checksum=00&checksumAlgorithm=MD5` }, "Wrong otaPackage file!"],
    ["the algorithm is not known", { query: "checksumAlgorithm=ROT13" }, "Expected one of"],
    ["the part is called something else", { name: "data" }, "Expected the part 'file'"],
  ] as const)("%s", async (_what, options, message) => {
    const made = await make();
    const answer = await upload(made, file(300_000), options);
    expect(answer).toMatchObject({ status: 400, errorCode: 31 });
    expect(String(answer["message"])).toStartWith(message);
    expect(await cloud.call("GET", `/api/otaPackage/info/${made.id.id}`)).toMatchObject({ hasData: false });
  });

  test("it is too large, empty or no form", async () => {
    const made = await make();
    const before = await rows();
    expect(await upload(made, file(9 * 1024 * 1024))).toMatchObject({ status: 413 });
    expect(await upload(made, file(0))).toMatchObject({ status: 400 });
    const path = `/api/otaPackage/${made.id.id}?checksumAlgorithm=MD5`;
    expect((await cloud.request("POST", path, { body: {} })).json).toMatchObject({ errorCode: 31 });
    expect(await rows()).toBe(before);
  });
});

test("the same bytes in two packages are stored once", async () => {
  const content = file(300_000);
  await upload(await make(), content);
  const before = await rows();
  const second = await make();
  expect(await upload(second, content)).toMatchObject({ hasData: true });
  expect(await rows()).toBe(before);
  expect((await download(second)).status).toBe(200);
});

describe("a device and a profile", () => {
  const save = (kind: "device" | "deviceProfile", more: object) => {
    names += 1;
    return cloud.request("POST", `/api/${kind}`, { body: { name: `${kind} ${names}`, ...more } });
  };

  test("take packages that have data, of the right type, for their profile", async () => {
    const [empty, software, firmware] = [await make(), await make({ type: "SOFTWARE" }), await make()];
    await upload(software, file(10));
    await upload(firmware, file(20));
    for (const [more, message] of [
      [{ firmwareId: software.id }, "Can't assign firmware with type: SOFTWARE"],
      [{ softwareId: firmware.id }, "Can't assign software with type: FIRMWARE"],
      [{ firmwareId: empty.id }, "Can't assign firmware with empty data!"],
    ] as const) {
      const answer = await save("device", { deviceProfileId: profileId, ...more });
      expect(answer.json).toMatchObject({ status: 400, errorCode: 31, message });
    }
    const other = await save("device", { firmwareId: firmware.id });
    expect(other.json).toMatchObject({ message: "Can't assign firmware with different deviceProfile!" });
    const device = await save("device", {
      deviceProfileId: profileId,
      firmwareId: firmware.id,
      softwareId: software.id,
    });
    expect(device.json).toMatchObject({ firmwareId: firmware.id, softwareId: software.id });
    const profile = await cloud.call<Info>("GET", `/api/deviceProfile/${profileId.id}`);
    const saved = await cloud.call("POST", "/api/deviceProfile", { ...profile, firmwareId: firmware.id });
    expect(saved).toMatchObject({ firmwareId: firmware.id });
    const path = `/api/otaPackage/${firmware.id.id}`;
    expect((await cloud.request("DELETE", path)).json).toMatchObject({ status: 400, errorCode: 31 });
    await save("device", { deviceProfileId: profileId });
    expect(await cloud.call<unknown>("GET", `/api/devices/count/FIRMWARE/${profileId.id}`)).toBe(1);
  });

  test("let go of a package, which can be deleted then", async () => {
    const firmware = await make();
    await upload(firmware, file(20));
    const device = await save("device", { deviceProfileId: profileId, firmwareId: firmware.id });
    await cloud.call("POST", "/api/device", { ...device.json, firmwareId: null });
    expect((await cloud.request("DELETE", `/api/otaPackage/${firmware.id.id}`)).status).toBe(200);
  });
});

test("lists show all packages, or those of a type that a profile can use", async () => {
  const [one, two] = [await make(), await make()];
  await upload(one, file(10));
  const all = await cloud.call<{ data: Info[] }>(
    "GET",
    `/api/otaPackages?pageSize=100&page=0&textSearch=${String(two["title"])}`,
  );
  expect(all.data.map(({ id }) => id)).toEqual([two.id]);
  const usable = await cloud.request("GET", `/api/otaPackages/${profileId.id}/FIRMWARE?pageSize=10&page=0`, {
    token: customerToken,
  });
  expect(usable.json).toMatchObject({ totalElements: 1, data: [{ id: one.id }] });
  expect((await cloud.request("GET", `/api/otaPackage/${one.id.id}/download`, { token: customerToken })).status).toBe(
    403,
  );
  expect((await cloud.request("GET", `/api/otaPackage/info/${one.id.id}`, { token: cloud.second.token })).status).toBe(
    404,
  );
});
