import { afterAll, beforeAll, expect, test } from "bun:test";
import { drizzle } from "drizzle-orm/postgres-js";
import { applyDownlinks } from "../../edge/store/downlink-apply.ts";
import { openSite, saveSite } from "../../edge/store/site-store.ts";
import { createUuid, type Uuid } from "../../shared/core/ids.ts";
import type { Change, ChangeItem } from "../../shared/entities/change.ts";
import type { CanonicalJson } from "../../shared/entities/telemetry.ts";
import { systemClock as clock } from "../../shared/runtime/system-clock.ts";
import { systemRandom as random } from "../../shared/runtime/system-random.ts";
import type { Queryable, UnitOfWork } from "../../shared/store/unit-of-work.ts";
import { encodeItems } from "../../shared/wire/changes-codec.ts";
import { compress } from "../../shared/wire/compression.ts";
import { createTestBlobs, startTestPostgres, type TestDatabase, type TestPostgres } from "../support/postgres.ts";

const tenantId = createUuid(clock, random);
let postgres: TestPostgres;

beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres[Symbol.asyncDispose]());

/** An edge to whose database items are applied. */
async function createSite() {
  const edge: TestDatabase = await postgres.createDatabase("edge");
  await openSite(edge.db);
  const ids = { edgeId: createUuid(clock, random), cloudId: createUuid(clock, random) };
  await saveSite(edge.db, { ...ids, tenantId, name: "Edge", type: "default", downlinkApplied: 0 });
  let applied = 0;
  let statements = 0;
  const db: Queryable = drizzle(edge.sql, { logger: { logQuery: () => (statements += 1) } });
  const work: UnitOfWork = { run: (perform) => db.transaction(async (tx) => (await perform(tx)).result) };
  const apply = async (items: readonly ChangeItem[]) => {
    statements = 0;
    const batch = { type: "batch", lane: "downlink", firstSeq: applied + 1, count: items.length } as const;
    applied += items.length;
    const deps = { clock, random, edgeVersion: "test", blobs: createTestBlobs(edge) };
    const { effects, rejections } = await applyDownlinks(work, deps, [{ ...batch, ...compress(encodeItems(items)) }]);
    const refused = rejections.map(({ seq, code }) => `${seq} ${code}`);
    return { effects, refused, statements };
  };
  const read = async (): Promise<string> =>
    JSON.stringify([
      await edge.sql`select id, entity_type, name, subtype, label, profile_id, version, body::text from entity order by id`,
      await edge.sql`select entity_id, scope, key, value::text, updated_ms from attribute order by 1, 2, 3`,
      await edge.sql`select device_id, credentials_type, credentials_id, version from device_credentials order by 1`,
    ]);
  return { apply, read };
}

interface Made {
  readonly id: Uuid;
  readonly type: "DEVICE" | "DEVICE_PROFILE";
  readonly name: string;
  readonly profileId?: Uuid;
  readonly token?: string;
  readonly values?: Readonly<Record<string, string>>;
}

function itemOf({ id, type, name, profileId, token, values }: Made): ChangeItem {
  const entity = { type, id };
  const rest = {
    customerId: null,
    subtype: "pump",
    label: null,
    profileId: profileId ?? null,
    version: 1,
    createdMs: 1,
  };
  const record = { entityType: type, id, tenantId, name, ...rest, body: {} };
  const changes: Change[] = [{ kind: "entity-saved", entity, body: JSON.stringify(record) }];
  if (token !== undefined) {
    const credentials = { credentialsType: "ACCESS_TOKEN", credentialsId: token, credentialsValue: null };
    changes.push({ kind: "credentials-saved", entity, ...credentials });
  }
  const attributes = Object.entries(values ?? {}).map(([key, value]) => ({
    key,
    value: value as CanonicalJson,
    updatedMs: 1,
  }));
  if (attributes.length > 0) changes.push({ kind: "attributes-saved", entity, scope: "SHARED_SCOPE", attributes });
  return { changedMs: 1, changes, unknown: 0 };
}

const newId = (): Uuid => createUuid(clock, random);

test("devices that are new on the edge take a few statements for hundreds of them", async () => {
  const { apply, read } = await createSite();
  const profile: Made = { id: newId(), type: "DEVICE_PROFILE", name: "pump" };
  const devices = Array.from({ length: 400 }, (_, index): Made => {
    const values = { limit: String(index), on: "true" };
    return {
      id: newId(),
      type: "DEVICE",
      name: `Pump ${index}`,
      profileId: profile.id,
      token: `token ${index}`,
      values,
    };
  });
  const { effects, refused, statements } = await apply([profile, ...devices].map(itemOf));
  expect(refused).toEqual([]);
  expect(effects).toHaveLength(1 + 400 * 3);
  expect(statements).toBeLessThan(20);
  const tables = JSON.parse(await read()) as unknown[][];
  expect(tables.map(({ length }) => length)).toEqual([401, 800, 400]);
});

test("a batch has the outcome that its items have one by one, whatever some of them meet", async () => {
  const [together, single] = [await createSite(), await createSite()];
  const profile: Made = { id: newId(), type: "DEVICE_PROFILE", name: "pump" };
  const device = (name: string, more: Partial<Made> = {}): Made => {
    const id = newId();
    return { id, type: "DEVICE", name, profileId: profile.id, token: `token of ${id}`, values: { a: "1.50" }, ...more };
  };
  const known = device("Known");
  for (const site of [together, single]) await site.apply([profile, known].map(itemOf));
  const plain = device("Plain");
  const made = [
    plain,
    device("Of a profile that is not there", { profileId: newId() }),
    { ...known, name: "Renamed" },
    device("Known"),
    device("Another one"),
    device("Plain"),
    device("Last"),
  ];
  const expectSame = async (batch: readonly Made[], refusals: number): Promise<void> => {
    const all = await together.apply(batch.map(itemOf));
    const refused: string[] = [];
    for (const one of batch) refused.push(...(await single.apply([itemOf(one)])).refused);
    expect(all.refused).toEqual(refused);
    expect(refused).toHaveLength(refusals);
    expect(await together.read()).toBe(await single.read());
  };
  await expectSame(made, 0);
  // A part of these is written before they are refused, so that the batch is applied once more, item by item.
  const halfway = [
    device("Before the others"),
    device("Token of another", { token: `token of ${plain.id}` }),
    device("Key that is too long", { values: { ["k".repeat(300)]: "1" } }),
    device("Behind the others"),
  ];
  await expectSame(halfway, 2);
  // The database itself stands against one of them: all the others are there, and it alone is refused.
  const [before, after] = [device("Before"), device("After")];
  const bad = device("Value that jsonb refuses", { values: { nul: String.raw`"\u0000"` } });
  const last = await together.apply([before, bad, after].map(itemOf));
  expect(last.refused).toEqual([`${2 + made.length + halfway.length + 2} INVALID_ARGUMENT`]);
  expect(last.effects).toHaveLength(2 * 3);
});
