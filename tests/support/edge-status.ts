import type { EdgeProcess } from "./processes.ts";
import { waitFor, type WaitOptions } from "./wait-for.ts";

export interface LaneStatus {
  readonly nextSeq: number;
  readonly ackedSeq: number;
  readonly backlogItems: number;
  readonly backlogBytes: number;
}

/** What the tests read of the edge's `/status`. */
export interface EdgeStatus {
  /** Null: it can't be told. */
  readonly sync: {
    readonly state: string;
    readonly reasons: readonly { readonly code: string }[];
    readonly nextAttemptTime: number | null;
  } | null;
  readonly link: {
    readonly state: string;
    readonly session: number | null;
    readonly reason: { readonly code: string } | null;
  };
  readonly lanes: { readonly config: LaneStatus; readonly telemetry: LaneStatus };
  readonly database: { readonly state: string };
}

export async function readEdgeStatus(edge: EdgeProcess): Promise<EdgeStatus> {
  const response = await fetch(`${edge.addresses.http}/status`);
  return (await response.json()) as EdgeStatus;
}

export async function isConnected(edge: EdgeProcess): Promise<boolean> {
  return (await readEdgeStatus(edge)).link.state === "live";
}

/** Until the edge holds a session with the cloud. */
export async function waitForLink(edge: EdgeProcess, options: WaitOptions = {}): Promise<void> {
  await waitFor("the edge to be connected", () => isConnected(edge), options);
}

/** Until the cloud has acknowledged everything that the edge holds for it. */
export async function waitForDrain(edge: EdgeProcess, options: WaitOptions = {}): Promise<void> {
  const isDrained = async (): Promise<boolean> => {
    const { lanes } = await readEdgeStatus(edge);
    return lanes.config.backlogItems === 0 && lanes.telemetry.backlogItems === 0;
  };
  await waitFor("the edge to have sent everything", isDrained, options);
}
