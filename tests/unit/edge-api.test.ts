import { describe, expect, test } from "bun:test";
import { cloudEventState, cloudEventToRest, type CloudEvent } from "../../edge/api/cloud-event.ts";
import { addCloudEventRoutes, type CloudEvents } from "../../edge/api/events.ts";
import { createLocalAccess, readLocalAccess, type PrivateFiles } from "../../edge/api/local-access.ts";
import { addEdgeSettingsRoutes } from "../../edge/api/settings.ts";
import { addStatusRoutes, edgeStatusSchema, type StatusSources } from "../../edge/api/status.ts";
import { AppError, ERROR_CODES } from "../../shared/core/errors.ts";
import { isUuid, NULL_UUID, type Uuid } from "../../shared/core/ids.ts";
import { createSeededRandom } from "../../shared/core/random.ts";
import type { SyncState } from "../../shared/core/sync-states.ts";
import type { Authority } from "../../shared/entities/user.ts";
import { silentLog } from "../../shared/observe/log.ts";
import { createMetrics } from "../../shared/observe/metrics.ts";
import { createRestApp } from "../../shared/rest/app.ts";
import { authenticationFailed, type Authenticator } from "../../shared/rest/principal.ts";
import type { PageRequest } from "../../shared/store/entity-store.ts";
import type { UplinkLane } from "../../shared/sync/lanes.ts";

const NOW_MS = 1_700_000_000_000;
const TENANT_ID = "00000000-0000-4000-8000-000000000001" as Uuid;
const DEVICE_ID = "00000000-0000-4000-8000-000000000002" as Uuid;
const EDGE_ID = "00000000-0000-4000-8000-000000000003" as Uuid;

const DISK = {
  usedBytes: 1,
  freeBytes: 1e10,
  quotaBytes: 1e9,
  reserveBytes: 3e7,
  isFull: false,
  removed: { thinned: 0, dropped: 0 },
};

const clock = {
  nowMs: () => NOW_MS,
  monotonicMs: () => 0,
  yield: () => Promise.resolve(),
  sleep: () => Promise.resolve(),
};

/** `Bearer SYS_ADMIN` is a system administrator. */
const roleAuthenticator: Authenticator = {
  scheme: "bearer",
  authenticate: async (role) => {
    if (role === "nobody") throw authenticationFailed();
    return { userId: NULL_UUID, tenantId: TENANT_ID, customerId: null, authority: role as Authority, sessionId: null };
  },
};

function createApp(authenticators: readonly Authenticator[] = [roleAuthenticator]) {
  return createRestApp({ clock, log: silentLog, metrics: createMetrics(), authenticators });
}

type App = ReturnType<typeof createApp>;

async function get(app: App, path: string, authorization = "Bearer TENANT_ADMIN") {
  const response = await app.fetch(
    new Request(`http://edge${path}`, { headers: { "X-Authorization": authorization } }),
  );
  // Shapes are checked by the expectations.
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

const RULE_NODE = {
  chainId: NULL_UUID,
  nodeId: NULL_UUID,
  name: "Secret name",
  messages: 7,
  failures: 2,
  lastFailure: "no good",
  paused: null,
};

const SOURCES: StatusSources = {
  link: () => ({
    state: "waiting",
    reason: { code: "LINK_DOWN", text: "connect ECONNREFUSED cloud.example:7070" },
    sinceMs: NOW_MS - 5_000,
    session: 7,
    clockSkewMs: -20,
    sentSeq: { config: 0, telemetry: 100 },
    inFlight: { config: [], telemetry: [] },
  }),
  sync: async () => ({
    state: "NO_ROUTE",
    reasons: [{ code: "NO_ROUTE", detail: "connect ECONNREFUSED cloud.example:7070" }],
    sinceMs: NOW_MS - 5_000,
    lastInSyncMs: NOW_MS - 9_000,
    nextAttemptMs: NOW_MS + 700,
  }),
  outbox: async () => ({
    lanes: {
      config: { nextSeq: 4, ackedSeq: 3, backlogItems: 0, backlogBytes: 0, oldestUnsentMs: null },
      telemetry: {
        nextSeq: 501,
        ackedSeq: 40,
        backlogItems: 460,
        backlogBytes: 9_000,
        oldestUnsentMs: NOW_MS - 60_000,
      },
    },
    parked: { config: 0, telemetry: 0 },
  }),
  database: () => ({ kind: "embedded", state: "ready", reason: null, version: "18.4" }),
  disk: async () => ({ ...DISK, usedBytes: 1e8, freeBytes: 1e10 }),
  mqttConnections: () => 3,
  ruleNodes: () => [RULE_NODE],
  thinned: () => [],
};

function createStatusApp(sources: Partial<StatusSources> = {}): App {
  const app = createApp();
  addStatusRoutes(
    app,
    { sources: { ...SOURCES, ...sources }, clock, authenticators: [roleAuthenticator] },
    { version: "0.1.0", runtime: "bun 1.4.5", startedMs: NOW_MS - 1_000, cloudUrl: "https://cloud.example:7070" },
  );
  return app;
}

describe("GET /status", () => {
  test("shows backlog, link, database and disk to anybody, in the declared shape", async () => {
    const { status, body } = await get(createStatusApp(), "/status", "");
    expect(status).toBe(200);
    expect(edgeStatusSchema.parse(body)).toMatchObject({
      state: "degraded",
      sync: { state: "NO_ROUTE", sinceTime: NOW_MS - 5_000, nextAttemptTime: NOW_MS + 700 },
      link: { state: "waiting", sinceTime: NOW_MS - 5_000, session: 7, clockSkewMs: -20 },
      lanes: {
        config: { nextSeq: 4, sentSeq: 3, ackedSeq: 3, backlogItems: 0 },
        telemetry: {
          nextSeq: 501,
          sentSeq: 100,
          ackedSeq: 40,
          backlogItems: 460,
          backlogBytes: 9_000,
          oldestUnsentTime: NOW_MS - 60_000,
        },
      },
      parked: 0,
      database: { state: "ready" },
      mqttConnections: 3,
      rules: { messages: 7, failures: 2, pausedNodes: 0, nodes: [] },
    });
  });

  test.each(["", "Bearer nobody", "Bearer CUSTOMER_USER", "garbage"])(
    "keeps addresses and exact reasons from the caller %j",
    async (authorization) => {
      const { body } = await get(createStatusApp(), "/status", authorization);
      expect(JSON.stringify(body)).not.toContain("cloud.example");
      expect(body).toMatchObject({
        link: { reason: { code: "LINK_DOWN", text: expect.stringContaining("no connection") } },
      });
    },
  );

  test.each(["Bearer TENANT_ADMIN", "bearer SYS_ADMIN"])(
    "shows addresses and exact reasons to %s",
    async (authorization) => {
      const { body } = await get(createStatusApp(), "/status", authorization);
      expect(body).toMatchObject({
        link: { cloudUrl: "https://cloud.example:7070", reason: { text: "connect ECONNREFUSED cloud.example:7070" } },
      });
    },
  );

  test("shows nodes of rule chains to administrators, and that one is paused to everybody", async () => {
    const app = createStatusApp({ ruleNodes: () => [RULE_NODE, { ...RULE_NODE, paused: "too slow" }] });
    const { body } = await get(app, "/status", "Bearer TENANT_ADMIN");
    expect(body).toMatchObject({
      rules: { pausedNodes: 1, nodes: [{ name: "Secret name", paused: null }, { paused: "too slow" }] },
    });
    const shown = await get(app, "/status", "");
    expect(shown.body["problems"]).toContain("1 nodes of rule chains took too long again and again, and are paused");
    expect(JSON.stringify(shown.body)).not.toContain("Secret name");
  });

  test("is ok without a cloud", async () => {
    const { body } = await get(createStatusApp({ link: () => null, sync: standing("NOT_CONFIGURED") }), "/status");
    expect(body).toMatchObject({ state: "ok", problems: [], link: { state: "disabled", cloudUrl: null } });
  });

  test("answers although a component fails, and says which one", async () => {
    const outbox = () => Promise.reject(new AppError("DATABASE_UNAVAILABLE", "connect ENOENT /run/secret-place"));
    const database = () => ({ kind: "embedded", state: "down", reason: null, version: null }) as const;
    const { status, body } = await get(createStatusApp({ outbox, database }), "/status", "");
    expect(status).toBe(200);
    expect(body).toMatchObject({ state: "failing", lanes: null, parked: null });
    expect(body["problems"]).toContain("State of outbox is not known (DATABASE_UNAVAILABLE)");
    expect(JSON.stringify(body)).not.toContain("secret-place");
  });

  test("is failing while the disk is full, because nothing can be stored", async () => {
    const disk = () => Promise.resolve({ ...DISK, isFull: true, reserveBytes: 0 });
    const { body } = await get(createStatusApp({ link: liveLink, sync: standing("QUOTA"), disk }), "/status");
    expect(body).toMatchObject({ state: "failing", disk: { isFull: true }, problems: [ERROR_CODES.DISK_FULL] });
  });

  test.each([
    [{ disk: async () => ({ ...DISK, freeBytes: 1e6 }) }, "Only 1 MB are free on the disk"],
    [
      { disk: async () => ({ ...DISK, removed: { thinned: 3, dropped: 4 } }) },
      "7 records were removed unsent because the disk quota was reached; see the list of gaps",
    ],
    [{ sync: standing("PARKED_ITEMS", "SENDING") }, "PARKED_ITEMS: Items were refused"],
    [{ sync: standing("CLOCK_SKEW") }, "CLOCK_SKEW: The clocks of edge and cloud differ"],
    [{ sync: standing("CREDENTIALS_REFUSED") }, "CREDENTIALS_REFUSED: The cloud knows no edge"],
  ])("names as a problem what needs a look: %#", async (sources, problem) => {
    const { body } = await get(createStatusApp({ link: liveLink, sync: standing(), ...sources }), "/status");
    expect(body["state"]).toBe("degraded");
    expect(body["problems"]).toEqual([expect.stringContaining(problem)]);
  });
});

/** The first as the state, all of them as reasons. */
function standing(...codes: readonly SyncState[]): StatusSources["sync"] {
  const reasons = codes.map((code) => ({ code, detail: null }));
  return async () => ({ state: codes[0] ?? "IN_SYNC", reasons, sinceMs: 1, lastInSyncMs: null, nextAttemptMs: null });
}

function liveLink() {
  return {
    state: "live",
    reason: null,
    sinceMs: 1,
    session: 1,
    clockSkewMs: 0,
    sentSeq: { config: 0, telemetry: 0 },
    inFlight: { config: [], telemetry: [] },
  } as const;
}

const CONFIG_EVENT: CloudEvent = {
  lane: "config",
  firstSeq: 7,
  lastSeq: 7,
  createdMs: NOW_MS,
  action: "ADDED",
  entityType: "DEVICE",
  entityId: DEVICE_ID,
  tsMinMs: null,
  tsMaxMs: null,
  refused: null,
};

const BATCH_EVENT: CloudEvent = {
  lane: "telemetry",
  firstSeq: 101,
  lastSeq: 600,
  createdMs: NOW_MS,
  action: "TIMESERIES_UPDATED",
  entityType: null,
  entityId: null,
  tsMinMs: NOW_MS - 10,
  tsMaxMs: NOW_MS,
  refused: { items: 3, code: "NOT_FOUND", text: "Device is not known" },
};

function createEventsApp() {
  const requests: [UplinkLane, PageRequest][] = [];
  const events: Pick<CloudEvents, "list"> = {
    list: async (lane, request) => {
      requests.push([lane, request]);
      const data = lane === "config" ? [CONFIG_EVENT] : [BATCH_EVENT];
      return { page: { data, totalPages: 1, totalElements: 1, hasNext: false }, committed: [{ first: 1, last: 6 }] };
    },
  };
  const app = createApp();
  addCloudEventRoutes(app, { events, inFlight: () => [{ first: 7, last: 7 }], readTenantId: () => TENANT_ID });
  return { app, requests };
}

describe("GET /api/edge/events", () => {
  test.each(["SYS_ADMIN", "TENANT_ADMIN", "CUSTOMER_USER"])("lists config events for %s", async (role) => {
    const { app } = createEventsApp();
    const { status, body } = await get(app, "/api/edge/events?pageSize=10&page=0", `Bearer ${role}`);
    expect(status).toBe(200);
    expect(body).toEqual({
      data: [
        {
          id: { id: expect.any(String) },
          createdTime: NOW_MS,
          seqId: 7,
          tenantId: { entityType: "TENANT", id: TENANT_ID },
          action: "ADDED",
          entityId: DEVICE_ID,
          type: "DEVICE",
          entityBody: null,
          state: "sent",
          reason: null,
        },
      ],
      totalPages: 1,
      totalElements: 1,
      hasNext: false,
    });
  });

  test("hands page, times and order on", async () => {
    const { app, requests } = createEventsApp();
    await get(app, "/api/edge/events?pageSize=5&page=2&startTime=1&endTime=2&sortProperty=createdTime&sortOrder=DESC");
    const [lane, request] = requests[0] ?? [];
    expect(lane).toBe("config");
    expect(request).toMatchObject({ pageSize: 5, page: 2, startTime: 1, endTime: 2, sortOrder: "DESC" });
  });

  test.each([
    "",
    "?pageSize=0&page=0",
    "?pageSize=1&page=-1",
    "?pageSize=1&page=0&sortProperty=secret",
    "?pageSize=1&page=0&startTime=x",
  ])("answers 400/31 to %j", async (query) => {
    const { app, requests } = createEventsApp();
    expect(await get(app, `/api/edge/events${query}`)).toMatchObject({ status: 400, body: { errorCode: 31 } });
    expect(requests).toEqual([]);
  });

  test("answers 401/10 without a token", async () => {
    const { app } = createEventsApp();
    expect(await get(app, "/api/edge/events?pageSize=1&page=0", "")).toMatchObject({
      status: 401,
      body: { errorCode: 10 },
    });
  });
});

describe("GET /api/edge/events/timeseries", () => {
  test("lists record batches with count, range and what was refused", async () => {
    const { app, requests } = createEventsApp();
    const { body } = await get(app, "/api/edge/events/timeseries?pageSize=10&page=0");
    expect(requests[0]?.[0]).toBe("telemetry");
    expect(body["data"]).toEqual([
      expect.objectContaining({
        action: "TIMESERIES_UPDATED",
        seqId: 101,
        entityId: null,
        entityBody: { count: 500, firstSeq: 101, lastSeq: 600, startTs: NOW_MS - 10, endTs: NOW_MS, refused: 3 },
        state: "failed",
        reason: "3 of 500 records: NOT_FOUND: Device is not known",
      }),
    ]);
  });
});

describe("cloudEventToRest()", () => {
  test("gives each event an id that stays and is its own", () => {
    const idOf = (event: CloudEvent): string =>
      cloudEventToRest(event, { inFlight: [], committed: [] }, TENANT_ID).id.id;
    const config = { ...CONFIG_EVENT, firstSeq: 7, lastSeq: 7 };
    const ids = [config, { ...config, firstSeq: 8 }, { ...BATCH_EVENT, firstSeq: 7 }].map(idOf);
    expect(ids.every(isUuid)).toBe(true);
    expect(new Set(ids).size).toBe(3);
    expect(idOf(config)).toBe(ids[0] ?? "");
  });
});

describe("cloudEventState()", () => {
  const refused = { items: 1, code: "X", text: "y" };
  const upTo = (last: number) => ({ first: 1, last });
  test.each([
    ["queued", null, { inFlight: [upTo(9)], committed: [] }],
    ["queued", null, { inFlight: [], committed: [upTo(9)] }],
    ["sent", null, { inFlight: [{ first: 10, last: 10 }], committed: [upTo(9)] }],
    ["queued", null, { inFlight: [{ first: 11, last: 20 }], committed: [upTo(5)] }],
    ["transferred", null, { inFlight: [upTo(10)], committed: [upTo(10)] }],
    ["transferred", null, { inFlight: [], committed: [upTo(3), { first: 8, last: 12 }] }],
    ["failed", refused, { inFlight: [upTo(10)], committed: [upTo(10)] }],
  ] as const)("is %s for items 8 to 10 refused %j at %j", (state, refused, position) => {
    expect(cloudEventState({ firstSeq: 8, lastSeq: 10, refused }, position)).toBe(state);
  });
});

describe("GET /api/edge/settings", () => {
  const createSettingsApp = (edgeId: Uuid | null): App => {
    const app = createApp();
    const readSite = async () => ({ edgeId, tenantId: TENANT_ID, name: "Pump 4", type: "default" });
    const readRootChainId = () => Promise.resolve(EDGE_ID);
    addEdgeSettingsRoutes(app, { readSite, readRootChainId, routingKey: "key" });
    return app;
  };

  test("tells what the cloud told of this edge", async () => {
    const expected = {
      edgeId: EDGE_ID,
      tenantId: TENANT_ID,
      name: "Pump 4",
      type: "default",
      routingKey: "key",
      rootRuleChainId: EDGE_ID,
      fullSyncRequired: false,
    };
    expect(await get(createSettingsApp(EDGE_ID), "/api/edge/settings")).toEqual({ status: 200, body: expected });
  });

  test("answers 404/32 before the first session", async () => {
    expect(await get(createSettingsApp(null), "/api/edge/settings")).toMatchObject({
      status: 404,
      body: { errorCode: 32 },
    });
  });

  test("answers 403/20 to a system administrator", async () => {
    const answer = await get(createSettingsApp(EDGE_ID), "/api/edge/settings", "Bearer SYS_ADMIN");
    expect(answer).toMatchObject({ status: 403, body: { errorCode: 20 } });
  });
});

function createFakeFiles(): PrivateFiles & { readonly texts: Map<string, string> } {
  const texts = new Map<string, string>();
  return {
    texts,
    write: (path, text) => void texts.set(path, text),
    read: (path) => texts.get(path) ?? null,
    remove: (path) => void texts.delete(path),
  };
}

describe("createLocalAccess()", () => {
  const create = (files: PrivateFiles, seed = 1) =>
    createLocalAccess({ files, random: createSeededRandom(seed), readTenantId: () => TENANT_ID }, "/data");

  test("lets in whoever read the file as administrator of the tenant", async () => {
    const files = createFakeFiles();
    const access = create(files);
    access.open("http://127.0.0.1:8080");
    const { http, token } = readLocalAccess(files, "/data");
    expect(http).toBe("http://127.0.0.1:8080");
    const app = createApp([access.authenticator]);
    addEdgeSettingsRoutes(app, {
      readSite: async () => ({ edgeId: EDGE_ID, tenantId: TENANT_ID, name: "", type: "" }),
      readRootChainId: () => Promise.resolve(null),
      routingKey: null,
    });
    expect(await get(app, "/api/edge/settings", `local ${token}`)).toMatchObject({ status: 200 });
  });

  test.each(["", "x", "A".repeat(43)])("refuses the token %j with 401/10", async (token) => {
    const app = createApp([create(createFakeFiles()).authenticator]);
    const unreached = () => Promise.reject(new Error("must not be reached"));
    addEdgeSettingsRoutes(app, { readSite: unreached, readRootChainId: unreached, routingKey: null });
    const answer = await get(app, "/api/edge/settings", `local ${token}`);
    expect(answer).toMatchObject({ status: 401, body: { errorCode: 10 } });
  });

  test("refuses a text that only begins with the token", async () => {
    const files = createFakeFiles();
    const access = create(files);
    access.open("http://127.0.0.1:8080");
    const { token } = readLocalAccess(files, "/data");
    expect(await access.authenticator.authenticate(token)).toMatchObject({
      authority: "TENANT_ADMIN",
      tenantId: TENANT_ID,
    });
    for (const wrong of [`${token}A`, token.slice(0, -1)]) {
      await expect(access.authenticator.authenticate(wrong)).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
    }
  });

  test("makes a new token at each start", () => {
    const tokens = [1, 2].map((seed) => {
      const files = createFakeFiles();
      create(files, seed).open("http://127.0.0.1:1");
      return readLocalAccess(files, "/data").token;
    });
    expect(tokens[0]).toHaveLength(43);
    expect(tokens[0]).not.toBe(tokens[1] ?? "");
  });

  test("leaves nothing behind when it is closed", () => {
    const files = createFakeFiles();
    const access = create(files);
    access.open("http://127.0.0.1:1");
    access.close();
    expect(files.texts.size).toBe(0);
  });
});

describe("readLocalAccess()", () => {
  test.each([
    ["NOT_FOUND", () => null],
    ["INTERNAL", () => "{"],
    ["INTERNAL", () => '{"http":1,"token":"x"}'],
    [
      "PERMISSION_DENIED",
      () => {
        throw Object.assign(new Error("denied"), { code: "EACCES" });
      },
    ],
  ])("throws %s when the file is not there, damaged or another user's: %#", (code, read) => {
    expect(() => readLocalAccess({ read }, "/data")).toThrow(expect.objectContaining({ code }));
  });
});
