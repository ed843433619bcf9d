import { afterAll, beforeAll, expect, test } from "bun:test";
import { NULL_UUID } from "../../shared/core/ids.ts";
import { startTestCloud, type TestCloud } from "../support/test-cloud.ts";

let cloud: TestCloud;
beforeAll(async () => {
  cloud = await startTestCloud();
  const customers: Record<string, unknown>[] = [];
  // Made in another order than that of their titles.
  for (const title of ["Meadow", "Alder", "Zinc"]) customers.push(await cloud.call("POST", "/api/customer", { title }));
  const names = ["Pump_1", "pump 2", "PUMP 10%", "Valve", "Émile", "Pump 4"];
  for (const [index, name] of names.entries()) {
    const label = index % 2 === 0 ? `Rack ${index}` : null;
    const customerId = index < 4 ? customers[index % 3]?.["id"] : undefined;
    await cloud.call("POST", "/api/device", { name, label, customerId });
  }
});
afterAll(() => cloud[Symbol.asyncDispose]());

interface Devices {
  readonly data: readonly { readonly name: string; readonly customerTitle: string | null }[];
  readonly totalElements: number;
  readonly hasNext: boolean;
}

const list = (query: string) => cloud.call<Devices>("GET", `/api/tenant/deviceInfos?${query}`);
const namesOf = ({ data }: Devices): string[] => data.map(({ name }) => name);

test.each(["createdTime", "name", "type", "label", "deviceProfileName", "customerTitle", ""])(
  "a list sorted by '%s' shows each entity once over its pages, and backwards in the reverse order",
  async (property) => {
    const read = async (order: string): Promise<string[]> => {
      const pages: string[] = [];
      for (let page = 0; page < 3; page += 1) {
        const answer = await list(`pageSize=2&page=${page}&sortProperty=${property}&sortOrder=${order}`);
        expect([answer.totalElements, answer.hasNext]).toEqual([6, page < 2]);
        pages.push(...namesOf(answer));
      }
      return pages;
    };
    const up = await read("ASC");
    expect(new Set(up).size).toBe(6);
    expect(await read("DESC")).toEqual(up.toReversed());
  },
);

test("a list sorted by customerTitle follows the titles, entities of nobody last", async () => {
  const { data } = await list("pageSize=10&page=0&sortProperty=customerTitle");
  expect(data.map(({ customerTitle }) => customerTitle)).toEqual(["Alder", "Meadow", "Meadow", "Zinc", null, null]);
});

test.each([
  ["PUMP", ["PUMP 10%", "Pump 4", "Pump_1", "pump 2"]],
  ["p_1", ["Pump_1"]],
  ["10%", ["PUMP 10%"]],
  ["rack 2", ["PUMP 10%"]],
  ["émile", ["Émile"]],
  ["1rack", []],
  ["\\", []],
])("a list searched for '%s' finds what contains it in name or label, whatever the case", async (text, found) => {
  const answer = await list(`pageSize=10&page=0&sortProperty=name&textSearch=${encodeURIComponent(text)}`);
  expect(namesOf(answer)).toEqual(found);
  expect(answer.totalElements).toBe(found.length);
});

test("a search finds a name after it was changed, and no longer the old one", async () => {
  const device = await cloud.call("POST", "/api/device", { name: "Before" });
  await cloud.call("POST", "/api/device", { ...device, name: "After" });
  expect(namesOf(await list("pageSize=10&page=0&textSearch=before"))).toEqual([]);
  expect(namesOf(await list("pageSize=10&page=0&textSearch=after"))).toEqual(["After"]);
});

test.each([
  ["/api/ruleChains", "root", ["false", "true"]],
  ["/api/deviceProfiles", "default", ["false", "true"]],
  ["/api/assetProfiles", "default", ["false", "true"]],
  ["/api/otaPackages", "version", ["1.10", "1.9"]],
  ["/api/otaPackages", "dataSize", ["9", "10"]],
  ["/api/tenant/dashboards", "mobileOrder", ["9", "10"]],
  ["/api/resource", "tenantId", null],
  ["/api/audit/logs", "actionStatus", ["FAILURE", "SUCCESS"]],
] as const)("%s is sorted by %s", async (path, property, ends) => {
  const read = async (order: string) => {
    const answer = await cloud.call<{ data: Record<string, unknown>[] }>(
      "GET",
      `${path}?pageSize=100&page=0&sortProperty=${property}&sortOrder=${order}`,
    );
    return answer.data.map((row) => String(row[property]));
  };
  await makeSorted();
  const up = await read("ASC");
  expect(await read("DESC")).toEqual(up.toReversed());
  if (ends !== null) expect([up[0], up.at(-1)]).toEqual([...ends]);
});

let isMade = false;
async function makeSorted(): Promise<void> {
  if (isMade) return;
  isMade = true;
  await cloud.request("DELETE", `/api/device/${NULL_UUID}`);
  await cloud.call("POST", "/api/ruleChain", { name: "Not the root" });
  for (const kind of ["deviceProfile", "assetProfile"])
    await cloud.call("POST", `/api/${kind}`, { name: "Not default" });
  for (const mobileOrder of [10, 9]) await cloud.call("POST", "/api/dashboard", { title: "D", mobileOrder });
  const { id } = await cloud.call<{ id: unknown }>("GET", "/api/deviceProfileInfo/default");
  for (const [version, length] of [
    ["1.9", 10],
    ["1.10", 9],
  ] as const) {
    const info = { title: "fw", version, type: "FIRMWARE", deviceProfileId: id };
    const made = await cloud.call<{ id: { id: string } }>("POST", "/api/otaPackage", info);
    const form = new FormData();
    form.set("file", new File(["x".repeat(length)], "a.bin"));
    const headers = { "x-authorization": `Bearer ${cloud.first.token}` };
    const url = `http://cloud.test/api/otaPackage/${made.id.id}?checksumAlgorithm=SHA256`;
    await cloud.api.fetch(new Request(url, { method: "POST", headers, body: form }));
  }
}
