import type { Uuid } from "../../shared/core/ids.ts";
import type { RpcRecord } from "../../shared/entities/rpc.ts";
import type { CanonicalJson } from "../../shared/entities/telemetry.ts";
import type { AuthenticatedDevice } from "./ports.ts";

// Requests between devices and the server, as the device protocols see them.

/** A request to a device. */
export interface RpcToDevice {
  /** The device names it in its answer. */
  readonly number: number;
  readonly method: string;
  readonly params: CanonicalJson;
}

/** A connection over which a device takes requests. */
export interface RpcReceiver {
  /** Whether it takes one request and is over then, as a long poll is. */
  readonly isOnce: boolean;
  /** Sends the request. True: the device has acknowledged it; false: it has not, and will not. Never rejects. */
  deliver(request: RpcToDevice): Promise<boolean>;
}

/** The way of requests to devices. */
export interface DeviceRpcs {
  /**
   * What waits for the device is sent over this connection, and what comes from now on, until the function that is returned is called.
   * A device may have several: all of them get each request, and the first answer counts.
   */
  receive(deviceId: Uuid, receiver: RpcReceiver): () => void;
  /** What the device answers. Resolves when it is stored, if it is to be; a number that nobody knows is passed over. */
  answer(deviceId: Uuid, number: number, text: string): Promise<void>;
}

/** A request of a device to the server. */
export interface DeviceQuestion {
  readonly method: string;
  readonly params: CanonicalJson;
}

/** Somebody who answers requests of devices, such as a rule. */
export interface QuestionAnswerer {
  /** undefined: it is for somebody else. */
  answer(device: AuthenticatedDevice, question: DeviceQuestion): Promise<CanonicalJson> | undefined;
}

export interface DeviceQuestions {
  /** The answer, `{"error":"timeout"}` when nobody gave one in time. @throws AppError TOO_MANY_REQUESTS */
  ask(device: AuthenticatedDevice, question: DeviceQuestion): Promise<CanonicalJson>;
}

/** What of requests to devices is kept on the edge. Each promise resolves after the commit. */
export interface DeviceRpcStore {
  /** Devices with requests that may have to be sent. */
  findWaiting(): Promise<readonly Uuid[]>;
  /** When the first of all requests expires; null: there is none. */
  firstDeadlineMs(): Promise<number | null>;
  /** Above those of all requests that are kept. */
  nextNumber(deviceId: Uuid): Promise<number>;
  /** Begins the next attempt for what waits, the oldest first: who sends it has to have it on disk before. */
  take(deviceId: Uuid, options: TakeOptions): Promise<readonly TakenRpc[]>;
  /** How an attempt went. @returns whether another one follows */
  note(taken: TakenRpc, status: "DELIVERED" | "TIMEOUT"): Promise<boolean>;
  /** @param response null: the device's answer is no JSON */
  answer(deviceId: Uuid, number: number, response: CanonicalJson | null): Promise<void>;
  expire(): Promise<void>;
  /** The wall clock jumped by so much: what waits has the same time left as before. */
  moveDeadlines(byMs: number): Promise<void>;
  /** Removes what came to its end long ago. @returns how many */
  removeOld(): Promise<number>;
  /** Tells the cloud what came of a request that is not kept here. */
  report(record: RpcRecord): Promise<void>;
}

export interface TakeOptions {
  /** Requests of which an attempt is under way. */
  readonly inHand: ReadonlySet<Uuid>;
  readonly max: number;
  /** Gives the next number. */
  readonly number: () => number;
}

export interface TakenRpc {
  readonly id: Uuid;
  readonly attempt: number;
  /** From then on it is not sent any more. */
  readonly deadlineMs: number;
  readonly request: RpcToDevice;
}
