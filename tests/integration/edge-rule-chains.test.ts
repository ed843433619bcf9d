import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { MIGRATIONS } from "../../drizzle/edge.gen.ts";
import type { CallPorts } from "../../edge/rules/chain-calls.ts";
import { openRuleChains } from "../../edge/rules/rule-chains.ts";
import { openEdgeStores, type EdgeStores } from "../../edge/store/edge-stores.ts";
import { saveSettings } from "../../edge/store/site-store.ts";
import { createSha256 } from "../../shared/core/hash.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { AttributeScope } from "../../shared/entities/attributes.ts";
import type { Change } from "../../shared/entities/change.ts";
import { deviceProfileForm } from "../../shared/entities/device-profile.ts";
import type { Json } from "../../shared/entities/entity-record.ts";
import type { RpcRecord } from "../../shared/entities/rpc.ts";
import { metadataInput } from "../../shared/entities/rule-chain-metadata.ts";
import type { CanonicalJson } from "../../shared/entities/telemetry.ts";
import { readAttributes, readTelemetry } from "../../shared/entities/values.ts";
import { silentLog } from "../../shared/observe/log.ts";
import { openScriptSandbox } from "../../shared/runtime/script-sandbox.ts";
import { systemRandom } from "../../shared/runtime/system-random.ts";
import { listAlarms } from "../../shared/store/alarm-lists.ts";
import { readAttributeRows, saveAttributes } from "../../shared/store/attribute-store.ts";
import { saveDevice } from "../../shared/store/device-store.ts";
import { saveProfile } from "../../shared/store/profile-save.ts";
import { saveMetadata, saveRuleChain } from "../../shared/store/rule-chain-store.ts";
import { readLatest } from "../../shared/store/telemetry-store.ts";
import { createTestClock, type TestClock } from "../support/test-clock.ts";
import { waitFor } from "../support/wait-for.ts";
import { createTestDir, startServer } from "./postgres-support.ts";

const ENGINE = "org.thingsboard.rule.engine";
const dir = createTestDir();
let server: Awaited<ReturnType<typeof startServer>>;
let clock: TestClock;
let edge: RunningEdge;
let names = 0;

beforeAll(async () => {
  server = await startServer(join(dir.path, "data"));
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await dir[Symbol.asyncDispose]();
});
beforeEach(async () => {
  clock = createTestClock();
  edge = await startEdge();
});
afterEach(async () => {
  await edge.stop();
});

interface RunningEdge {
  readonly stores: EdgeStores;
  readonly tenantId: Uuid;
  readonly changes: Change[];
  /** What devices were asked. */
  readonly requests: RpcRecord[];
  stop(): Promise<void>;
}

const NEVER: CallPorts = {
  callDevice: () => new Promise(() => undefined),
  callHttp: () => new Promise(() => undefined),
  publishMqtt: () => new Promise(() => undefined),
};

async function startEdge(ports: Partial<CallPorts> = {}): Promise<RunningEdge> {
  const stores = await openEdgeStores({
    openScriptSandbox,
    database: server,
    migrations: MIGRATIONS,
    clock,
    random: systemRandom,
    log: silentLog,
    createHasher: createSha256,
    blobBytesMax: 1,
    onOutbox: () => undefined,
  });
  const requests: RpcRecord[] = [];
  const stop = new AbortController();
  const { alarmRules, groupCommit, registry, ruleChains } = stores;
  const made = { ...NEVER, ...ports };
  ruleChains.connect({
    ...made,
    callDevice: (record) => {
      requests.push(record);
      return made.callDevice(record);
    },
  });
  const running = [
    groupCommit.runLoop(stop.signal),
    alarmRules.run(groupCommit, stop.signal),
    ruleChains.run(groupCommit, stop.signal),
  ];
  const changes: Change[] = [];
  registry.watchChanges((committed) => void changes.push(...committed));
  return {
    stores,
    tenantId: (await stores.readSite()).tenantId,
    changes,
    requests,
    stop: async () => {
      stop.abort();
      await Promise.all(running);
      await stores[Symbol.asyncDispose]();
    },
  };
}

interface Node {
  readonly name: string;
  readonly type: string;
  readonly configuration: { readonly [key: string]: Json };
  readonly debugSettings?: { readonly [key: string]: Json };
}

const node = (type: string, configuration: Node["configuration"] = {}): Node => {
  names += 1;
  return { name: `${type} ${names}`, type: `${ENGINE}.${type}`, configuration };
};
const types = (...messageTypes: string[]): Node => node("filter.TbMsgTypeFilterNode", { messageTypes });
const script = (jsScript: string): Node => node("filter.TbJsFilterNode", { scriptLang: "JS", jsScript });
const transform = (jsScript: string): Node => node("transform.TbTransformMsgNode", { scriptLang: "JS", jsScript });
const save = (): Node => node("telemetry.TbMsgTimeseriesNode", { defaultTTL: 0 });

type Links = readonly (readonly [from: Node, label: string, to: Node])[];

/** Makes it, or changes it, with the first node named as the first. */
async function putChain(links: Links, id?: Uuid): Promise<Uuid> {
  const { groupCommit } = edge.stores;
  const { tenantId } = edge;
  const deps = { clock, random: systemRandom };
  names += 1;
  const chainId =
    id ??
    (
      await groupCommit.run((tx) =>
        saveRuleChain(tx, deps, { tenantId, input: { name: `Chain ${names}`, type: "EDGE" } }),
      )
    ).id;
  const nodes = [...new Set(links.flatMap(([from, , to]) => [from, to]))];
  const input = metadataInput.parse({
    ruleChainId: { entityType: "RULE_CHAIN", id: chainId },
    firstNodeIndex: 0,
    nodes,
    connections: links.map(([from, type, to]) => ({
      fromIndex: nodes.indexOf(from),
      toIndex: nodes.indexOf(to),
      type,
    })),
  });
  await groupCommit.run((tx) => saveMetadata(tx, deps, { tenantId, input }));
  return chainId;
}

/** The root from now on. */
async function putRoot(links: Links, id?: Uuid): Promise<Uuid> {
  const rootRuleChainId = await putChain(links, id);
  await edge.stores.groupCommit.run(async (tx) => ({
    result: await saveSettings(tx, { rateLimits: {}, rootRuleChainId }),
    changes: [],
  }));
  edge.stores.ruleChains.noteSettings();
  return rootRuleChainId;
}

async function createDevice(alarms: Json[] = []): Promise<Uuid> {
  const { groupCommit } = edge.stores;
  const { tenantId } = edge;
  const deps = { clock, random: systemRandom };
  names += 1;
  const name = `Device ${names}`;
  const profile = await groupCommit.run((tx) =>
    saveProfile(tx, deps, {
      tenantId,
      input: { name, profileData: { alarms } },
      naming: { onConflict: "FAIL" },
      form: deviceProfileForm,
    }),
  );
  return (
    await groupCommit.run((tx) => saveDevice(tx, deps, { tenantId, input: { name, deviceProfileId: profile.id } }))
  ).id;
}

async function send(id: Uuid, values: Json, tsMs = clock.nowMs()): Promise<void> {
  const readings = readTelemetry(JSON.stringify({ ts: Math.round(tsMs), values }), { nowMs: 0, nulls: "skip" });
  await edge.stores.groupCommit.saveTelemetry(readings.map((reading) => ({ entityId: id, ...reading })));
}

async function say(id: Uuid, scope: AttributeScope, values: Json): Promise<void> {
  const readings = readAttributes(JSON.stringify(values), { nulls: "skip" });
  const entity = { type: "DEVICE", id };
  await edge.stores.groupCommit.run((tx) => saveAttributes(tx, { entity, scope, readings, nowMs: clock.nowMs() }));
}

async function latest(id: Uuid): Promise<Record<string, unknown>> {
  await edge.stores.groupCommit.settleLatest();
  const points = await readLatest(edge.stores.db, { entityId: id });
  return Object.fromEntries(Array.from(points, ([key, { value }]) => [key, JSON.parse(value) as unknown]));
}

async function attributes(id: Uuid, scope: AttributeScope): Promise<Record<string, unknown>> {
  const rows = await readAttributeRows(edge.stores.db, { entityId: id, scopes: [scope] });
  return Object.fromEntries(rows.map(({ key, value }) => [key, JSON.parse(value) as unknown]));
}

async function alarms(id: Uuid) {
  const filter = { tenantId: edge.tenantId, entity: { type: "DEVICE", id } };
  const page = { pageSize: 100, page: 0, sortProperty: "startTs", sortOrder: "ASC" } as const;
  return (await listAlarms(edge.stores.db, filter, page)).data.map(({ alarm }) => alarm);
}

const telemetryRows = async (id: Uuid): Promise<number> => {
  const [row] = await edge.stores.sql<{ count: number }[]>`
    select count(*)::int as count from telemetry where entity_id = ${id}`;
  return row?.count ?? 0;
};

const HOT = "return msg.t > 30;";
const HIGH_CO2: Json = {
  id: "co2",
  alarmType: "Bad air",
  createRules: {
    MAJOR: {
      condition: {
        condition: [
          {
            key: { type: "TIME_SERIES", key: "co2" },
            valueType: "NUMERIC",
            predicate: { type: "NUMERIC", operation: "GREATER", value: { defaultValue: 1_000 } },
          },
        ],
        spec: { type: "SIMPLE" },
      },
    },
  },
};
const ALARM = {
  alarmType: "Hot",
  severity: "MAJOR",
  scriptLang: "JS",
  alarmDetailsBuildJs: "return { t: msg.t };",
};

// The first here: nothing but commits is due while there is no chain.
test("commits that rules ask for one after the other are slowed down, and this is told once", async () => {
  let sleeps = Promise.withResolvers<() => void>();
  let nowMs = 0;
  const stop = new AbortController();
  const sleep = async (delayMs: number, signal?: AbortSignal): Promise<void> => {
    const over = Promise.withResolvers<void>();
    signal?.addEventListener("abort", () => over.reject(signal.reason), { once: true });
    sleeps.resolve(() => {
      nowMs += delayMs;
      sleeps = Promise.withResolvers();
      over.resolve();
    });
    await over.promise;
  };
  const warnings: string[] = [];
  const chains = await openRuleChains({
    db: edge.stores.db,
    clock: { ...clock, monotonicMs: () => nowMs, sleep },
    random: systemRandom,
    log: { ...silentLog, warn: (message) => void warnings.push(message) },
    openScriptSandbox,
  });
  let commits = 0;
  const commitDue = async (): Promise<void> => {
    await clock.yield();
    commits += 1;
    if (commits > 1_000) stop.abort();
    chains.wake();
  };
  const running = chains.run({ commitDue }, stop.signal);
  chains.wake();
  (await Promise.race([sleeps.promise, running]))?.();
  expect([commits, nowMs]).toEqual([101, 100]);
  (await Promise.race([sleeps.promise, running]))?.();
  expect([commits, nowMs]).toEqual([102, 200]);
  expect(warnings).toHaveLength(1);
  stop.abort();
  await running;
});

test("chains that only store and send on what devices send are not run", async () => {
  const [telemetry, attributesSaved] = [save(), node("telemetry.TbMsgAttributesNode", { scope: "CLIENT_SCOPE" })];
  const kinds = node("filter.TbMsgTypeSwitchNode");
  await putRoot([
    [kinds, "Post telemetry", telemetry],
    [telemetry, "Success", node("edge.TbMsgPushToCloudNode")],
    [kinds, "Post attributes", attributesSaved],
    [kinds, "Other", node("action.TbLogNode", { scriptLang: "TBEL" })],
  ]);
  const id = await createDevice();
  await send(id, { t: 1 });
  expect(edge.stores.ruleChains.isIdle).toBe(true);
  expect(await telemetryRows(id)).toBe(1);
});

describe("a chain on the edge", () => {
  test("saves what it makes of telemetry, and stores what came once", async () => {
    const calm = transform("return { msg: { double: msg.t * 2 }, metadata: metadata, msgType: msgType };");
    const first = types("POST_TELEMETRY_REQUEST");
    const kept = save();
    await putRoot([
      [first, "True", kept],
      [kept, "Success", node("edge.TbMsgPushToCloudNode")],
      [first, "True", calm],
      [calm, "Success", save()],
    ]);
    const id = await createDevice();
    const before = edge.stores.groupCommit.nextSeq("telemetry");
    const tsMs = Math.round(clock.nowMs());
    await send(id, { t: 21 }, tsMs);
    expect(await latest(id)).toEqual({ t: 21, double: 42 });
    // One row of what came, one of what was derived: in the database they are of one device and time.
    expect(edge.stores.groupCommit.nextSeq("telemetry") - before).toBe(2);
    expect(await telemetryRows(id)).toBe(1);
  });

  test("saves and deletes attributes, and devices hear of shared ones", async () => {
    const first = types("POST_ATTRIBUTES_REQUEST");
    const limit = transform("return { msg: { limit: msg.wanted }, metadata: metadata, msgType: msgType };");
    const shared = node("telemetry.TbMsgAttributesNode", { scope: "SHARED_SCOPE", notifyDevice: true });
    await putRoot([
      [first, "True", limit],
      [limit, "Success", shared],
      [first, "True", node("telemetry.TbMsgDeleteAttributesNode", { scope: "SERVER_SCOPE", keys: ["old"] })],
    ]);
    const id = await createDevice();
    await say(id, "SERVER_SCOPE", { old: 1, kept: 2 });
    const events: unknown[] = [];
    edge.stores.registry.subscribe((event) => void events.push(event));
    await say(id, "CLIENT_SCOPE", { wanted: 7 });
    expect(await attributes(id, "SHARED_SCOPE")).toEqual({ limit: 7 });
    expect(await attributes(id, "SERVER_SCOPE")).toEqual({ kept: 2 });
    expect(events).toMatchObject([{ kind: "shared-saved", deviceId: id, attributes: [{ key: "limit", value: "7" }] }]);
  });

  test("raises one alarm, brings it up to date and clears it, in the commits of what it looks at", async () => {
    const hot = script(HOT);
    const first = types("POST_TELEMETRY_REQUEST");
    await putRoot([
      [first, "True", hot],
      [hot, "True", node("action.TbCreateAlarmNode", ALARM)],
      [hot, "False", node("action.TbClearAlarmNode", { alarmType: "Hot" })],
    ]);
    const id = await createDevice();
    await send(id, { t: 31 });
    await send(id, { t: 32 });
    expect(await alarms(id)).toMatchObject([{ type: "Hot", severity: "MAJOR", clearMs: 0, details: { t: 32 } }]);
    await send(id, { t: 12 });
    const [cleared, ...others] = await alarms(id);
    expect(others).toEqual([]);
    expect(cleared?.clearMs).toBeGreaterThan(0);
    const said = edge.changes.flatMap((change) => (change.kind === "alarm-saved" ? [change.action] : []));
    expect(said).toEqual(["ADDED", "UPDATED", "ALARM_CLEAR"]);
  });

  test("leaves out what can't be written, and spoils neither alarms of profiles nor other effects", async () => {
    const first = types("POST_TELEMETRY_REQUEST");
    // PostgreSQL takes no such character.
    const alarm = { ...ALARM, alarmDetailsBuildJs: "return { text: msg.isBad ? '\\u0000' : 'good' };" };
    await putRoot([[first, "True", node("action.TbCreateAlarmNode", alarm)]]);
    const alarmTypes = async (id: Uuid): Promise<unknown> => (await alarms(id)).map(({ type }) => type).toSorted();
    const [bad, good] = [await createDevice([HIGH_CO2]), await createDevice([HIGH_CO2])];
    await Promise.all([send(bad, { isBad: true, co2: 1_200 }), send(good, { isBad: false, co2: 1_200 })]);
    expect(await alarmTypes(bad)).toEqual(["Bad air"]);
    expect(await alarmTypes(good)).toEqual(["Bad air", "Hot"]);
  });

  test("lets others work while it works on much", async () => {
    const slow = transform("return { msg: { slow: msg.t }, metadata: metadata, msgType: msgType };");
    await putRoot([[slow, "Success", save()]]);
    const id = await createDevice();
    const real = { ...clock };
    let [looks, turns] = [0, 0];
    // Whoever looks at the time finds that much of it went by.
    Object.assign(clock, {
      monotonicMs: () => real.monotonicMs() + 30 * ++looks,
      yield: () => {
        turns += 1;
        return real.yield();
      },
    });
    await send(id, { t: 1 });
    expect(turns).toBeGreaterThan(0);
  });

  test("hears of alarms that the rules of a profile raise and clear, and asks the device", async () => {
    const predicate = (operation: string, defaultValue: number): Json => ({
      condition: {
        condition: [
          {
            key: { type: "TIME_SERIES", key: "co2" },
            valueType: "NUMERIC",
            predicate: { type: "NUMERIC", operation, value: { defaultValue } },
          },
        ],
        spec: { type: "SIMPLE" },
      },
    });
    const rule: Json = {
      id: "co2",
      alarmType: "Bad air",
      createRules: { MAJOR: predicate("GREATER", 1_000) },
      clearRule: predicate("LESS", 800),
    };
    const first = types("ALARM");
    const raised = script('return metadata.isNewAlarm === "true";');
    const open = transform(
      'return { msg: { method: "open", params: { alarm: msg.type, co2: metadata.co2 } }, metadata: metadata, msgType: "RPC_CALL_FROM_SERVER_TO_DEVICE" };',
    );
    // Read while the alarm is written.
    const enriched = node("metadata.TbGetAttributesNode", { latestTsKeyNames: ["co2"], tellFailureIfAbsent: true });
    const call = node("rpc.TbSendRPCRequestNode", { timeoutInSeconds: 5 });
    const answered = transform(
      "return { msg: { window: msg.state }, metadata: metadata, msgType: 'POST_TELEMETRY_REQUEST' };",
    );
    await edge.stop();
    edge = await startEdge({
      callDevice: () => Promise.resolve({ kind: "answered", response: '{"state":"open"}' as CanonicalJson }),
    });
    await putRoot([
      [first, "True", raised],
      [raised, "True", enriched],
      [enriched, "Success", open],
      [open, "Success", call],
      [call, "Success", answered],
      [answered, "Success", save()],
    ]);
    const id = await createDevice([rule]);
    await send(id, { co2: 1_200 });
    await waitFor("the answer", async () => (await latest(id))["window"] === "open");
    expect(edge.requests).toMatchObject([{ deviceId: id, method: "open", params: '{"alarm":"Bad air","co2":"1200"}' }]);
    expect(await edge.stores.sql`select id from rule_call`).toHaveLength(0);
  });

  test("answers what a device asks; without such a chain nobody does", async () => {
    const id = await createDevice();
    const device = { deviceId: id, name: "Device", isGateway: false };
    const question = { method: "time", params: '{"zone":"UTC"}' as CanonicalJson };
    expect(edge.stores.ruleChains.answer(device, question)).toBeUndefined();
    const first = types("TO_SERVER_RPC_REQUEST");
    const told = transform(
      "return { msg: { asked: msg.method, zone: msg.params.zone }, metadata: metadata, msgType: msgType };",
    );
    await putRoot([
      [first, "True", told],
      [told, "Success", node("rpc.TbSendRPCReplyNode", { requestIdMetaDataAttribute: "requestId" })],
    ]);
    await send(id, { t: 1 });
    expect(await edge.stores.ruleChains.answer(device, question)).toBe(
      '{"asked":"time","zone":"UTC"}' as CanonicalJson,
    );
  });
});

describe("what nodes remember", () => {
  const delaying = async (): Promise<Uuid> => {
    const first = types("POST_TELEMETRY_REQUEST");
    const later = node("delay.TbMsgDelayNode", { periodInSeconds: 60 });
    const late = transform("return { msg: { late: msg.t }, metadata: metadata, msgType: msgType };");
    await putRoot([
      [first, "True", later],
      [later, "Success", late],
      [late, "Success", save()],
    ]);
    return createDevice();
  };

  test("outlives the edge: what is held back comes after its time", async () => {
    const id = await delaying();
    await send(id, { t: 5 });
    await edge.stop();
    edge = await startEdge();
    expect(await latest(id)).toEqual({ t: 5 });
    clock.advance(61_000);
    await waitFor("what was held back", async () => (await latest(id))["late"] === 5);
  });

  test("is read again after a commit of which nobody knows whether it is on the disk", async () => {
    const id = await delaying();
    const { db, groupCommit, ruleChains } = edge.stores;
    await groupCommit.commitDue();
    const records = [
      { entityId: id, tsMs: Math.round(clock.nowMs()), values: '{"t":5}' as CanonicalJson, keySet: "t" },
    ];
    const decision = await ruleChains.decide(db, { records, changes: [], unsettled: () => [] });
    await db.transaction((tx) => decision.write(tx, []));
    await groupCommit.run(async (tx) => {
      await tx.execute("select 1");
      return { result: null, changes: [] };
    });
    clock.advance(60_000);
    await waitFor("what was held back", async () => (await latest(id))["late"] === 5);
  });

  test("goes with its chain", async () => {
    const first = types("POST_TELEMETRY_REQUEST");
    const later = node("delay.TbMsgDelayNode", { periodInSeconds: 60 });
    const id = await putRoot([
      [first, "True", later],
      [later, "Success", save()],
    ]);
    const device = await createDevice();
    await send(device, { t: 5 });
    expect(
      await edge.stores.sql`select node_id from rule_node_state where state::text like '%pending%'`,
    ).not.toHaveLength(0);
    await putRoot([[types("POST_TELEMETRY_REQUEST"), "True", script(HOT)]], id);
    await send(device, { t: 6 });
    await waitFor(
      "the state to go",
      async () =>
        (await edge.stores.sql`select node_id from rule_node_state where state::text like '%pending%'`).length === 0,
    );
  });
});

describe("calls of chains", () => {
  const calling = async (): Promise<Uuid> => {
    const first = types("POST_TELEMETRY_REQUEST");
    const call = node("rest.TbRestApiCallNode", {
      restEndpointUrlPattern: "http://localhost/x",
      requestMethod: "POST",
    });
    const answered = transform("return { msg: { said: msg.said }, metadata: metadata, msgType: msgType };");
    await putRoot([
      [first, "True", call],
      [call, "Success", answered],
      [answered, "Success", save()],
    ]);
    return createDevice();
  };

  test("that were under way when the edge stopped are made again, and their answers come once", async () => {
    const id = await calling();
    await send(id, { t: 1 });
    await edge.stop();
    const bodies: (string | null)[] = [];
    edge = await startEdge({
      callHttp: ({ body }) => {
        bodies.push(body);
        return Promise.resolve({ ok: true, body: '{"said":"yes"}', metadata: {} });
      },
    });
    await waitFor("the answer", async () => (await latest(id))["said"] === "yes");
    expect(bodies).toEqual(['{"t":1}']);
    expect(await edge.stores.sql`select id from rule_call`).toHaveLength(0);
  });
});

describe("a chain that changes under load", () => {
  test("loses no message", async () => {
    const chain = (key: string): Links => {
      const first = types("POST_TELEMETRY_REQUEST");
      const marked = transform(`return { msg: { ${key}: msg.n }, metadata: metadata, msgType: msgType };`);
      return [
        [first, "True", marked],
        [marked, "Success", save()],
      ];
    };
    const root = await putRoot(chain("a"));
    const id = await createDevice();
    const sent: Promise<void>[] = [];
    const startMs = Math.round(clock.nowMs());
    for (let n = 0; n < 100; n += 1) {
      sent.push(send(id, { n }, startMs + n));
      if (n === 50) await putRoot(chain("b"), root);
      if (n % 10 === 0) await clock.sleep(1);
    }
    await Promise.all(sent);
    const rows = await edge.stores.sql<{ v: Record<string, number> }[]>`
      select "values" as v from telemetry where entity_id = ${id} order by ts_ms`;
    expect(rows.map(({ v }) => v["a"] ?? v["b"])).toEqual(Array.from({ length: 100 }, (_, n) => n));
    expect(rows.at(-1)?.v["b"]).toBe(99);
  });
});

describe("chains that are read again", () => {
  test("leave the machine of scripts to the round under way, and are read once more when that failed", async () => {
    await putRoot([[types("POST_TELEMETRY_REQUEST"), "True", script("return true;")]]);
    const id = await createDevice();
    let [isAway, open, disposed] = [false, 0, 0];
    const db = new Proxy(edge.stores.db, {
      get: (target, name, receiver) => {
        if (isAway) throw new Error("It is away");
        return Reflect.get(target, name, receiver) as unknown;
      },
    });
    const warned = Promise.withResolvers<void>();
    const chains = await openRuleChains({
      db,
      clock,
      random: systemRandom,
      log: { ...silentLog, warn: () => warned.resolve() },
      openScriptSandbox: async (deps) => {
        const sandbox = await openScriptSandbox(deps);
        open += 1;
        return { ...sandbox, compile: sandbox.compile.bind(sandbox), [Symbol.dispose]: () => void (disposed += 1) };
      },
    });
    const records = [{ entityId: id, tsMs: 1, values: '{"t":5}' as CanonicalJson, keySet: "t" }];
    const decision = await chains.decide(edge.stores.db, { records, changes: [], unsettled: () => [] });
    await putRoot([[types("POST_TELEMETRY_REQUEST"), "True", save()]]);
    isAway = true;
    chains.noteSettings();
    await warned.promise;
    isAway = false;
    expect(chains.isIdle).toBe(false);
    await waitFor("the second attempt", () => {
      clock.advance(1_000);
      return chains.isIdle;
    });
    expect([open, disposed]).toEqual([1, 0]);
    decision.committed();
    await waitFor("the end of the machine", () => disposed === 1);
  });
});

describe("a chain that fails", () => {
  test("keeps no data from the disk, and shows which node failed and why", async () => {
    const first = types("POST_TELEMETRY_REQUEST");
    const broken = script("throw new Error('no good');");
    await putRoot([[first, "True", broken]]);
    const id = await createDevice();
    await send(id, { t: 1 });
    expect(await latest(id)).toEqual({ t: 1 });
    const failing = edge.stores.ruleChains.nodes().find(({ failures }) => failures > 0);
    expect(failing).toMatchObject({ name: broken.name, failures: 1, paused: null });
    expect(failing?.lastFailure).toContain("no good");
  });

  test("pauses a node that takes too long again and again", async () => {
    const first = types("POST_TELEMETRY_REQUEST");
    const endless = script("while (true) {}");
    await putRoot([[first, "True", endless]]);
    const id = await createDevice();
    for (let n = 0; n < 6; n += 1) await send(id, { n }, clock.nowMs() + n);
    expect(await telemetryRows(id)).toBe(6);
    const [paused] = edge.stores.ruleChains.nodes().filter((status) => status.paused !== null);
    expect(paused).toMatchObject({ name: endless.name, failures: 6 });
    expect(paused?.paused).toContain("too long 5 times");
  });

  test("leaves what it wants written out when the database refuses it", async () => {
    const first = types("POST_TELEMETRY_REQUEST");
    const bad = node("action.TbCreateAlarmNode", { ...ALARM, alarmType: "a\0b" });
    await putRoot([[first, "True", bad]]);
    const id = await createDevice();
    await send(id, { t: 1 });
    expect(await latest(id)).toEqual({ t: 1 });
  });
});

test("debugged nodes show what comes and goes", async () => {
  const first = { ...types("POST_TELEMETRY_REQUEST"), debugSettings: { allEnabled: true } };
  const chainId = await putRoot([[first, "True", save()]]);
  const id = await createDevice();
  await send(id, { t: 4 });
  const events = edge.stores.ruleChains.debugEvents(chainId);
  expect(events.slice(0, 2)).toMatchObject([
    { direction: "OUT", relation: "True", message: { data: '{"t":4}', originator: { id } } },
    { direction: "IN", message: { type: "POST_TELEMETRY_REQUEST", data: '{"t":4}' } },
  ]);
});

test("messages go to the chain of the profile in place of the root", async () => {
  const own = await putChain([[types("POST_TELEMETRY_REQUEST"), "True", node("action.TbCreateAlarmNode", ALARM)]]);
  const { groupCommit } = edge.stores;
  const deps = { clock, random: systemRandom };
  const profile = await groupCommit.run((tx) =>
    saveProfile(tx, deps, {
      tenantId: edge.tenantId,
      input: { name: "With a chain", profileData: {}, defaultEdgeRuleChainId: own },
      naming: { onConflict: "FAIL" },
      form: deviceProfileForm,
    }),
  );
  const device = await groupCommit.run((tx) =>
    saveDevice(tx, deps, { tenantId: edge.tenantId, input: { name: "With a chain", deviceProfileId: profile.id } }),
  );
  await send(device.id, { t: 4 });
  expect(await alarms(device.id)).toMatchObject([{ type: "Hot" }]);
});
