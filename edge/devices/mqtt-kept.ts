import type { Uuid } from "../../shared/core/ids.ts";

// What MQTT keeps of a device while it is not connected, and what it needs of a store for that.

/** What is published for a device whose connection ends without DISCONNECT. */
export interface Will {
  readonly topic: string;
  readonly payload: Uint8Array;
  /** Time after the end in which a new connection of the session prevents it. */
  readonly delayS: number;
}

export interface KeptSession {
  readonly deviceId: Uuid;
  readonly deviceName: string;
  readonly isGateway: boolean;
  readonly clientId: string;
  /** 0: nothing but the will is kept. */
  readonly expiryS: number;
  /** With their QoS, in the order in which they were subscribed. */
  readonly filters: readonly (readonly [filter: string, qos: number])[];
  readonly unreleased: readonly number[];
  readonly sentSeq: number;
  readonly will: Will | null;
}

/** A message of QoS 1 to a device. */
export interface KeptMessage {
  readonly deviceId: Uuid;
  /** Grows with each message of the device. */
  readonly seq: number;
  readonly topic: string;
  readonly payload: string;
}

/** Applied in this order, in one transaction. */
export interface KeptChanges {
  /** With their messages. */
  readonly removed: readonly Uuid[];
  readonly saved: readonly KeptSession[];
  readonly delivered: readonly { readonly deviceId: Uuid; readonly seq: number }[];
  /** Only of sessions that are there. */
  readonly added: readonly KeptMessage[];
}

export interface KeptSessionStore {
  readAll(): Promise<{
    readonly sessions: readonly KeptSession[];
    readonly messages: readonly (Pick<KeptMessage, "deviceId" | "seq"> & { readonly bytes: number })[];
  }>;
  /** In the order of their numbers. */
  readMessages(deviceId: Uuid): Promise<KeptMessage[]>;
  write(changes: KeptChanges): Promise<void>;
}
