import type { Reading } from "../support/readings.ts";
import { checkOf, FIRST_TS_MS } from "./load.ts";
import type { Noted } from "./witness.ts";

/** What one device handed in. */
export interface Claim {
  readonly deviceId: string;
  readonly name: string;
  /** Messages 0 to attempted - 1. */
  readonly attempted: number;
  readonly acked: ReadonlySet<number>;
}

/** What was found at the end. */
export interface Evidence {
  readonly claims: readonly Claim[];
  /** Rows of each device on the edge and in the cloud, by device id. */
  readonly edge: ReadonlyMap<string, readonly Reading[]>;
  readonly cloud: ReadonlyMap<string, readonly Reading[]>;
  readonly outbox: readonly Noted[];
  readonly witness: readonly Noted[];
  /** Whether the edge sends all telemetry in the order of its commits. */
  readonly isSentInOrder: boolean;
}

export interface Finding {
  readonly attempted: number;
  readonly acknowledged: number;
  /** Messages that both ends hold. */
  readonly final: number;
  /** Acknowledged, but missing on one end. */
  readonly lost: number;
  /** On one end, but not on the other. */
  readonly apart: number;
  /** There, but never attempted, or with other values. */
  readonly unknown: number;
  /** Rows of a message that is there once already, and records that the cloud applied more often than the edge committed them. */
  readonly twice: number;
  /** Messages that the edge committed or the cloud applied for the first time behind a later one of the same device. */
  readonly disordered: number;
  /** The first of each kind, for people. */
  readonly examples: readonly string[];
}

const EXAMPLES_MAX = 12;

/** Attempted, acknowledged, final: acknowledged is in final, final is in attempted, nothing is there twice, each device's order is kept. */
export function checkEvidence(evidence: Evidence): Finding {
  const sum = { attempted: 0, acknowledged: 0, final: 0, lost: 0, apart: 0, unknown: 0, twice: 0 };
  const examples: string[] = [];
  const note = (text: string): void => void (examples.length < EXAMPLES_MAX && examples.push(text));
  for (const claim of evidence.claims) {
    const sides = [
      readSide(claim, evidence.edge.get(claim.deviceId) ?? [], (text) => note(`edge: ${text}`)),
      readSide(claim, evidence.cloud.get(claim.deviceId) ?? [], (text) => note(`cloud: ${text}`)),
    ] as const;
    const [edge, cloud] = sides;
    sum.attempted += claim.attempted;
    sum.acknowledged += claim.acked.size;
    sum.final += edge.held.intersection(cloud.held).size;
    sum.apart += edge.held.symmetricDifference(cloud.held).size;
    for (const side of sides) {
      sum.unknown += side.unknown;
      sum.twice += side.twice;
    }
    for (const n of claim.acked) {
      if (edge.held.has(n) && cloud.held.has(n)) continue;
      sum.lost += 1;
      note(`${claim.name} ${n} was acknowledged; edge ${edge.held.has(n)}, cloud ${cloud.held.has(n)}`);
    }
  }
  const repeated = countRepeated(evidence, note);
  const disordered =
    countDisordered(evidence.outbox, (text) => note(`outbox: ${text}`)) +
    (evidence.isSentInOrder ? countDisordered(evidence.witness, (text) => note(`cloud: ${text}`)) : 0);
  return { ...sum, twice: sum.twice + repeated, disordered, examples };
}

interface Side {
  readonly held: ReadonlySet<number>;
  readonly unknown: number;
  readonly twice: number;
}

function readSide(claim: Claim, rows: readonly Reading[], note: (text: string) => void): Side {
  const held = new Set<number>();
  let [unknown, twice] = [0, 0];
  for (const { ts, values } of rows) {
    const n = ts - FIRST_TS_MS;
    const isRight = n >= 0 && n < claim.attempted && values["n"] === n && values["check"] === checkOf(n);
    if (!isRight) {
      unknown += 1;
      note(`${claim.name} holds ${JSON.stringify(values)} at ${n}, of ${claim.attempted} attempted`);
    } else if (held.has(n)) {
      twice += 1;
      note(`${claim.name} ${n} is there twice`);
    } else held.add(n);
  }
  return { held, unknown, twice };
}

/** A device may repeat a message, so the edge may have committed it twice; the cloud applies each commit once. */
function countRepeated({ outbox, witness }: Evidence, note: (text: string) => void): number {
  const committed = countEach(outbox);
  let repeated = 0;
  for (const [key, applied] of countEach(witness)) {
    const expected = committed.get(key) ?? 0;
    if (applied <= expected) continue;
    repeated += applied - expected;
    note(`the cloud applied ${key} ${applied} times, the edge committed it ${expected} times`);
  }
  return repeated;
}

function countEach(noted: readonly Noted[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { deviceId, n } of noted) {
    const key = `${deviceId} ${n}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}

function countDisordered(noted: readonly Noted[], note: (text: string) => void): number {
  const newest = new Map<string, number>();
  const seen = new Set<string>();
  let disordered = 0;
  for (const { deviceId, n } of noted) {
    const key = `${deviceId} ${n}`;
    if (seen.has(key)) continue;
    seen.add(key);
    const before = newest.get(deviceId) ?? -1;
    if (n < before) {
      disordered += 1;
      note(`${deviceId} ${n} came behind ${before}`);
    }
    newest.set(deviceId, Math.max(before, n));
  }
  return disordered;
}
