import { createCloudApi, type CloudApi, type CloudApiDeps } from "../../cloud/api/cloud-api.ts";
import type { EdgeSessions } from "../../cloud/api/edge-sessions.ts";
import { createRpcCalls, type RpcCalls } from "../../cloud/jobs/rpc-calls.ts";
import { saveTelemetry } from "../../cloud/store/cloud-stores.ts";
import { createCloudUnitOfWork, type CloudUnitOfWork } from "../../cloud/store/downlink-store.ts";
import { createRpcCallStore } from "../../cloud/store/rpc-call-store.ts";
import { createFirstSystemAdmin, createTenant } from "../../cloud/store/tenant-store.ts";
import { createSha256 } from "../../shared/core/hash.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { silentLog } from "../../shared/observe/log.ts";
import { createMetrics, type Metrics } from "../../shared/observe/metrics.ts";
import { databaseError } from "../../shared/postgres/connect.ts";
import type { RestApp } from "../../shared/rest/app.ts";
import { createCallerScope } from "../../shared/runtime/caller-scope.ts";
import { createChecksum } from "../../shared/runtime/checksum.ts";
import { openScriptSandbox } from "../../shared/runtime/script-sandbox.ts";
import { systemRandom } from "../../shared/runtime/system-random.ts";
import { withCaller } from "../../shared/store/audit-store.ts";
import { createContents } from "../../shared/store/blob-upload.ts";
import { saveEntity } from "../../shared/store/entity-save.ts";
import { createUser, type PasswordHasher } from "../../shared/store/user-store.ts";
import { startTestPostgres, type TestDatabase } from "./postgres.ts";
import { createTestClock, type TestClock } from "./test-clock.ts";

/** The cloud's API over a real database, without ports and without argon2. */
export interface TestCloud extends AsyncDisposable {
  readonly api: CloudApi;
  readonly clock: TestClock;
  readonly database: TestDatabase;
  /** Another process over the same database. */
  createReplica(deps: Pick<CloudApiDeps, "clock" | "elsewhere">): CloudApi;
  /** An empty one on the same server, for the other end. */
  createEdgeDatabase(): Promise<TestDatabase>;
  readonly metrics: Metrics;
  readonly unitOfWork: CloudUnitOfWork;
  readonly sessions: FakeSessions;
  readonly calls: RpcCalls;
  /** Edges that were woken, in order. */
  readonly woken: Uuid[];
  readonly first: TestTenant;
  readonly second: TestTenant;
  /** A token of the system administrator. */
  readonly system: string;
  request(method: string, path: string, options?: RequestOptions): Promise<Answer>;
  /** As the first tenant's administrator; the body's JSON of a 200. @throws Error for another status */
  call<T = Record<string, unknown>>(method: string, path: string, body?: unknown): Promise<T>;
}

export interface TestTenant {
  readonly tenantId: Uuid;
  readonly email: string;
  readonly token: string;
}

export interface RequestOptions {
  /** Sent as JSON, a text as it is. */
  readonly body?: unknown;
  /** null: none. @default the first tenant's administrator */
  readonly token?: string | null;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Answer {
  readonly status: number;
  readonly text: string;
  /** Of the text; undefined when it is empty or none. */
  readonly json: Record<string, unknown> | undefined;
  readonly headers: Headers;
}

export interface FakeSessions extends EdgeSessions {
  /** Of the edges that are connected here, the last downlink on its way. */
  readonly sent: Map<Uuid, number>;
  readonly ended: { readonly edgeId: Uuid; readonly fence: number; readonly code: string }[];
}

export const PASSWORD = "correct horse";

/** Instant: what is tested around it is not the hash. */
export const plainPasswords: PasswordHasher = {
  hash: (password) => Promise.resolve(`plain:${password}`),
  verify: (password, hash) => Promise.resolve(hash === `plain:${password}`),
};

const NOBODY: CloudApiDeps["elsewhere"] = { watch: () => undefined, wake: () => undefined };

export async function startTestCloud(
  options: Partial<Pick<CloudApiDeps, "tenantLimits" | "elsewhere">> = {},
): Promise<TestCloud> {
  await using opening = new AsyncDisposableStack();
  const postgres = opening.use(await startTestPostgres());
  const database = await postgres.createDatabase("cloud");
  const clock = createTestClock();
  const callers = createCallerScope();
  const db = withCaller(database.db, { clock, current: () => callers.current() });
  const random = systemRandom;
  const metrics = createMetrics();
  const sessions = createFakeSessions();
  const woken: Uuid[] = [];
  const unitOfWork = createCloudUnitOfWork(db, { clock, onCommitted: (edgeIds) => void woken.push(...edgeIds) });
  const secret = random.bytes(64);
  const calls = createRpcCalls({ store: createRpcCallStore({ db, unitOfWork, clock }), clock, log: silentLog });
  const deps: CloudApiDeps = {
    db,
    unitOfWork,
    clock,
    random,
    log: silentLog,
    metrics,
    passwords: plainPasswords,
    openScriptSandbox,
    jwtSecret: () => secret,
    saveTelemetry: (records) => saveTelemetry(db, records),
    sessions,
    callDevice: (record) => calls.call(record),
    elsewhere: NOBODY,
    ...options,
    asCaller: (caller, work) => callers.run(caller, work),
    secretGraceMs: 60_000,
    claimCodeLifeMs: 3_600_000,
    rpcAddress: () => ({ protocol: "https:", port: 7070 }),
    contents: createContents(
      { db, clock, random, createHasher: createSha256 },
      { bytesMax: 8 * 1024 * 1024, ownerOf: (tenantId) => tenantId },
    ),
    createChecksum,
    notReady: () => Promise.resolve(null),
    toAppError: databaseError,
    version: "0.0.0",
  };
  const api = createCloudApi(deps);
  const request = createRequest(api, () => first.token);
  const addTenant = async (email: string): Promise<TestTenant> => {
    const adminPasswordHash = await plainPasswords.hash(PASSWORD);
    const { tenantId } = await createTenant(db, { clock, random }, { adminEmail: email, adminPasswordHash });
    return { tenantId, email, token: await signIn(api, email) };
  };
  const first = await addTenant("first@example.com");
  const second = await addTenant("second@example.com");
  const systemAdmin = { email: "system@example.com", passwordHash: await plainPasswords.hash(PASSWORD) };
  await createFirstSystemAdmin(db, { clock, random }, systemAdmin);
  const system = await signIn(api, systemAdmin.email);
  const closing = opening.move();
  return {
    api,
    clock,
    database,
    createReplica: (more) => createCloudApi({ ...deps, metrics: createMetrics(), ...more }),
    createEdgeDatabase: () => postgres.createDatabase("edge"),
    metrics,
    unitOfWork,
    sessions,
    calls,
    woken,
    first,
    second,
    system,
    request,
    async call<T>(method: string, path: string, body?: unknown) {
      const answer = await request(method, path, body === undefined ? {} : { body });
      if (answer.status !== 200) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`);
      // The test says what it expects.
      return (answer.text === "" ? undefined : JSON.parse(answer.text)) as T;
    },
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  };
}

/** A token of a user that exists. */
export async function signIn(api: RestApp, email: string, password = PASSWORD): Promise<string> {
  const answer = await createRequest(api, () => null)("POST", "/api/auth/login", {
    body: { username: email, password },
    token: null,
  });
  if (answer.status !== 200) throw new Error(`Can't sign in: ${answer.status} ${answer.text}`);
  return String(answer.json?.["token"]);
}

/** A customer of the first tenant with a user of it. */
export async function addCustomerUser(
  { database, clock, first, api }: TestCloud,
  title = "Customer",
): Promise<{ customerId: Uuid; token: string }> {
  const deps = { clock, random: systemRandom };
  const customer = await saveEntity(database.db, deps, {
    entityType: "CUSTOMER",
    id: null,
    tenantId: first.tenantId,
    customerId: null,
    name: title,
    subtype: null,
    label: null,
    profileId: null,
    expectedVersion: null,
    body: {},
  });
  const customerId = customer.result.id;
  const email = `${title.toLowerCase()}@example.com`;
  const passwordHash = await plainPasswords.hash(PASSWORD);
  await createUser(database.db, deps, {
    tenantId: first.tenantId,
    customerId,
    email,
    authority: "CUSTOMER_USER",
    passwordHash,
  });
  return { customerId, token: await signIn(api, email) };
}

/** Takes an edge the chains that it began with, as if nothing had ever been sent to it. */
export async function withoutChains<T extends { readonly id: { readonly id: string } }>(
  { database: { sql } }: Pick<TestCloud, "database">,
  edge: T,
): Promise<T> {
  const { id } = edge.id;
  await sql`update edge set root_rule_chain_id = null where id = ${id}`;
  await sql`delete from edge_assignment where edge_id = ${id}`;
  await sql`delete from edge_event where edge_id = ${id}`;
  await sql`update edge_sync set downlink_last = 0 where edge_id = ${id}`;
  return edge;
}

export function createRequest(api: RestApp, defaultToken: () => string | null) {
  return async (method: string, path: string, options: RequestOptions = {}): Promise<Answer> => {
    const { body, token = defaultToken(), headers = {} } = options;
    const response = await api.fetch(
      new Request(`http://cloud.test${path}`, {
        method,
        headers: {
          ...(token === null ? {} : { "x-authorization": `Bearer ${token}` }),
          ...(body === undefined ? {} : { "content-type": "application/json" }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
      }),
    );
    const text = await response.text();
    return { status: response.status, text, json: parseObject(text), headers: response.headers };
  };
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}

function createFakeSessions(): FakeSessions {
  const sent = new Map<Uuid, number>();
  const ended: FakeSessions["ended"] = [];
  return { sent, ended, sentSeq: (edgeId) => sent.get(edgeId) ?? null, end: (ending) => void ended.push(ending) };
}
