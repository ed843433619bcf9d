import { afterAll, beforeAll, expect, test } from "bun:test";
import { removeUnreferencedBlobs } from "../../edge/store/blob-upkeep.ts";
import { applyDownlinks } from "../../edge/store/downlink-apply.ts";
import { openSite, saveSite } from "../../edge/store/site-store.ts";
import type { BlobRef } from "../../shared/core/blob-ref.ts";
import { createUuid } from "../../shared/core/ids.ts";
import type { Change } from "../../shared/entities/change.ts";
import { systemClock as clock } from "../../shared/runtime/system-clock.ts";
import { systemRandom as random } from "../../shared/runtime/system-random.ts";
import { UNUSED_KEPT_MS } from "../../shared/store/blob-store.ts";
import { findEntity } from "../../shared/store/entity-store.ts";
import type { UnitOfWork } from "../../shared/store/unit-of-work.ts";
import { encodeChange, encodeItems } from "../../shared/wire/changes-codec.ts";
import { compress } from "../../shared/wire/compression.ts";
import { createTestBlobs, startTestPostgres, type TestDatabase, type TestPostgres } from "../support/postgres.ts";

// The files of entities on an edge: a record is applied when its file is there, and keeps it.

const deps = { clock, random, edgeVersion: "test" };
const tenantId = createUuid(clock, random);
const packageId = createUuid(clock, random);
let postgres: TestPostgres;
let edge: TestDatabase;
let applied = 0;

beforeAll(async () => {
  postgres = await startTestPostgres();
  edge = await postgres.createDatabase("edge");
  await openSite(edge.db);
  const site = { edgeId: createUuid(clock, random), tenantId, name: "Edge", type: "default" };
  await saveSite(edge.db, { ...site, cloudId: createUuid(clock, random), downlinkApplied: 0 });
});
afterAll(() => postgres[Symbol.asyncDispose]());

const work: UnitOfWork = { run: (perform) => edge.db.transaction(async (tx) => (await perform(tx)).result) };

async function apply(change: Change) {
  const { payload, compression } = compress(encodeItems([{ changedMs: clock.nowMs(), changes: [change] }]));
  const batch = { type: "batch", lane: "downlink", firstSeq: applied + 1, count: 1, payload, compression } as const;
  applied += 1;
  return (await applyDownlinks(work, { ...deps, blobs: createTestBlobs(edge) }, [batch])).rejections;
}

function packageSaved({ sha256, bytes }: BlobRef): Change {
  const own = { entityType: "OTA_PACKAGE", id: packageId, tenantId, customerId: null, name: "fw", subtype: "FIRMWARE" };
  const body = { version: "1.0", sha256, dataSize: bytes };
  const record = { ...own, label: null, profileId: null, version: 1, createdMs: 1, body };
  return { kind: "entity-saved", entity: { type: "OTA_PACKAGE", id: packageId }, body: JSON.stringify(record) };
}

test("a package without its file is refused, and taken once that is there", async () => {
  const missing = { sha256: "0".repeat(64), bytes: 10 };
  expect(await apply(packageSaved(missing))).toMatchObject([{ code: "CONTENT_MISSING" }]);
  expect(await findEntity(edge.db, { type: "OTA_PACKAGE", id: packageId })).toBeNull();
  const content = await edge.db.transaction((tx) => createTestBlobs(edge).put(tx, random.bytes(300_000)));
  expect(await apply(packageSaved({ ...content, bytes: content.bytes - 1 }))).toMatchObject([
    { code: "CONTENT_MISSING" },
  ]);
  expect(await apply(packageSaved(content))).toEqual([]);
  expect(await findEntity(edge.db, { type: "OTA_PACKAGE", id: packageId })).toMatchObject({ name: "fw" });
});

test("a file stays for as long as an entity names it, and goes a while after that", async () => {
  const names = async (): Promise<string[]> =>
    (await edge.sql<{ sha256: string }[]>`select sha256 from blob`).map(({ sha256 }) => sha256);
  const unnamed = await edge.db.transaction((tx) => createTestBlobs(edge).put(tx, random.bytes(10)));
  expect(await names()).toHaveLength(2);
  const [later, muchLater] = [clock.nowMs() + UNUSED_KEPT_MS + 60_000, clock.nowMs() + 10 * UNUSED_KEPT_MS];
  expect(await removeUnreferencedBlobs(edge.sql, later)).toBe(1);
  expect(await names()).not.toContain(unnamed.sha256);
  expect(await removeUnreferencedBlobs(edge.sql, muchLater)).toBe(0);
  await apply({ kind: "entity-removed", entity: { type: "OTA_PACKAGE", id: packageId }, deleted: false });
  expect(await removeUnreferencedBlobs(edge.sql, muchLater + UNUSED_KEPT_MS + 60_000)).toBe(1);
  expect(await names()).toEqual([]);
});

test("garbage is collected around putting a change of many megabytes together, and not for others", async () => {
  const entity = { type: "DASHBOARD", id: createUuid(clock, random) };
  let collected = 0;
  const applyLarge = async (size: number): Promise<void> => {
    const own = { entityType: "DASHBOARD", id: entity.id, tenantId, customerId: null, name: "Large", subtype: null };
    const record = { ...own, label: null, profileId: null, version: applied + 1, createdMs: 1, body: {} };
    const body = JSON.stringify({ ...record, content: JSON.stringify("x".repeat(size)) });
    const bytes = encodeChange({ kind: "entity-saved", entity, body });
    const content = await edge.db.transaction((tx) => createTestBlobs(edge).put(tx, bytes));
    const items = [{ changedMs: 1, changes: [{ kind: "large-change" as const, entity, content }] }];
    const batch = { type: "batch", lane: "downlink", firstSeq: applied + 1, count: 1 } as const;
    applied += 1;
    const collectGarbage = (): void => void (collected += 1);
    const applyDeps = { ...deps, blobs: createTestBlobs(edge), collectGarbage };
    expect((await applyDownlinks(work, applyDeps, [{ ...batch, ...compress(encodeItems(items)) }])).rejections).toEqual(
      [],
    );
  };
  await applyLarge(1_500_000);
  expect(collected).toBe(0);
  await applyLarge(5_000_000);
  expect(collected).toBe(2);
});
