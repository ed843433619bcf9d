import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { startTestCloud, type TestCloud } from "../support/test-cloud.ts";

let cloud: TestCloud;
let names = 0;
beforeAll(async () => {
  cloud = await startTestCloud();
});
afterAll(() => cloud[Symbol.asyncDispose]());

const PREFIX = "/api/plugins/telemetry";
const UNKNOWN_ID = "784f394c-42b6-435a-983c-b7beff2784f9";

/** The path of a new device's data. */
async function newDevice(): Promise<string> {
  names += 1;
  const device = await cloud.call<{ id: { id: string } }>("POST", "/api/device", { name: `Device ${names}` });
  return `${PREFIX}/DEVICE/${device.id.id}`;
}

async function saved(path: string, body: unknown): Promise<void> {
  expect(await cloud.request("POST", path, { body })).toMatchObject({ status: 200, text: "" });
}

async function textOf(path: string): Promise<string> {
  const answer = await cloud.request("GET", path);
  expect([path, answer.status]).toEqual([path, 200]);
  return answer.text;
}

describe("attributes", () => {
  test.each([
    ["{", "Invalid JSON"],
    ["5", "Request is not a JSON object"],
    ["{}", "No attributes data found in request body!"],
    ['{" ":1}', "Key cannot be blank"],
    ['{"":1}', "Key cannot be blank"],
    ['{"a":null}', 'Invalid JSON: Expected a value for key "a", got null'],
  ])("refuse the body %s", async (body, message) => {
    const device = await newDevice();
    for (const path of [`${device}/SHARED_SCOPE`, `${device}/attributes/SERVER_SCOPE`]) {
      const answer = await cloud.request("POST", path, { body });
      expect(answer.status).toBe(400);
      expect(answer.json?.["message"]).toStartWith(message);
    }
    expect(await textOf(`${device}/keys/attributes`)).toBe("[]");
  });

  test("refuse wrong scopes, types of entities, ids and keys", async () => {
    const device = await newDevice();
    const id = device.split("/").at(-1);
    const refusals: [string, string, number, string][] = [
      ["POST", `${device}/CLIENT_SCOPE`, 400, "Invalid scope: CLIENT_SCOPE"],
      ["POST", `${device}/NO_SCOPE`, 400, "Invalid scope: NO_SCOPE"],
      ["POST", `${PREFIX}/${UNKNOWN_ID}/SHARED_SCOPE`, 404, `Device with id [${UNKNOWN_ID}] is not found`],
      ["POST", `${PREFIX}/ASSET/${id}/SHARED_SCOPE`, 404, `Asset with id [${id}] is not found`],
      ["POST", `${PREFIX}/THING/${id}/SHARED_SCOPE`, 400, "Unsupported entity type 'THING'!"],
      ["DELETE", `${device}/SHARED_SCOPE`, 400, "Empty keys: []"],
      ["DELETE", `${device}/SHARED_SCOPE?keys=`, 400, "Empty keys: []"],
    ];
    for (const [method, path, status, message] of refusals) {
      const answer = await cloud.request(method, path, { body: { a: 1 } });
      expect([path, answer.status, answer.json?.["message"]]).toEqual([path, status, message]);
    }
  });

  test("keep the kind of each value, by every path", async () => {
    const device = await newDevice();
    const id = device.split("/").at(-1);
    await saved(
      `${device}/attributes/SHARED_SCOPE?scope=ANY`,
      '{"long":21,"double":21.0,"text":"on","number":"007","flag":true,"json":{"b":[1, 2.50],"a":"x"}}',
    );
    await saved(`${device}/SERVER_SCOPE`, { active: true });
    await saved(`${PREFIX}/${id}/SERVER_SCOPE`, { short: 1 });
    const text = await textOf(`${device}/values/attributes/SHARED_SCOPE`);
    for (const part of [
      '"key":"long","value":21}',
      '"key":"double","value":21.0}',
      '"key":"text","value":"on"}',
      '"key":"number","value":7}',
      '"key":"flag","value":true}',
      '"a":"x"',
      "[1,2.50]",
    ]) {
      expect(text).toContain(part);
    }
    expect(text).toMatch(/"lastUpdateTs":\d{13}/);
    expect(await textOf(`${device}/keys/attributes/SERVER_SCOPE`)).toBe('["active","short"]');
    expect(JSON.parse(await textOf(`${device}/keys/attributes`))).toContain("long");
    expect(await textOf(`${device}/values/attributes?keys=short,none`)).toMatch(
      /^\[{"lastUpdateTs":\d+,"key":"short","value":1}\]$/,
    );
  });

  test("with commas in their keys are asked for one by one", async () => {
    const device = await newDevice();
    await saved(`${device}/SHARED_SCOPE`, { "a,b": 1, c: 2 });
    expect(await textOf(`${device}/values/attributes/SHARED_SCOPE?key=a%2Cb&key=c`)).toContain('"a,b"');
    expect(await textOf(`${device}/values/attributes/SHARED_SCOPE?keys=a%2Cb`)).toBe("[]");
  });

  test("get a later time with every write, also when the clock goes back", async () => {
    const device = await newDevice();
    const time = async () =>
      (JSON.parse(await textOf(`${device}/values/attributes`)) as { lastUpdateTs: number; value: number }[])[0];
    await saved(`${device}/SHARED_SCOPE`, { a: 1 });
    const before = await time();
    cloud.clock.advance(-3_600_000);
    await saved(`${device}/SHARED_SCOPE`, { a: 2 });
    cloud.clock.advance(3_600_000);
    const after = await time();
    expect(after).toMatchObject({ value: 2 });
    expect(after?.lastUpdateTs).toBeGreaterThan(before?.lastUpdateTs ?? 0);
  });

  test("are deleted by key", async () => {
    const device = await newDevice();
    await saved(`${device}/SHARED_SCOPE`, { a: 1, b: 2 });
    expect((await cloud.request("DELETE", `${device}/SHARED_SCOPE?keys=a,none`, { body: {} })).text).toBe("");
    expect(await textOf(`${device}/keys/attributes`)).toBe('["b"]');
  });
});

describe("telemetry", () => {
  test.each([
    ["{", "Unable to parse time series payload: Invalid JSON body!"],
    ["7", "Request is not a JSON object"],
    ["{}", "No time series data found in request body!"],
    ["[]", "No time series data found in request body!"],
    ['{"a":null}', "Unable to parse time series payload"],
    ['{"ts":"x","values":{"a":1}}', "Unable to parse time series payload"],
  ])("refuses the body %s", async (body, message) => {
    const device = await newDevice();
    const answer = await cloud.request("POST", `${device}/timeseries/ANY`, { body });
    expect(answer.status).toBe(400);
    expect(answer.json?.["message"]).toStartWith(message);
  });

  test("is saved in all forms and read as text or strictly", async () => {
    const device = await newDevice();
    await saved(
      `${device}/timeseries/ANY?scope=ANY`,
      '{"ts":1000,"values":{"t":21.0,"n":5,"s":"x","o":{"b":1, "a":2},"f":false}}',
    );
    await saved(
      `${device}/timeseries/LATEST_TELEMETRY/3600`,
      '[{"ts":2000,"values":{"t":22.5}},{"ts":500,"values":{"t":1}}]',
    );
    expect(await textOf(`${device}/keys/timeseries`)).toBe('["f","n","o","s","t"]');
    expect(await textOf(`${device}/values/timeseries?keys=t,n,s,f`)).toBe(
      '{"t":[{"ts":2000,"value":"22.5"}],"n":[{"ts":1000,"value":"5"}],"s":[{"ts":1000,"value":"x"}],"f":[{"ts":1000,"value":"false"}]}',
    );
    expect(await textOf(`${device}/values/timeseries?keys=n,s,f&useStrictDataTypes=true`)).toBe(
      '{"n":[{"ts":1000,"value":5}],"s":[{"ts":1000,"value":"x"}],"f":[{"ts":1000,"value":false}]}',
    );
    expect(JSON.parse(await textOf(`${device}/values/timeseries?keys=o`))).toMatchObject({ o: [{ ts: 1000 }] });
    const history = `${device}/values/timeseries?keys=t&startTs=0&endTs=2001&useStrictDataTypes=true`;
    expect(await textOf(history)).toBe(
      '{"t":[{"ts":2000,"value":22.5},{"ts":1000,"value":21.0},{"ts":500,"value":1}]}',
    );
  });

  test("gives null at the time of now for a key that is not known", async () => {
    const device = await newDevice();
    expect(await textOf(`${device}/values/timeseries?keys=none`)).toMatch(
      /^\{"none":\[\{"ts":\d{13},"value":null\}\]\}$/,
    );
    expect(await textOf(`${device}/values/timeseries`)).toBe("{}");
  });

  test("history takes the start and leaves the end out, in both orders, with a limit", async () => {
    const device = await newDevice();
    await saved(
      `${device}/timeseries/ANY`,
      [1, 2, 3, 4].map((n) => ({ ts: n * 1000, values: { a: n, [`b${n}`]: n } })),
    );
    const read = (query: string) => textOf(`${device}/values/timeseries?${query}&useStrictDataTypes=true`);
    expect(await read("keys=a&startTs=1000&endTs=4000&orderBy=ASC")).toBe(
      '{"a":[{"ts":1000,"value":1},{"ts":2000,"value":2},{"ts":3000,"value":3}]}',
    );
    expect(await read("keys=a&startTs=0&endTs=9000&limit=2")).toBe(
      '{"a":[{"ts":4000,"value":4},{"ts":3000,"value":3}]}',
    );
    expect(await read("keys=b2,none&startTs=0&endTs=9000")).toBe('{"b2":[{"ts":2000,"value":2}]}');
    expect(await read("keys=a&startTs=9000&endTs=1000")).toBe("{}");
    expect(await textOf(`${device}/values/timeseries/history?keys=b3&startTs=0&endTs=9000`)).toBe(
      '{"b3":[{"ts":3000,"value":"3"}]}',
    );
  });

  test.each([
    ["MIN", '{"a":[{"ts":1500,"value":1},{"ts":3250,"value":"b"}]}'],
    ["MAX", '{"a":[{"ts":1500,"value":4.0},{"ts":3250,"value":"c"}]}'],
    ["SUM", '{"a":[{"ts":1500,"value":5.0}]}'],
    ["AVG", '{"a":[{"ts":1500,"value":2.5}]}'],
    ["COUNT", '{"a":[{"ts":1500,"value":2},{"ts":3250,"value":2}]}'],
  ])("history aggregates by %s", async (agg, expected) => {
    const device = await newDevice();
    const points = [
      [1000, 1],
      [1900, "4.0"],
      [3000, "c"],
      [3100, "b"],
    ].map(([ts, a]) => ({ ts, values: { a } }));
    await saved(`${device}/timeseries/ANY`, points);
    const query = `keys=a&startTs=1000&endTs=3500&interval=1000&agg=${agg}&limit=1&useStrictDataTypes=true`;
    expect(await textOf(`${device}/values/timeseries?${query}`)).toBe(expected);
  });

  test("history refuses too many buckets and unknown words", async () => {
    const device = await newDevice();
    const read = (query: string) => cloud.request("GET", `${device}/values/timeseries?keys=a&${query}`);
    for (const query of [
      "startTs=0&endTs=701000&interval=1000&agg=AVG",
      "startTs=0",
      "startTs=x&endTs=1",
      "startTs=0&endTs=1&agg=MEDIAN",
      "startTs=0&endTs=1&limit=0",
      "startTs=0&endTs=1&intervalType=YEAR",
      "startTs=0&endTs=1&agg=AVG&intervalType=WEEK&timeZone=Europe/Nowhere",
      "startTs=0&endTs=1800000000000&agg=AVG&intervalType=WEEK",
    ]) {
      expect([query, (await read(query)).status]).toEqual([query, 400]);
    }
  });

  test("history cuts the range at weeks, months and quarters of a time zone", async () => {
    const device = await newDevice();
    const at = (text: string) => Date.parse(text);
    const times = [
      "2026-03-28T12:00Z",
      "2026-03-29T21:30Z",
      "2026-03-30T12:00Z",
      "2026-03-31T21:30Z",
      "2026-04-05T00:30Z",
    ];
    await saved(
      `${device}/timeseries/ANY`,
      times.map((time, index) => ({ ts: at(time), values: { a: 10 ** index } })),
    );
    const startTs = at("2026-03-27T00:00Z");
    const endTs = at("2026-04-10T00:00Z");
    const sums = async (intervalType: string, timeZone: string): Promise<[number, unknown][]> => {
      const query = `keys=a&startTs=${startTs}&endTs=${endTs}&agg=SUM&intervalType=${intervalType}&timeZone=${encodeURIComponent(timeZone)}`;
      const text = await textOf(`${device}/values/timeseries?${query}&useStrictDataTypes=true`);
      const { a } = JSON.parse(text) as { a: { ts: number; value: unknown }[] };
      return a.map(({ ts, value }) => [ts, value]);
    };
    const middle = (from: number, to: number) => from + Math.floor((to - from) / 2);
    // Kyiv is at UTC+2 until Sunday, 29 March, 01:00Z, and at UTC+3 from then on.
    expect(await sums("WEEK_ISO", "Europe/Kyiv")).toEqual([
      [middle(startTs, at("2026-03-29T21:00Z")), 1],
      [middle(at("2026-03-29T21:00Z"), at("2026-04-05T21:00Z")), 11_110],
    ]);
    expect(await sums("WEEK", "UTC")).toEqual([
      [middle(startTs, at("2026-03-29T00:00Z")), 1],
      [middle(at("2026-03-29T00:00Z"), at("2026-04-05T00:00Z")), 1_110],
      [middle(at("2026-04-05T00:00Z"), endTs), 10_000],
    ]);
    for (const type of ["MONTH", "QUARTER"]) {
      expect(await sums(type, "UTC")).toEqual([
        [middle(startTs, at("2026-04-01T00:00Z")), 1_111],
        [middle(at("2026-04-01T00:00Z"), endTs), 10_000],
      ]);
      expect(await sums(type, "UTC+03:00")).toEqual([
        [middle(startTs, at("2026-03-31T21:00Z")), 111],
        [middle(at("2026-03-31T21:00Z"), endTs), 11_000],
      ]);
    }
  });

  test("history aggregates several keys at once, each with what it has", async () => {
    const device = await newDevice();
    await saved(`${device}/timeseries/ANY`, [
      { ts: 1000, values: { a: 1, b: true, "c,d": "x" } },
      { ts: 1500, values: { a: 2, "c,d": 5 } },
      { ts: 2500, values: { b: { x: 1 } } },
    ]);
    const read = (agg: string) =>
      textOf(`${device}/values/timeseries?key=a&key=b&key=c%2Cd&startTs=1000&endTs=3000&interval=1000&agg=${agg}`);
    expect(await read("COUNT")).toBe(
      '{"a":[{"ts":1500,"value":"2"}],"b":[{"ts":1500,"value":"1"},{"ts":2500,"value":"1"}],"c,d":[{"ts":1500,"value":"2"}]}',
    );
    expect(await read("AVG")).toBe('{"a":[{"ts":1500,"value":"1.5"}],"c,d":[{"ts":1500,"value":"5.0"}]}');
    expect(await read("NONE")).toContain('"b":[{"ts":2500');
  });

  test("history names a key that is asked for twice once", async () => {
    const device = await newDevice();
    await saved(`${device}/timeseries/ANY`, { ts: 1000, values: { a: 1 } });
    expect(await textOf(`${device}/values/timeseries?keys=a,a&startTs=0&endTs=3000`)).toBe(
      '{"a":[{"ts":1000,"value":"1"}]}',
    );
  });

  test("is deleted in a range, and latest values follow", async () => {
    const device = await newDevice();
    await saved(
      `${device}/timeseries/ANY`,
      [1, 2, 3].map((n) => ({ ts: n * 1000, values: { a: n, b: n } })),
    );
    const drop = (query: string) => cloud.request("DELETE", `${device}/timeseries/delete?${query}`, { body: {} });
    expect((await drop("keys=a")).status).toBe(400);
    expect((await drop("keys=a&startTs=3000&endTs=9000&rewriteLatestIfDeleted=true")).text).toBe("");
    expect(await textOf(`${device}/values/timeseries?keys=a,b&useStrictDataTypes=true`)).toBe(
      '{"a":[{"ts":2000,"value":2}],"b":[{"ts":3000,"value":3}]}',
    );
    expect((await drop("keys=a,b&deleteAllDataForKeys=true")).status).toBe(200);
    expect(await textOf(`${device}/keys/timeseries`)).toBe("[]");
    expect(await textOf(`${device}/values/timeseries?keys=a,b&startTs=0&endTs=9000`)).toBe("{}");
  });
});

describe("telemetry of an entity view", () => {
  async function newView(more: object): Promise<{ path: string; device: string }> {
    const device = await newDevice();
    const points = [1, 2, 3].map((n) => ({ ts: n * 1000, values: { a: n, b: n * 10, c: n } }));
    await saved(`${device}/timeseries/ANY`, points);
    names += 1;
    const view = await cloud.call<{ id: { id: string } }>("POST", "/api/entityView", {
      name: `View ${names}`,
      type: "view",
      entityId: { entityType: "DEVICE", id: device.split("/").at(-1) },
      keys: { timeseries: ["a", "b"], attributes: { cs: [], ss: [], sh: [] } },
      ...more,
    });
    return { path: `${PREFIX}/ENTITY_VIEW/${view.id.id}`, device };
  }

  test("is that of what it is of, of the keys that it lists", async () => {
    const { path } = await newView({});
    expect(await textOf(`${path}/keys/timeseries`)).toBe('["a","b"]');
    expect(await textOf(`${path}/values/timeseries`)).toBe(
      '{"a":[{"ts":3000,"value":"3"}],"b":[{"ts":3000,"value":"30"}]}',
    );
    expect(await textOf(`${path}/values/timeseries?keys=a,c&startTs=0&endTs=9000&limit=1`)).toBe(
      '{"a":[{"ts":3000,"value":"3"}]}',
    );
  });

  test("lies within its times, both included", async () => {
    const { path } = await newView({ startTimeMs: 1500, endTimeMs: 2000 });
    expect(await textOf(`${path}/values/timeseries?keys=a`)).toBe('{"a":[{"ts":2000,"value":"2"}]}');
    expect(await textOf(`${path}/values/timeseries?keys=a&startTs=0&endTs=9000`)).toBe(
      '{"a":[{"ts":2000,"value":"2"}]}',
    );
    const later = await newView({ startTimeMs: 5000 });
    expect(await textOf(`${later.path}/values/timeseries`)).toBe("{}");
    expect(await textOf(`${later.path}/values/timeseries?keys=a&startTs=0&endTs=9000`)).toBe("{}");
  });
});

test("a time to live that is no number of seconds is refused, any other taken", async () => {
  const device = await newDevice();
  const send = (ttl: string) => cloud.request("POST", `${device}/timeseries/ANY/${ttl}`, { body: { a: 1 } });
  for (const ttl of ["soon", "-1", "1.5"])
    expect(await send(ttl)).toMatchObject({ status: 400, json: { errorCode: 31, field: "ttl" } });
  expect(await send("0")).toMatchObject({ status: 200, text: "" });
});
