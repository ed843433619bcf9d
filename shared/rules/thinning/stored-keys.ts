import type { CanonicalJson, TelemetryPoint } from "../../entities/telemetry.ts";
import type { KeyState } from "./key-thinner.ts";

// States of keys as they are stored, which is with each of their values: what says nothing is left out.

type StoredPoint = readonly [tsMs: number, value: CanonicalJson];

/** JSON. */
export interface StoredKey extends Partial<
  Pick<KeyState, "sentAtMs" | "window" | "closedMs" | "held" | "notBeforeMs">
> {
  readonly newest: StoredPoint;
  /** null: none was; absent: the newest. */
  readonly sent?: StoredPoint | null;
}

export function storeKey({ newest, sent, ...more }: KeyState): StoredKey {
  const isNewest = sent !== null && sent.tsMs === newest.tsMs && sent.value === newest.value;
  return {
    newest: [newest.tsMs, newest.value],
    ...(isNewest ? {} : { sent: sent === null ? null : ([sent.tsMs, sent.value] as const) }),
    ...(more.sentAtMs === 0 ? {} : { sentAtMs: Math.round(more.sentAtMs) }),
    ...(more.window === null ? {} : { window: more.window }),
    ...(more.closedMs === null ? {} : { closedMs: more.closedMs }),
    ...(more.held === null ? {} : { held: more.held }),
    ...(more.notBeforeMs === 0 ? {} : { notBeforeMs: more.notBeforeMs }),
  };
}

export function readKey({ newest, sent, ...more }: StoredKey): KeyState {
  return {
    newest: pointOf(newest),
    sent: sent === undefined ? pointOf(newest) : sent === null ? null : pointOf(sent),
    sentAtMs: more.sentAtMs ?? 0,
    window: more.window ?? null,
    closedMs: more.closedMs ?? null,
    held: more.held ?? null,
    notBeforeMs: more.notBeforeMs ?? 0,
  };
}

function pointOf([tsMs, value]: StoredPoint): TelemetryPoint {
  return { tsMs, value };
}
