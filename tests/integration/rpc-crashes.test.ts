import { afterAll, beforeAll, expect, test } from "bun:test";
import { createDeviceRpcs } from "../../edge/devices/device-rpcs.ts";
import type { RpcToDevice } from "../../edge/devices/rpc-ports.ts";
import { createDeviceRpcStore } from "../../edge/store/device-rpc-store.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { silentLog } from "../../shared/observe/log.ts";
import type { UnitOfWork } from "../../shared/store/unit-of-work.ts";
import { startTestCloud, type TestCloud } from "../support/test-cloud.ts";
import { openTestSite, type TestSite } from "../support/test-site.ts";
import { waitFor } from "../support/wait-for.ts";

// The edge ends before or after any of its commits, while a device carries out a request: no attempt reaches it twice, and both sides
// tell one story in the end.

let cloud: TestCloud;
let site: TestSite;
beforeAll(async () => {
  cloud = await startTestCloud();
  site = await openTestSite(cloud, "Pump 4");
});
afterAll(() => cloud[Symbol.asyncDispose]());

interface Rpc {
  readonly status: string;
  readonly response: unknown;
  readonly trail: readonly { readonly status: string; readonly attempt: number }[];
}

const RETRIES = 1;
/** Commits of a request that goes well: the attempt, its acknowledgement, the answer. */
const COMMITS = 3;

/** Lives until its commit number `endsAt`, which is made or not. */
function startEdge(
  deviceId: Uuid,
  { endsAt, isCommitted }: { readonly endsAt: number; readonly isCommitted: boolean },
) {
  const received: RpcToDevice[] = [];
  let commits = 0;
  let isOver = false;
  let working = 0;
  const never = new Promise<never>(() => undefined);
  const during = async <T>(work: Promise<T>): Promise<T> => {
    working += 1;
    return work.finally(() => (working -= 1));
  };
  const groupCommit: UnitOfWork = {
    run: async (work) => {
      if (isOver) return never;
      commits += 1;
      if (commits < endsAt) return during(site.edge.unitOfWork.run(work));
      isOver = true;
      if (isCommitted) await site.edge.unitOfWork.run(work);
      return never;
    },
  };
  const { clock } = cloud;
  const store = createDeviceRpcStore({ db: site.edge.database.db, groupCommit, clock });
  const rpcs = createDeviceRpcs({ store, clock, log: silentLog });
  const running = new AbortController();
  void rpcs.run(running.signal);
  rpcs.receive(deviceId, {
    isOnce: false,
    deliver: async (request) => {
      if (isOver) return never;
      received.push(request);
      // Behind its acknowledgement, as a device does.
      queueMicrotask(() => void during(rpcs.answer(deviceId, request.number, '{"done":true}')));
      return true;
    },
  });
  return {
    received,
    get isOver() {
      return isOver;
    },
    get isIdle() {
      return working === 0;
    },
    end: () => {
      isOver = true;
      running.abort();
    },
  };
}

const endings = Array.from({ length: COMMITS }, (_, index) => index + 1).flatMap((endsAt) => [
  { endsAt, isCommitted: false },
  { endsAt, isCommitted: true },
]);

test.each(endings)("an edge that ends at %p", async (ending) => {
  const name = `Valve ${ending.endsAt} ${ending.isCommitted}`;
  const deviceId = (await cloud.call<{ id: { id: Uuid } }>("POST", "/api/device", { name })).id.id;
  await cloud.call("POST", `/api/edge/${site.edgeId}/device/${deviceId}`);
  const body = { method: "open", params: {}, persistent: true, retries: RETRIES, timeout: 600_000 };
  const { rpcId } = await cloud.call<{ rpcId: Uuid }>("POST", `/api/rpc/twoway/${deviceId}`, body);
  await site.sync();
  const read = (): Promise<Rpc> => site.call<Rpc>("GET", `/api/rpc/persistent/${rpcId}`);

  const first = startEdge(deviceId, ending);
  await waitFor("the edge to end", () => first.isOver);
  first.end();
  const second = startEdge(deviceId, { endsAt: Infinity, isCommitted: true });
  // The answer that was lost with the edge is not given once more.
  const isDone = async (): Promise<boolean> => ["SUCCESSFUL", "DELIVERED"].includes((await read()).status);
  await waitFor("the request to be done", async () => (await isDone()) && second.isIdle && (await isDone()));
  second.end();

  await site.sync();
  const [here, there] = [await read(), await cloud.call<Rpc>("GET", `/api/rpc/persistent/${rpcId}`)];
  expect(there).toEqual(here);
  const sent = here.trail.filter(({ status }) => status === "SENT");
  const carriedOut = first.received.length + second.received.length;
  expect(carriedOut).toBeLessThanOrEqual(sent.length);
  expect(sent.length).toBeLessThanOrEqual(1 + RETRIES);
  expect(new Set(sent.map(({ attempt }) => attempt)).size).toBe(sent.length);
});
