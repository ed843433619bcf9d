import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { ensureLocalAdmin } from "../../edge/store/first-start.ts";
import { saveSite } from "../../edge/store/site-store.ts";
import { createUuid, NULL_UUID, type Uuid } from "../../shared/core/ids.ts";
import type { RestApp } from "../../shared/rest/app.ts";
import type { RouteSpec } from "../../shared/rest/route.ts";
import { systemRandom } from "../../shared/runtime/system-random.ts";
import { createUser } from "../../shared/store/user-store.ts";
import { walk, type Caller, type ForeignIds } from "../support/access-walk.ts";
import type { TestDatabase } from "../support/postgres.ts";
import {
  addCustomerUser,
  PASSWORD,
  plainPasswords,
  signIn,
  startTestCloud,
  type TestCloud,
} from "../support/test-cloud.ts";
import { startTestEdge } from "../support/test-edge.ts";

// Every route of the cloud with every role and the ids of somebody else: nothing of theirs is told or changed.

/** In every name and value of the tenant that is walked through. */
const MARK = "Xq7Zk";

let cloud: TestCloud;
let ids: ForeignIds;
let callers: { readonly foreign: readonly Caller[]; readonly neighbour: Caller; readonly system: Caller };

beforeAll(async () => {
  cloud = await startTestCloud();
  ids = await furnish();
  callers = {
    foreign: [
      await withKey("an administrator of another tenant", cloud.second.token),
      await withKey("a customer user of another tenant", await foreignCustomerUser()),
      { name: "nobody", authorization: null },
    ],
    neighbour: await withKey("a user of another customer of the tenant", (await addCustomerUser(cloud)).token),
    system: await withKey("the system administrator", cloud.system),
  };
}, 60_000);
afterAll(() => cloud[Symbol.asyncDispose]());

interface Created {
  readonly id: { readonly id: Uuid };
}

const post = <T = Created>(path: string, body: object = {}): Promise<T> => cloud.call<T>("POST", path, body);

/** One of everything for the first tenant. */
async function furnish(): Promise<ForeignIds> {
  const named = (what: string) => ({ name: `${MARK} ${what}` });
  const customer = await post("/api/customer", { title: `${MARK} customer` });
  const deviceProfile = await post("/api/deviceProfile", { ...named("device profile"), type: "DEFAULT" });
  const assetProfile = await post("/api/assetProfile", named("asset profile"));
  const device = await post("/api/device", {
    ...named("device"),
    label: `${MARK} label`,
    customerId: customer.id,
    deviceProfileId: deviceProfile.id,
  });
  const asset = await post("/api/asset", { ...named("asset"), assetProfileId: assetProfile.id });
  const dashboard = await post("/api/dashboard", { title: `${MARK} dashboard`, configuration: { secret: MARK } });
  const ruleChain = await post("/api/ruleChain", { ...named("rule chain"), type: "EDGE" });
  const edge = await post("/api/edge", { ...named("edge"), label: MARK });
  const view = await post("/api/entityView", {
    ...named("view"),
    type: "default",
    entityId: device.id,
    keys: { timeseries: ["secretKey"], attributes: { cs: [], ss: [], sh: [] } },
  });
  const user = await post("/api/user", {
    email: `${MARK}@example.com`,
    authority: "CUSTOMER_USER",
    customerId: customer.id,
    firstName: MARK,
  });
  const alarm = await post("/api/alarm", { type: `${MARK} alarm`, originator: device.id, severity: "MAJOR" });
  const comment = await post(`/api/alarm/${alarm.id.id}/comment`, { comment: { text: MARK } });
  const apiKey = await post("/api/apiKey", { description: MARK });
  const request = { method: MARK, params: {}, persistent: true, expirationTime: 9_999_999_999_999 };
  const rpc = await post<{ rpcId: Uuid }>(`/api/rpc/twoway/${device.id.id}`, request);
  const data = `/api/plugins/telemetry/DEVICE/${device.id.id}`;
  await cloud.call("POST", `${data}/timeseries/ANY`, { ts: 1_700_000_000_000, values: { secretKey: MARK } });
  await cloud.call("POST", `${data}/SERVER_SCOPE`, { secretKey: MARK });
  await cloud.call("POST", "/api/relation", {
    from: device.id,
    to: asset.id,
    type: "Contains",
    additionalInfo: { MARK },
  });
  await cloud.call("POST", `/api/edge/${edge.id.id}/device/${device.id.id}`);
  return {
    TENANT: cloud.first.tenantId,
    CUSTOMER: customer.id.id,
    DEVICE_PROFILE: deviceProfile.id.id,
    ASSET_PROFILE: assetProfile.id.id,
    DEVICE: device.id.id,
    ASSET: asset.id.id,
    DASHBOARD: dashboard.id.id,
    RULE_CHAIN: ruleChain.id.id,
    EDGE: edge.id.id,
    ENTITY_VIEW: view.id.id,
    USER: user.id.id,
    ALARM: alarm.id.id,
    ALARM_COMMENT: comment.id.id,
    API_KEY: apiKey.id.id,
    RPC: rpc.rpcId,
  };
}

async function foreignCustomerUser(): Promise<string> {
  const as = async (path: string, body: object) =>
    (await cloud.request("POST", path, { body, token: cloud.second.token })).json as unknown as Created;
  const customer = await as("/api/customer", { title: "Foreign customer" });
  const email = "foreign-user@example.com";
  const user = await as("/api/user", { email, authority: "CUSTOMER_USER", customerId: customer.id });
  const link = await cloud.request("GET", `/api/user/${user.id.id}/activationLink`, { token: cloud.second.token });
  const activateToken = new URL(link.text).searchParams.get("activateToken");
  const body = { activateToken, password: "correct horse" };
  const pair = await cloud.request("POST", "/api/noauth/activate", { body, token: null });
  return String(pair.json?.["token"]);
}

/** A key outlives what a walk does to sessions and passwords. */
async function withKey(name: string, token: string): Promise<Caller> {
  const key = await cloud.request("POST", "/api/apiKey", { body: { description: "walk" }, token });
  return { name, authorization: `ApiKey ${String(key.json?.["value"])}` };
}

/** Every row of every table that names the tenant or something of it; user_settings is free JSON of each caller. */
async function snapshot({ sql }: TestDatabase): Promise<readonly string[]> {
  const needles = [MARK, ...Object.values(ids)];
  const tables = await sql<{ name: string }[]>`
    select c.relname as name from pg_class c
    where c.relkind in ('r', 'p') and not c.relispartition and c.relnamespace = current_schema()::regnamespace
      and c.relname <> 'user_settings'
    order by c.relname`;
  const rows: string[] = [];
  for (const { name } of tables) {
    const found = await sql<{ row: string }[]>`select t::text as row from ${sql(name)} t order by 1`;
    // What callers tried in vain is written down with the ids that they named.
    const isAttempt = (row: string): boolean => name === "audit_log" && row.includes(",FAILURE,");
    const named = found.filter(({ row }) => needles.some((needle) => row.includes(needle)) && !isAttempt(row));
    rows.push(...named.map(({ row }) => `${name}: ${row}`));
  }
  return rows;
}

interface Expectations {
  readonly isAllowed?: (text: string) => boolean;
  readonly mayReach?: (route: RouteSpec) => boolean;
  /** Rows that the caller may write. @default none */
  readonly mayWrite?: (row: string) => boolean;
  /** @default the cloud */
  readonly side?: { readonly api: RestApp; readonly database: TestDatabase };
}

async function expectNothing(caller: Caller, options: Expectations = {}) {
  const { api, database } = options.side ?? cloud;
  const before = await snapshot(database);
  const answers = await walk(api, caller, { ids, ...(options.mayReach && { mayReach: options.mayReach }) });
  const told = answers.filter(({ text }) => text.includes(MARK) && options.isAllowed?.(text) !== true);
  expect(told.map(({ method, path, text }) => `${method} ${path}: ${text.slice(0, 200)}`)).toEqual([]);
  const faults = answers.filter(({ status }) => status === 500 || status === 503);
  expect(faults.map(({ method, path, text, body }) => `${method} ${path} ${JSON.stringify(body)}: ${text}`)).toEqual(
    [],
  );
  const after = await snapshot(database);
  expect(after.filter((row) => options.mayWrite?.(row) !== true)).toEqual([...before]);
  return answers;
}

describe("what is a tenant's own is neither told nor changed", () => {
  test("by callers of another tenant, and by nobody", async () => {
    for (const caller of callers.foreign) {
      const answers = await expectNothing(caller);
      expect(answers.length).toBeGreaterThan(1_000);
    }
  }, 120_000);

  test("by the user of another customer, but for profiles, which a tenant shares", async () => {
    const isProfile = (text: string) => !text.replaceAll(/Xq7Zk (device|asset) profile/g, "").includes(MARK);
    await expectNothing(callers.neighbour, { isAllowed: isProfile });
  }, 120_000);

  test("by the system administrator, who has tenants and their administrators and no more", async () => {
    const isItsWork = ({ tag }: RouteSpec) => tag === "Tenants" || tag === "Users" || tag === "API keys";
    // What dashboards are called, and who sees them: by the convention.
    const isTitle = (text: string) => text.includes('"assignedCustomers"') && !text.includes('"configuration"');
    // Tenants themselves have attributes and telemetry, which are its to change.
    const isOfTenant = (row: string) => row.includes(`,TENANT,${ids["TENANT"]},`) && row.includes("system@example.com");
    await expectNothing(callers.system, { mayReach: isItsWork, isAllowed: isTitle, mayWrite: isOfTenant });
  }, 120_000);
});

test("the walk finds what is told: the tenant's own administrator is told much", async () => {
  const own = await withKey("the administrator", cloud.first.token);
  const routes = cloud.api.routes.filter(({ method }) => method === "get");
  const answers = await walk({ routes, fetch: (request) => cloud.api.fetch(request) }, own, { ids });
  const telling = new Set(answers.filter(({ text }) => text.includes(MARK)).map(({ path }) => path.split("?")[0]));
  expect(telling.size).toBeGreaterThan(60);
}, 60_000);

test("an edge tells and lets change nothing of its entities to users of other customers, and to nobody", async () => {
  const edge = await startTestEdge(await cloud.createEdgeDatabase(), cloud.clock);
  const deps = { clock: cloud.clock, random: systemRandom, passwords: plainPasswords };
  const { db } = edge.database;
  const tenantId = ids["TENANT"] ?? NULL_UUID;
  const site = {
    edgeId: ids["EDGE"] ?? null,
    tenantId,
    name: "Edge",
    type: "default",
    cloudId: null,
    downlinkApplied: 0,
  };
  await saveSite(db, site);
  const local = { tenantId, email: "local@example.com", password: PASSWORD };
  await ensureLocalAdmin(db, deps, local);
  const users = { tenantId, customerId: createUuid(cloud.clock, systemRandom), authority: "CUSTOMER_USER" } as const;
  const passwordHash = await plainPasswords.hash(PASSWORD);
  await createUser(db, deps, { ...users, email: "user@example.com", passwordHash });
  const admin = await signIn(edge.api, local.email);
  const device = await edge.request("POST", "/api/device", {
    token: admin,
    body: { name: `${MARK} device`, label: MARK },
  });
  const deviceId = (device.json?.["id"] as { readonly id: Uuid } | undefined)?.id;
  expect(device.status).toBe(200);
  ids = { ...ids, ...(deviceId === undefined ? {} : { DEVICE: deviceId }) };
  await edge.request("POST", `/api/plugins/telemetry/DEVICE/${deviceId}/SHARED_SCOPE`, {
    token: admin,
    body: { secretKey: MARK },
  });
  // Made when it is asked for first.
  await edge.request("GET", "/api/assetProfileInfo/default", { token: admin });
  const token = await signIn(edge.api, "user@example.com");
  const isProfile = (text: string) => !text.replaceAll(/Xq7Zk (device|asset) profile/g, "").includes(MARK);
  const caller = { name: "a user of another customer", authorization: `Bearer ${token}` };
  const isLogout = ({ path }: RouteSpec) => path === "/api/auth/logout";
  await expectNothing(caller, { side: edge, isAllowed: isProfile, mayReach: isLogout });
  await expectNothing({ name: "nobody", authorization: null }, { side: edge });
}, 60_000);
