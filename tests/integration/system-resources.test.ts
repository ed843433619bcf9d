import { afterAll, beforeAll, expect, test } from "bun:test";
import { createSessionStore } from "../../cloud/sync/session-store.ts";
import { answerDigest } from "../../edge/store/digest-answer.ts";
import { applyDownlinks } from "../../edge/store/downlink-apply.ts";
import { ensureLocalAdmin } from "../../edge/store/first-start.ts";
import { saveSite } from "../../edge/store/site-store.ts";
import { createSha256 } from "../../shared/core/hash.ts";
import { createUuid, type Uuid } from "../../shared/core/ids.ts";
import { silentLog as log } from "../../shared/observe/log.ts";
import { systemRandom as random } from "../../shared/runtime/system-random.ts";
import { createTestBlobs } from "../support/postgres.ts";
import { PASSWORD, plainPasswords, startTestCloud, type TestCloud } from "../support/test-cloud.ts";
import { startTestEdge, type TestEdge } from "../support/test-edge.ts";

// Files of the system on an edge: what the cloud sends is applied there, without a link between them.

const TEXT = "export const answer = 42;";
const DATA = Buffer.from(TEXT).toString("base64");
let cloud: TestCloud;
let edge: TestEdge;
let edgeId: Uuid;
let token: string;
let store: ReturnType<typeof createSessionStore>;
let applied = 0;

beforeAll(async () => {
  cloud = await startTestCloud();
  const { clock } = cloud;
  edge = await startTestEdge(await cloud.createEdgeDatabase(), clock);
  edgeId = (await cloud.call<{ id: { id: Uuid } }>("POST", "/api/edge", { name: "Edge" })).id.id;
  const { db } = edge.database;
  const { tenantId } = cloud.first;
  const cloudId = createUuid(clock, random);
  await saveSite(db, { edgeId, name: "Edge", type: "default", cloudId, downlinkApplied: 0, tenantId });
  const admin = { email: "admin@skerry.local", password: PASSWORD };
  await ensureLocalAdmin(db, { clock, random, passwords: plainPasswords }, { tenantId, ...admin });
  const login = { username: admin.email, password: PASSWORD };
  token = String((await edge.request("POST", "/api/auth/login", { body: login })).json?.["token"]);
  store = createSessionStore({
    db: cloud.database.db,
    sendDb: cloud.database.db,
    cloudId,
    cloudVersion: "test",
    replicaId: cloudId,
    hashEdgeSecret: () => "",
    onDownlinks: () => undefined,
    ends: { store: () => Promise.resolve() },
    clock,
    random,
    log,
    createHasher: createSha256,
    blobBytesMax: 1024,
  });
});
afterAll(() => cloud[Symbol.asyncDispose]());

/** Brings all downlinks to the edge, with the files that they name. @returns what it refused */
async function deliver(): Promise<readonly string[]> {
  const caller = { edgeId, tenantId: cloud.first.tenantId, name: "Edge", type: "default", secretHash: "" };
  const limits = {
    lane: "downlink",
    upToSeq: Infinity,
    itemsMax: 1_000,
    bytesMax: 1_000_000,
    frameBytesMax: 1_000_000,
  } as const;
  const deps = { clock: cloud.clock, random, edgeVersion: "test", blobs: createTestBlobs(edge.database) };
  const refused: string[] = [];
  for (;;) {
    const { batches } = await store.readDownlinks(caller, { afterSeq: applied, ...limits });
    const [batch] = batches;
    if (batch === undefined) return refused;
    for (const blob of batch.blobs ?? []) {
      await deps.blobs.open(blob);
      const bytes = await store.blobs(caller).read({ blob, offset: 0, bytesMax: blob.bytes });
      await deps.blobs.write({ blob, offset: 0, chunks: bytes === null ? [] : [bytes] });
    }
    const { rejections } = await applyDownlinks(edge.unitOfWork, deps, [batch]);
    refused.push(...rejections.map(({ code }) => code));
    applied = batch.firstSeq + batch.count - 1;
  }
}

const onEdge = (path: string) => edge.request("GET", path, { token });

test("a file of the system follows what names it to the edge, beside one of the tenant with its name, and leaves with the last", async () => {
  const file = { resourceType: "JS_MODULE", fileName: "tools.js" };
  const ofSystem = await cloud.request("POST", "/api/resource", {
    body: { ...file, title: "Of all", data: DATA },
    token: cloud.system,
  });
  const link = String(ofSystem.json?.["link"]);
  const own = Buffer.from("own").toString("base64");
  const ofTenant = await cloud.call<{ link: string }>("POST", "/api/resource", { ...file, title: "Own", data: own });
  const newDashboard = async (name: string, ...links: string[]): Promise<string> => {
    const configuration = { modules: links.map((text) => `tb-resource;${text}`) };
    return (await cloud.call<{ id: { id: string } }>("POST", "/api/dashboard", { title: name, configuration })).id.id;
  };
  const both = await newDashboard("Both", link, ofTenant.link);
  const second = await newDashboard("Second", link);
  for (const id of [both, second]) await cloud.call("POST", `/api/edge/${edgeId}/dashboard/${id}`);
  expect(await deliver()).toEqual([]);
  expect((await onEdge(link)).text).toBe(TEXT);
  expect((await onEdge(ofTenant.link)).text).toBe("own");
  const { types } = await store.readDigest(edgeId);
  const files = types.filter(({ entityType }) => entityType === "TB_RESOURCE");
  const diff = await answerDigest(edge.database.db, { type: "digest", round: 1, types: files });
  expect(diff).toMatchObject({ types: [] });

  const { id } = ofSystem.json as { id: { id: string } };
  const renamed = { ...ofSystem.json, title: "Of all, renamed" };
  await cloud.request("POST", "/api/resource", { body: renamed, token: cloud.system });
  expect(await deliver()).toEqual([]);
  expect((await onEdge(`/api/resource/info/${id.id}`)).json).toMatchObject({ title: "Of all, renamed" });
  expect((await edge.request("DELETE", `/api/resource/${id.id}`, { token })).status).toBeGreaterThanOrEqual(403);

  await cloud.call("DELETE", `/api/edge/${edgeId}/dashboard/${both}`);
  expect(await deliver()).toEqual([]);
  expect([(await onEdge(link)).status, (await onEdge(ofTenant.link)).status]).toEqual([200, 404]);
  await cloud.call("DELETE", `/api/edge/${edgeId}/dashboard/${second}`);
  expect(await deliver()).toEqual([]);
  expect((await onEdge(link)).status).toBe(404);
});

test("a file of the system that is made after what names it goes to the edges of each tenant, and is deleted with it", async () => {
  const name = "late.js";
  const configuration = { module: `tb-resource;/api/resource/js_module/system/${name}` };
  const { id } = await cloud.call<{ id: { id: string } }>("POST", "/api/dashboard", { title: "Early", configuration });
  await cloud.call("POST", `/api/edge/${edgeId}/dashboard/${id.id}`);
  const body = { resourceType: "JS_MODULE", fileName: name, title: "Late", data: DATA };
  const made = await cloud.request("POST", "/api/resource", { body, token: cloud.system });
  expect(await deliver()).toEqual([]);
  expect((await onEdge(`/api/resource/js_module/system/${name}`)).text).toBe(TEXT);
  const { id: fileId } = made.json as { id: { id: string } };
  const removed = await cloud.request("DELETE", `/api/resource/${fileId.id}?force=false`, { token: cloud.system });
  expect(removed.json).toMatchObject({ success: false });
  await cloud.request("DELETE", `/api/resource/${fileId.id}?force=true`, { token: cloud.system });
  expect(await deliver()).toEqual([]);
  expect((await onEdge(`/api/resource/js_module/system/${name}`)).status).toBe(404);
});
