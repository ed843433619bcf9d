import type { EventRecord, RestClient } from "./rest-client.ts";
import { waitFor, type WaitOptions } from "./wait-for.ts";

/** What the tests read of `GET /api/edge/{edgeId}/sync`. */
export interface SyncState {
  readonly inProgress: boolean;
  readonly result: {
    readonly time: number;
    readonly complete: boolean;
    readonly missing: number;
    readonly stale: number;
    readonly surplus: number;
    readonly unknown: number;
    readonly lasting: number;
  } | null;
}

/** What the tests read of `GET /api/edge/info/{edgeId}`. */
export interface EdgeInfo {
  readonly status: {
    readonly warning: string | null;
    readonly notice: { readonly text: string } | null;
    readonly downlinksWaiting: number;
    readonly syncInProgress: boolean;
  };
}

export const readEdgeInfo = (cloudApi: RestClient, edgeId: string): Promise<EdgeInfo> =>
  cloudApi.request<EdgeInfo>("GET", `/api/edge/info/${edgeId}`);

export const readSync = (cloudApi: RestClient, edgeId: string): Promise<SyncState> =>
  cloudApi.request<SyncState>("GET", `/api/edge/${edgeId}/sync`);

/** Asks for a comparison and waits until it is done and its downlinks are applied. @returns its result and its downlinks */
export async function syncEdge(
  cloudApi: RestClient,
  edgeId: string,
  { full = false, ...wait }: WaitOptions & { readonly full?: boolean } = {},
): Promise<{ readonly result: NonNullable<SyncState["result"]>; readonly events: readonly EventRecord[] }> {
  const before = (await cloudApi.edgeEvents(edgeId)).length;
  await cloudApi.request("POST", `/api/edge/sync/${edgeId}${full ? "?full=true" : ""}`);
  const result = await waitFor(
    "the comparison to be done",
    async () => {
      const { inProgress, result: last } = await readSync(cloudApi, edgeId);
      const { status } = await readEdgeInfo(cloudApi, edgeId);
      return inProgress || last === null || status.downlinksWaiting > 0 ? false : last;
    },
    wait,
  );
  return { result, events: (await cloudApi.edgeEvents(edgeId)).slice(before) };
}
