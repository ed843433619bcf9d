import type { Clock } from "../../shared/core/clock.ts";
import type { Change } from "../../shared/entities/change.ts";
import {
  isRpcDone,
  rpcAttempts,
  rpcStatus,
  withStep,
  type NewStep,
  type RpcRecord,
} from "../../shared/entities/rpc.ts";
import type { CanonicalJson } from "../../shared/entities/telemetry.ts";
import {
  expireRpcs,
  findDevicesToSendTo,
  findNumberedRpc,
  findRpcsToSend,
  firstRpcDeadlineMs,
  lockRpc,
  moveRpcDeadlines,
  nextRequestNumber,
  putRpc,
  removeOldRpcs,
  rpcSaved,
  type StoredRpc,
} from "../../shared/store/rpc-store.ts";
import type { Outcome, Queryable, UnitOfWork } from "../../shared/store/unit-of-work.ts";
import type { DeviceRpcStore, TakenRpc, TakeOptions } from "../devices/rpc-ports.ts";

export interface DeviceRpcStoreDeps {
  readonly db: Queryable;
  /** The one writer of the edge: what it has begun is over before the next work reads. */
  readonly groupCommit: UnitOfWork;
  readonly clock: Clock;
}

/** Requests to devices in the database of the edge, with what the cloud hears of each step. */
export function createDeviceRpcStore(deps: DeviceRpcStoreDeps): DeviceRpcStore {
  const { db, groupCommit, clock } = deps;
  return {
    findWaiting: () => findDevicesToSendTo(db),
    firstDeadlineMs: () => firstRpcDeadlineMs(db),
    nextNumber: (deviceId) => nextRequestNumber(db, deviceId),
    take: (deviceId, options) =>
      groupCommit.run(async (tx) =>
        takeNext(tx, await findRpcsToSend(tx, deviceId), { ...options, nowMs: clock.nowMs() }),
      ),
    note: ({ id, attempt }, status) =>
      groupCommit.run((tx) => noteAttempt(tx, { id, attempt, status, nowMs: clock.nowMs() })),
    answer: async (deviceId, number, response) => {
      const id = await findNumberedRpc(db, { deviceId, number });
      if (id === null) return;
      await groupCommit.run(async (tx) => {
        const stored = await lockRpc(tx, id);
        const steps = stored === null ? [] : answerSteps(stored.record, response);
        return { result: undefined, changes: await addSteps(tx, { stored, steps, nowMs: clock.nowMs() }) };
      });
    },
    expire: async () => {
      await groupCommit.run((tx) => expireRpcs(tx, clock.nowMs()));
    },
    moveDeadlines: (byMs) => groupCommit.run(async (tx) => ({ result: await moveRpcDeadlines(tx, byMs), changes: [] })),
    removeOld: () => removeOldRpcs(db, clock.nowMs()),
    report: (record) => {
      const change = rpcSaved({ record, deadlineMs: null }, clock.nowMs());
      return groupCommit.run(() => Promise.resolve({ result: undefined, changes: [change] }));
    },
  };
}

async function takeNext(
  tx: Queryable,
  waiting: readonly StoredRpc[],
  { inHand, max, number, nowMs }: TakeOptions & { readonly nowMs: number },
): Promise<Outcome<readonly TakenRpc[]>> {
  const taken: TakenRpc[] = [];
  const changes: Change[] = [];
  for (const stored of waiting) {
    const { record } = stored;
    const deadlineMs = stored.deadlineMs ?? record.expirationMs;
    if (inHand.has(record.id) || deadlineMs <= nowMs) continue;
    if (taken.length === max) break;
    const steps = nextSteps(record);
    const requestNumber = stored.requestNumber ?? number();
    changes.push(...(await addSteps(tx, { stored: { ...stored, requestNumber }, steps, nowMs })));
    const attempt = steps.at(-1);
    if (attempt?.status !== "SENT") continue;
    const { id, method, params } = record;
    taken.push({ id, attempt: attempt.attempt, deadlineMs, request: { number: requestNumber, method, params } });
  }
  return { result: taken, changes };
}

type Steps = readonly Omit<NewStep, "atMs">[];

/** Of an attempt that is under way no more nobody knows how far it came: it counts, and the next one follows. */
function nextSteps(record: RpcRecord): Steps {
  const attempt = rpcAttempts(record);
  const lost = rpcStatus(record) === "SENT" ? lostSteps(record, attempt) : [];
  return lost.some(({ status }) => status === "FAILED") ? lost : [...lost, { status: "SENT", attempt: attempt + 1 }];
}

/** Nobody has acknowledged the attempt. */
function lostSteps({ retries }: RpcRecord, attempt: number): Steps {
  const timeout = { status: "TIMEOUT", attempt } as const;
  return attempt <= retries ? [timeout] : [timeout, { status: "FAILED", attempt: 0, response: UNACKNOWLEDGED }];
}

const UNACKNOWLEDGED = errorText("The device acknowledged no attempt to send it, and none is left");
const UNREADABLE = errorText("The answer of the device is not JSON");

function errorText(text: string): CanonicalJson {
  return JSON.stringify({ error: text }) as CanonicalJson; // compact as it is
}

function answerSteps(record: RpcRecord, response: CanonicalJson | null): Steps {
  const delivered = { status: "DELIVERED", attempt: rpcAttempts(record) } as const;
  if (record.isOneway) return [delivered];
  if (response === null) return [delivered, { status: "FAILED", attempt: 0, response: UNREADABLE }];
  return [delivered, { status: "SUCCESSFUL", attempt: 0, response }];
}

async function noteAttempt(
  tx: Queryable,
  { id, attempt, status, nowMs }: Pick<TakenRpc, "id" | "attempt"> & { status: "DELIVERED" | "TIMEOUT"; nowMs: number },
): Promise<Outcome<boolean>> {
  const stored = await lockRpc(tx, id);
  // An answer that came before its acknowledgement has said more.
  const isKnown = stored === null || stored.record.steps.some((step) => step.status === "DELIVERED");
  if (isKnown || isRpcDone(stored.record)) return { result: false, changes: [] };
  const steps = status === "DELIVERED" ? [{ status, attempt }] : lostSteps(stored.record, attempt);
  const changes = await addSteps(tx, { stored, steps, nowMs });
  return { result: steps.length === 1 && status === "TIMEOUT", changes };
}

async function addSteps(
  tx: Queryable,
  { stored, steps, nowMs }: { readonly stored: StoredRpc | null; readonly steps: Steps; readonly nowMs: number },
): Promise<readonly Change[]> {
  if (stored === null || isRpcDone(stored.record) || steps.length === 0) return [];
  const atMs = Math.round(nowMs);
  const record = steps.reduce<RpcRecord>((before, step) => withStep(before, { ...step, atMs }), stored.record);
  const next = { ...stored, record };
  await putRpc(tx, next, nowMs);
  return [rpcSaved(next, nowMs)];
}
