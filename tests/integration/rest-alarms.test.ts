import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { addCustomerUser, startTestCloud, type Answer, type TestCloud } from "../support/test-cloud.ts";

let cloud: TestCloud;
let customer: { readonly customerId: string; readonly token: string };
beforeAll(async () => {
  cloud = await startTestCloud();
  customer = await addCustomerUser(cloud);
});
afterAll(() => cloud[Symbol.asyncDispose]());

interface Alarm {
  readonly id: { readonly entityType: string; readonly id: string };
  readonly [key: string]: unknown;
}
interface Page<T> {
  readonly data: readonly T[];
  readonly totalElements: number;
}
interface Comment {
  readonly id: { readonly id: string };
  readonly type: string;
  readonly comment: Readonly<Record<string, unknown>>;
  readonly [key: string]: unknown;
}

const UNKNOWN_ID = "784f394c-42b6-435a-983c-b7beff2784f9";
let names = 0;
let device: { readonly entityType: string; readonly id: string };
let userId: string;

const createDevice = async (more: object = {}) => {
  names += 1;
  const made = await cloud.call<{ id: typeof device }>("POST", "/api/device", { name: `Device ${names}`, ...more });
  return made.id;
};
beforeEach(async () => {
  device = await createDevice();
  userId ??= (await cloud.call<{ id: { id: string } }>("GET", "/api/auth/user")).id.id;
});
const raise = (more: object = {}): Promise<Alarm> =>
  cloud.call("POST", "/api/alarm", { originator: device, type: "Too hot", severity: "MAJOR", ...more });
const list = (query = ""): Promise<Page<Alarm>> =>
  cloud.call("GET", `/api/alarm/DEVICE/${device.id}?pageSize=10&page=0${query}`);
const comments = async (alarm: Alarm): Promise<readonly Comment[]> =>
  (await cloud.call<Page<Comment>>("GET", `/api/alarm/${alarm.id.id}/comment?pageSize=10&page=0`)).data;
const expectError = (answer: Answer, status: number, errorCode: number, message?: string): void => {
  expect(answer.json).toMatchObject({ status, errorCode });
  if (message !== undefined) expect(answer.json?.["message"]).toBe(message);
};

describe("POST /api/alarm", () => {
  test.each([
    [{ type: undefined }, "Alarm type should be specified!"],
    [{ type: " " }, "Alarm type should be specified!"],
    [{ originator: null }, "Alarm originator should be specified!"],
    [{ originator: { entityType: "DEVICE" } }, "Alarm originator should be specified!"],
    [{ severity: null }, "Alarm severity should be specified!"],
    [{ severity: "BAD" }, "Alarm severity should be specified!"],
    [{ startTs: -1 }, "Validation error: startTs must not be negative"],
  ])("refuses %j", async (more, message) => {
    const body = { originator: device, type: "Too hot", severity: "MAJOR", ...more };
    expectError(await cloud.request("POST", "/api/alarm", { body }), 400, 31, message);
  });

  test("answers 404 for an originator or alarm that is not there, or is another tenant's", async () => {
    const body = { originator: { entityType: "DEVICE", id: UNKNOWN_ID }, type: "Too hot", severity: "MAJOR" };
    expectError(await cloud.request("POST", "/api/alarm", { body }), 404, 32);
    const own = { ...body, originator: device };
    expectError(await cloud.request("POST", "/api/alarm", { body: own, token: cloud.second.token }), 404, 32);
    expectError(await cloud.request("POST", "/api/alarm", { body: { ...own, id: { id: UNKNOWN_ID } } }), 404, 32);
  });

  test("makes an alarm in the form of the convention", async () => {
    const made = await raise({ details: { data: "T is 40" }, status: "CLEARED_ACK", name: "other" });
    const nowMs = made["createdTime"];
    expect(nowMs).toBeGreaterThan(1_700_000_000_000);
    expect(made).toEqual({
      id: { entityType: "ALARM", id: made.id.id },
      createdTime: nowMs,
      tenantId: { entityType: "TENANT", id: cloud.first.tenantId },
      customerId: { entityType: "CUSTOMER", id: "13814000-1dd2-11b2-8080-808080808080" },
      type: "Too hot",
      originator: device,
      severity: "MAJOR",
      acknowledged: false,
      cleared: false,
      assigneeId: null,
      startTs: nowMs,
      endTs: nowMs,
      ackTs: 0,
      clearTs: 0,
      assignTs: 0,
      details: { data: "T is 40" },
      propagate: false,
      propagateToOwner: false,
      propagateToTenant: false,
      propagateRelationTypes: [],
      name: "Too hot",
      status: "ACTIVE_UNACK",
    });
  });

  test("updates the active alarm of the same originator and type, and makes another when that was cleared", async () => {
    const first = await raise({ startTs: 1_000, details: { a: 1 } });
    const again = await raise({ severity: "CRITICAL" });
    expect(again).toMatchObject({ id: first.id, severity: "CRITICAL", startTs: 1_000, details: { a: 1 } });
    expect((await raise({ type: "Too cold" })).id).not.toEqual(first.id);
    await cloud.call("POST", `/api/alarm/${first.id.id}/clear`);
    expect((await raise()).id).not.toEqual(first.id);
    expect((await list()).totalElements).toBe(3);
  });

  test("with an id acknowledges, clears and assigns by what the body says", async () => {
    const { id } = await raise();
    const state = { acknowledged: true, ackTs: 5_000, cleared: true, assigneeId: { id: userId } };
    const saved = await raise({ id, ...state });
    expect(saved).toMatchObject({
      id,
      status: "CLEARED_ACK",
      ackTs: 5_000,
      assigneeId: { entityType: "USER", id: userId },
    });
    // Neither is ever taken back, and an assignee that is not named stays.
    expect(await raise({ id, acknowledged: false, cleared: false })).toMatchObject({
      status: "CLEARED_ACK",
      assigneeId: { id: userId },
    });
    expect(await raise({ id, assigneeId: null })).toMatchObject({ assigneeId: null });
  });
});

describe("an alarm", () => {
  test("is acknowledged, cleared and assigned once", async () => {
    const { id } = await raise();
    const path = `/api/alarm/${id.id}`;
    expect(await cloud.call("POST", `${path}/ack`)).toMatchObject({
      status: "ACTIVE_ACK",
      originatorName: `Device ${names}`,
    });
    expect(await cloud.call("POST", `${path}/clear`)).toMatchObject({
      status: "CLEARED_ACK",
      acknowledged: true,
      cleared: true,
    });
    expect(await cloud.call("POST", `${path}/assign/${userId}`)).toMatchObject({ assigneeId: { id: userId } });
    for (const [method, action, message] of [
      ["POST", "ack", "Alarm was already acknowledged!"],
      ["POST", "clear", "Alarm was already cleared!"],
      ["POST", `assign/${userId}`, "Alarm was already assigned to this user!"],
    ] as const) {
      expectError(await cloud.request(method, `${path}/${action}`), 400, 31, message);
    }
    expect(await cloud.call("GET", `/api/alarm/info/${id.id}`)).toMatchObject({
      assignee: { id: { entityType: "USER", id: userId }, email: cloud.first.email },
      originatorDisplayName: `Device ${names}`,
    });
    expect(await cloud.call("DELETE", `${path}/assign`)).toMatchObject({ assigneeId: null });
    expectError(await cloud.request("DELETE", `${path}/assign`), 400, 31, "Alarm was already unassigned!");
    expectError(await cloud.request("POST", `${path}/assign/${UNKNOWN_ID}`), 404, 32);
  });

  test("is deleted once", async () => {
    const { id } = await raise();
    expect((await cloud.request("DELETE", `/api/alarm/${id.id}`)).text).toBe("true");
    for (const method of ["DELETE", "GET"]) expectError(await cloud.request(method, `/api/alarm/${id.id}`), 404, 32);
  });

  test("notes what is done to it as comments", async () => {
    const alarm = await raise();
    await cloud.call("POST", `/api/alarm/${alarm.id.id}/ack`);
    await cloud.call("POST", `/api/alarm/${alarm.id.id}/assign/${userId}`);
    await raise({ severity: "MINOR" });
    await cloud.call("POST", `/api/alarm/${alarm.id.id}/clear`);
    const notes = await comments(alarm);
    expect(notes.map(({ type }) => type)).toEqual(["SYSTEM", "SYSTEM", "SYSTEM", "SYSTEM"]);
    expect(notes.map(({ comment }) => String(comment["subtype"])).sort()).toEqual([
      "ACK",
      "ASSIGN",
      "CLEAR",
      "SEVERITY_CHANGED",
    ]);
    expect(notes.map(({ comment }) => comment["text"])).toContain(
      "Alarm was changed from MAJOR to MINOR by user first@example.com",
    );
  });

  test("is shown to users of the originator's customer only", async () => {
    const owned = await createDevice({ customerId: { id: customer.customerId } });
    const alarm = await raise({ originator: owned, propagateToOwner: true, type: "Owned" });
    const foreign = await raise();
    const { token } = customer;
    const get = (path: string) => cloud.request("GET", path, { token });
    expect((await get(`/api/alarm/${alarm.id.id}`)).status).toBe(200);
    expectError(await get(`/api/alarm/${foreign.id.id}`), 404, 32);
    expectError(await cloud.request("POST", `/api/alarm/${foreign.id.id}/ack`, { token }), 404, 32);
    expect((await cloud.request("POST", `/api/alarm/${alarm.id.id}/ack`, { token })).status).toBe(200);
    expect((await get("/api/alarms?pageSize=10&page=0")).json).toMatchObject({ totalElements: 1 });
    const atCustomer = await get(`/api/alarm/CUSTOMER/${customer.customerId}?pageSize=10&page=0`);
    expect(atCustomer.json).toMatchObject({ data: [{ id: alarm.id }] });
    expectError(await get(`/api/alarm/DEVICE/${device.id}?pageSize=10&page=0`), 404, 32);
    expectError(await cloud.request("GET", `/api/alarm/${alarm.id.id}`, { token: cloud.second.token }), 404, 32);
  });
});

describe("lists of alarms", () => {
  const typesOf = (page: Page<Alarm>) => page.data.map((alarm) => alarm["type"]);

  test("filter by state, assignee and time, and sort", async () => {
    const acked = await raise({ type: "acked", severity: "WARNING" });
    await cloud.call("POST", `/api/alarm/${acked.id.id}/ack`);
    const cleared = await raise({ type: "cleared", severity: "CRITICAL" });
    await cloud.call("POST", `/api/alarm/${cleared.id.id}/clear`);
    await cloud.call("POST", `/api/alarm/${cleared.id.id}/assign/${userId}`);
    cloud.clock.advance(60_000);
    const fromMs = cloud.clock.nowMs();
    await raise({ type: "later", severity: "MINOR" });
    const sorted = "&sortProperty=createdTime&sortOrder=ASC";
    const cases: readonly [string, readonly string[]][] = [
      ["", ["acked", "cleared", "later"]],
      ["&searchStatus=ANY", ["acked", "cleared", "later"]],
      ["&searchStatus=ACTIVE", ["acked", "later"]],
      ["&searchStatus=CLEARED", ["cleared"]],
      ["&searchStatus=ACK", ["acked"]],
      ["&searchStatus=UNACK", ["cleared", "later"]],
      ["&status=ACTIVE_ACK", ["acked"]],
      ["&status=ACTIVE_UNACK", ["later"]],
      ["&status=CLEARED_UNACK", ["cleared"]],
      [`&assigneeId=${userId}`, ["cleared"]],
      [`&startTime=${fromMs}`, ["later"]],
      [`&endTime=${fromMs - 1}`, ["acked", "cleared"]],
      ["&textSearch=ACK", ["acked"]],
    ];
    for (const [query, types] of cases)
      expect([query, typesOf(await list(sorted + query))]).toEqual([query, [...types]]);
    expect(typesOf(await list("&sortProperty=severity&sortOrder=DESC"))).toEqual(["cleared", "later", "acked"]);
    for (const property of ["startTs", "endTs", "type", "status", "ackTs", "clearTs", "originatorName"])
      expect((await list(`&sortProperty=${property}&sortOrder=DESC`)).totalElements).toBe(3);
  });

  test("take lists of states, severities and types in the second version", async () => {
    await raise({ type: "a", severity: "CRITICAL" });
    const second = await raise({ type: "b", severity: "MINOR" });
    await cloud.call("POST", `/api/alarm/${second.id.id}/clear`);
    const v2 = (query: string) =>
      cloud.call<Page<Alarm>>("GET", `/api/v2/alarm/DEVICE/${device.id}?pageSize=10&page=0&sortProperty=type&${query}`);
    expect(typesOf(await v2("statusList=ACTIVE,UNACK"))).toEqual(["a"]);
    expect(typesOf(await v2("statusList=ACTIVE,CLEARED"))).toEqual(["a", "b"]);
    expect(typesOf(await v2("severityList=CRITICAL,MINOR&typeList=b,c"))).toEqual(["b"]);
    expect((await cloud.call<Page<Alarm>>("GET", "/api/v2/alarms?pageSize=1&page=0&typeList=a")).totalElements).toBe(1);
  });

  test.each([
    [
      "&searchStatus=ACTIVE&status=ACTIVE_ACK",
      "Invalid alarms search query: Both parameters 'searchStatus' and 'status' can't be specified at the same time!",
    ],
    ["&searchStatus=SOME", "Incorrect value 'SOME' of parameter 'searchStatus'"],
    ["&sortProperty=colour", "Unsupported sort property 'colour'!"],
    ["&assigneeId=me", "Invalid UUID string: me"],
  ])("refuse %s", async (query, message) => {
    const path = `/api/alarm/DEVICE/${device.id}?pageSize=10&page=0${query}`;
    expectError(await cloud.request("GET", path), 400, 31, message);
  });

  test("say the highest severity, or nothing", async () => {
    const path = `/api/alarm/highestSeverity/DEVICE/${device.id}`;
    expect((await cloud.request("GET", path)).text).toBe("");
    await raise({ type: "a", severity: "WARNING" });
    await raise({ type: "b", severity: "MAJOR" });
    expect((await cloud.request("GET", path)).text).toBe('"MAJOR"');
    expect((await cloud.request("GET", `${path}?searchStatus=CLEARED`)).text).toBe("");
  });

  test("name the types that there are", async () => {
    await raise({ type: "Zebra" });
    const page = await cloud.call<Page<object>>("GET", "/api/alarm/types?pageSize=10&page=0&textSearch=zeb");
    const tenantId = { entityType: "TENANT", id: cloud.first.tenantId };
    expect(page).toMatchObject({ data: [{ tenantId, entityType: "ALARM", type: "Zebra" }], totalElements: 1 });
  });
});

describe("comments", () => {
  test("are written, edited by their author and leave a note when they are deleted", async () => {
    const alarm = await raise();
    const path = `/api/alarm/${alarm.id.id}/comment`;
    const made = await cloud.call<Comment>("POST", path, { comment: { text: "On my way" } });
    expect(made).toMatchObject({
      alarmId: { entityType: "ALARM", id: alarm.id.id },
      userId: { entityType: "USER", id: userId },
      type: "OTHER",
      comment: { text: "On my way" },
      name: "On my way",
    });
    const edited = await cloud.call<Comment>("POST", path, { id: made.id, comment: { text: "There" } });
    expect(edited).toMatchObject({ id: made.id, comment: { text: "There", edited: true } });
    expect(await comments(alarm)).toMatchObject([{ id: made.id, email: cloud.first.email, firstName: null }]);
    expect((await cloud.request("DELETE", `${path}/${made.id.id}`)).text).toBe("");
    expect(await comments(alarm)).toMatchObject([
      { id: made.id, type: "SYSTEM", comment: { subtype: "COMMENT_DELETED" } },
    ]);
  });

  test("of others are theirs, and a text has a limit", async () => {
    const alarm = await raise({ originator: await createDevice({ customerId: { id: customer.customerId } }) });
    const path = `/api/alarm/${alarm.id.id}/comment`;
    const made = await cloud.call<Comment>("POST", path, { comment: { text: "x".repeat(10_000) } });
    const { token } = customer;
    const body = { id: made.id, comment: { text: "mine" } };
    expectError(await cloud.request("POST", path, { body, token }), 403, 20);
    expectError(await cloud.request("DELETE", `${path}/${made.id.id}`, { token }), 403, 20);
    const long = { comment: { text: "x".repeat(10_001) } };
    expectError(await cloud.request("POST", path, { body: long }), 400, 31);
    expectError(await cloud.request("POST", path, { body: { comment: { text: " " } } }), 400, 31);
  });
});

test("what is done to alarms goes to the edges of the originator", async () => {
  const edge = await cloud.call<{ id: { id: string } }>("POST", "/api/edge", {
    name: `Edge ${names}`,
    type: "default",
  });
  await cloud.call("POST", `/api/edge/${edge.id.id}/device/${device.id}`);
  const alarm = await raise();
  await cloud.call("POST", `/api/alarm/${alarm.id.id}/ack`);
  await cloud.call("POST", `/api/alarm/${alarm.id.id}/comment`, { comment: { text: "Hello" } });
  await cloud.call("DELETE", `/api/alarm/${alarm.id.id}`);
  await raise({ originator: await createDevice(), type: "Elsewhere" });
  const events = await cloud.call<Page<{ type: string; action: string; entityId: string }>>(
    "GET",
    `/api/edge/${edge.id.id}/events?pageSize=20&page=0&textSearch=alarm`,
  );
  expect(events.data.map(({ type, action }) => `${type} ${action}`)).toEqual([
    "ALARM ADDED",
    "ALARM ALARM_ACK",
    "ALARM_COMMENT ADDED_COMMENT",
    "ALARM_COMMENT ADDED_COMMENT",
    "ALARM ALARM_DELETE",
  ]);
  expect(events.data[0]?.entityId).toBe(alarm.id.id);
});

describe("alarms of what is no entity with a row of its own kind", () => {
  const edgeOf = () => cloud.call<Alarm>("POST", "/api/edge", { name: `Edge ${(names += 1)}`, type: "default" });
  const tenant = () => ({ entityType: "TENANT", id: cloud.first.tenantId });
  const listOf = ({ entityType, id }: typeof device): Promise<Page<Alarm>> =>
    cloud.call("GET", `/api/alarm/${entityType}/${id}?pageSize=10&page=0`);

  test("are raised, listed, acknowledged and deleted for tenants, edges, users and customers", async () => {
    const edge = await edgeOf();
    const originators: readonly [typeof device, string | null][] = [
      [tenant(), null],
      [edge.id, String(edge["name"])],
      [{ entityType: "USER", id: userId }, null],
      [{ entityType: "CUSTOMER", id: customer.customerId }, null],
    ];
    for (const [originator, name] of originators) {
      const made = await raise({ originator });
      expect(await raise({ originator })).toMatchObject({ id: made.id });
      const listed = (await listOf(originator)).data.find(({ id }) => id.id === made.id.id);
      expect(listed).toMatchObject({ originator, tenantId: tenant() });
      if (name !== null) expect(listed).toMatchObject({ originatorName: name });
      expect(await cloud.call("POST", `/api/alarm/${made.id.id}/ack`)).toMatchObject({ status: "ACTIVE_ACK" });
      const { token } = cloud.second;
      expectError(await cloud.request("GET", `/api/alarm/${made.id.id}`, { token }), 404, 32);
      const body = { originator, type: "Too hot", severity: "MAJOR" };
      expectError(await cloud.request("POST", "/api/alarm", { body, token }), 404, 32);
      expect(await cloud.call<boolean>("DELETE", `/api/alarm/${made.id.id}`)).toBe(true);
    }
  });

  test("are seen by users of customers when they are of their customer, its edges or themselves", async () => {
    const [own, other] = [await edgeOf(), await edgeOf()];
    await cloud.call("POST", `/api/customer/${customer.customerId}/edge/${own.id.id}`);
    const { token } = customer;
    const me = (await cloud.request("GET", "/api/auth/user", { token })).json as unknown as Alarm;
    const answers = await Promise.all(
      [
        own.id,
        me.id,
        { entityType: "CUSTOMER", id: customer.customerId },
        other.id,
        tenant(),
        { entityType: "USER", id: userId },
      ].map((originator) =>
        cloud.request("POST", "/api/alarm", {
          body: { originator, type: "Seen", severity: "MINOR" },
          token,
        }),
      ),
    );
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 404, 404, 404]);
    const all = await cloud.request("GET", "/api/alarms?pageSize=100&page=0", { token });
    expect((all.json as unknown as Page<Alarm>).data.filter(({ type }) => type === "Seen")).toHaveLength(3);
  });

  test("go with the edge or the user that they are of", async () => {
    const edge = await edgeOf();
    const made = await raise({ originator: edge.id });
    await cloud.call("DELETE", `/api/edge/${edge.id.id}`);
    expectError(await cloud.request("GET", `/api/alarm/${made.id.id}`), 404, 32);
  });
});
