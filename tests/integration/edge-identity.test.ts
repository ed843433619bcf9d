import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { requestFullSync } from "../../cloud/store/downlink-store.ts";
import { CONFLICT_RETRY_MS, MACHINE_KEPT_MS } from "../../cloud/store/edge-identity.ts";
import { closeSession, commitRange, openSession, type EdgeAccount } from "../../cloud/store/edge-session-store.ts";
import { readEdgeStatuses, saveEdge } from "../../cloud/store/edge-store.ts";
import { createTenant } from "../../cloud/store/tenant-store.ts";
import { AppError } from "../../shared/core/errors.ts";
import { createUuid, type Uuid } from "../../shared/core/ids.ts";
import { systemRandom as random } from "../../shared/runtime/system-random.ts";
import type { Hello } from "../../shared/sync/frames.ts";
import { createSteppedClock } from "../support/fake-edge.ts";
import { startTestPostgres, type TestDatabase, type TestPostgres } from "../support/postgres.ts";
import { HELLO } from "../unit/sync-values.ts";

const clock = createSteppedClock(1_700_000_000_000);
const deps = { clock, random };
const cloudId = createUuid(clock, random);
const replicaId = createUuid(clock, random);
let postgres: TestPostgres;
let database: TestDatabase;
let tenantId: Uuid;
let names = 0;

beforeAll(async () => {
  postgres = await startTestPostgres();
  database = await postgres.createDatabase("cloud");
  ({ tenantId } = await createTenant(database.db, deps, { adminEmail: "a@b.c", adminPasswordHash: "" }));
});
afterAll(() => postgres[Symbol.asyncDispose]());

const newId = (): Uuid => createUuid(clock, random);

interface Site {
  readonly account: EdgeAccount;
  readonly edgeId: Uuid;
  readonly storeId: Uuid;
}

async function newSite(): Promise<Site> {
  names += 1;
  const rest = { type: "default", label: null, routingKey: null, secret: null, expectedVersion: null };
  const save = { ...rest, id: null, tenantId, name: `Edge ${names}`, additionalInfo: null };
  const { id: edgeId, name, type } = (await saveEdge(database.db, deps, save)).edge;
  const [row] = await database.sql<{ hash: string }[]>`select secret_hash as hash from edge where id = ${edgeId}`;
  return { account: { edgeId, tenantId, name, type, secretHash: row?.hash ?? "" }, edgeId, storeId: newId() };
}

/** An edge that met this cloud before. */
function open({ account, storeId }: Site, hello: Partial<Hello> = {}) {
  const full: Hello = { ...HELLO, storeId, machineId: null, cloudId, ...hello };
  return openSession(database.db, account, full, { cloudId, replicaId, clock });
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  return error instanceof AppError ? error.code : String(error);
}

const statusOf = async ({ edgeId }: Site) => (await readEdgeStatuses(database.db, [edgeId])).get(edgeId);
const close = ({ edgeId }: Site, session: number) =>
  closeSession(database.db, edgeId, { session, reason: "LINK_DOWN", nowMs: clock.nowMs() });

describe("a machine", () => {
  test("that is new takes over; the one before it is refused while that is there, and the edge shows it", async () => {
    const site = await newSite();
    const [one, two] = [newId(), newId()];
    await open(site, { machineId: one });
    const { session } = await open(site, { machineId: two });
    expect(await statusOf(site)).toMatchObject({ conflictMs: null });
    const refusal: unknown = await open(site, { machineId: one }).catch((thrown: unknown) => thrown);
    expect(refusal).toMatchObject({ code: "IDENTITY_CONFLICT", retryAfterMs: CONFLICT_RETRY_MS });
    expect(await statusOf(site)).toMatchObject({ isConnected: true, conflictMs: clock.nowMs() });
    expect((await open(site, { machineId: two })).session).toBe(session + 1);
  });

  test("that was taken over from comes back once the other one is gone for long", async () => {
    const site = await newSite();
    const [one, two] = [newId(), newId()];
    await open(site, { machineId: one });
    const { session } = await open(site, { machineId: two });
    clock.advance(60_000);
    await close(site, session);
    clock.advance(MACHINE_KEPT_MS - 1);
    expect(await codeOf(open(site, { machineId: one }))).toBe("IDENTITY_CONFLICT");
    clock.advance(1);
    await open(site, { machineId: one });
    expect(await codeOf(open(site, { machineId: two }))).toBe("IDENTITY_CONFLICT");
  });

  test("that was there for a moment only has no claim", async () => {
    const site = await newSite();
    const [living, dead] = [newId(), newId()];
    await open(site, { machineId: living });
    // The greeting of a process that ended meanwhile, late.
    const { session } = await open(site, { machineId: dead });
    clock.advance(5_000);
    await close(site, session);
    expect(await codeOf(open(site, { machineId: living }))).toBe("null");
  });

  test("that tells no id is let in", async () => {
    const site = await newSite();
    await open(site, { machineId: newId() });
    expect(await codeOf(open(site))).toBe("null");
  });
});

describe("downlinks go on", () => {
  /** An edge with three downlinks. @returns their ids */
  async function siteWithDownlinks(): Promise<{ readonly site: Site; readonly ids: readonly Uuid[] }> {
    const site = await newSite();
    await open(site);
    await database.sql`insert into edge_assignment select ${site.edgeId}, gen_random_uuid(), 'DEVICE', n from generate_series(1, 3) n`;
    await requestFullSync(database.db, deps, site.edgeId);
    const rows = await database.sql<
      { id: Uuid }[]
    >`select id from edge_event where edge_id = ${site.edgeId} order by seq`;
    return { site, ids: rows.map(({ id }) => id) };
  }

  test("where they ended when the edge has the same row under that number", async () => {
    const { site, ids } = await siteWithDownlinks();
    const opened = await open(site, { downlinkApplied: 2, downlinkTag: ids[1] ?? null });
    expect(opened).toMatchObject({ downlinkResume: 2, notes: [] });
  });

  test("anew when it has another one: this database was set back, and wrote on", async () => {
    const { site, ids } = await siteWithDownlinks();
    const opened = await open(site, { downlinkApplied: 2, downlinkTag: ids[0] ?? null });
    expect(opened.downlinkResume).toBe(3);
    expect(opened.notes[0]).toContain("set back to a backup");
    expect(await statusOf(site)).toMatchObject({ downlinkLast: 6, notice: { text: opened.notes[0] } });
  });

  test("anew when rows that it did not receive are gone", async () => {
    const { site } = await siteWithDownlinks();
    await database.sql`delete from edge_event where edge_id = ${site.edgeId} and seq = 2`;
    const opened = await open(site, { downlinkApplied: 1 });
    expect(opened.downlinkResume).toBe(3);
    expect(opened.notes[0]).toContain("no longer there");
  });
});

describe("an uplink lane", () => {
  test("is told what the cloud has newest, and begins where its store does", async () => {
    const site = await newSite();
    const lanes = [{ lane: "telemetry", nextSeq: 400, oldestSeq: 101, ackedSeq: 100, firstSeq: 101 }] as const;
    const first = await open(site, { lanes });
    expect([first.tags, first.notes.filter((note) => note.includes("gap"))]).toEqual([[], []]);
    expect(first.courses.find(({ lane }) => lane === "telemetry")?.course[0]?.first).toBe(101);
    const { edgeId, storeId } = site;
    const position = { edgeId, storeId, lane: "telemetry", session: first.session } as const;
    await commitRange(database.db, position, { first: 301, last: 350 }, { offset: 48, tag: "what 349 was" });
    // Of the backlog, older than what is there.
    await commitRange(database.db, position, { first: 101, last: 150 }, { offset: 49, tag: "what 150 was" });
    const second = await open(site, { lanes });
    expect(second.tags).toEqual([{ lane: "telemetry", seq: 349, tag: "what 349 was" }]);
    // Records that were removed on the edge have no tag.
    await commitRange(database.db, { ...position, session: second.session }, { first: 351, last: 360 }, null);
    expect((await open(site, { lanes })).tags).toEqual(second.tags);
  });
});
