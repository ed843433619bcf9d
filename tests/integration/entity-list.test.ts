import { afterAll, beforeAll, expect, test } from "bun:test";
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
