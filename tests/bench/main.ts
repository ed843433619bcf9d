/**
 * `bun run bench [NAME...] [--quick] [--runs N]`: all measures, or those named. The first line is the machine with its
 * versions, then a line per measure: `{"measure":NAME,"value":N,"unit":U,"runs":[...]}`, the value being the median of the runs.
 */
import { parseArgs } from "node:util";
import { ensureEdgeBinary } from "../support/edge-binary.ts";
import { aggregateDay } from "./aggregate-day.ts";
import { assign } from "./assign.ts";
import { binarySizeArm64 } from "./binary-size-arm64.ts";
import { compression } from "./compression.ts";
import { digest } from "./digest.ts";
import { drainMillion } from "./drain-million.ts";
import { drainMosquittoBridge } from "./drain-mosquitto-bridge.ts";
import { drainRatio } from "./drain-ratio.ts";
import { drain } from "./drain.ts";
import { edgeIdlePss } from "./edge-idle-pss.ts";
import { ingestHttp, ingestMqttQos1 } from "./ingest.ts";
import { describeMachine } from "./machine.ts";
import { median, type Measure } from "./measure.ts";
import { mqtt2000 } from "./mqtt-2000.ts";
import { page100k } from "./page-100k.ts";
import { reactP99 } from "./react.ts";
import { reconnectIdle } from "./reconnect-idle.ts";
import { rules200, rulesCost } from "./rules.ts";
import { start, startBacklog } from "./start.ts";
import { backlogBytes, diskBytes } from "./storage.ts";
import { wireBytes } from "./wire-bytes.ts";

const MEASURES: readonly Measure[] = [
  ingestMqttQos1,
  ingestHttp,
  mqtt2000,
  drain,
  drainMillion,
  drainRatio,
  drainMosquittoBridge,
  wireBytes,
  compression,
  assign,
  reconnectIdle,
  digest,
  aggregateDay,
  page100k,
  reactP99,
  rulesCost,
  rules200,
  edgeIdlePss,
  start,
  startBacklog,
  backlogBytes,
  diskBytes,
  binarySizeArm64,
];
const RUNS = 3;

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    options: { quick: { type: "boolean", default: false }, runs: { type: "string", default: String(RUNS) } },
    allowPositionals: true,
  });
  const runs = Number(values.runs);
  if (!Number.isInteger(runs) || runs < 1)
    throw new Error(`Expected a whole number above 0 for --runs, got ${values.runs}`);
  const measures = selectMeasures(positionals);
  console.log(JSON.stringify({ machine: describeMachine() }));
  await ensureEdgeBinary();
  for (const measure of measures) {
    for (const line of await runMeasure(measure, runs, values.quick)) {
      const isWanted = positionals.length === 0 || positionals.includes(line.measure);
      if (isWanted) console.log(JSON.stringify(line));
    }
  }
}

function selectMeasures(names: readonly string[]): readonly Measure[] {
  const known = MEASURES.flatMap(({ figures }) => Object.keys(figures));
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0) throw new Error(`Expected names out of ${known.join(", ")}, got ${unknown.join(", ")}`);
  if (names.length === 0) return MEASURES;
  return MEASURES.filter(({ figures }) => Object.keys(figures).some((name) => names.includes(name)));
}

interface ResultLine {
  readonly measure: string;
  readonly value: number;
  readonly unit: string;
  readonly runs: readonly number[];
}

/** Said in the output, not passed over. */
interface UnavailableLine {
  readonly measure: string;
  readonly unavailable: string;
}

async function runMeasure(
  measure: Measure,
  runs: number,
  quick: boolean,
): Promise<readonly (ResultLine | UnavailableLine)[]> {
  const unavailable = measure.unavailable?.() ?? null;
  if (unavailable !== null) return Object.keys(measure.figures).map((name) => ({ measure: name, unavailable }));
  await measure.prepare?.();
  const results: Readonly<Record<string, number>>[] = [];
  for (let run = 0; run < runs; run += 1) results.push(await measure.runOnce({ quick }));
  return Object.entries(measure.figures).map(([name, unit]) => {
    const values = results.map((result) => result[name] ?? Number.NaN);
    return { measure: name, value: round(median(values)), unit, runs: values.map(round) };
  });
}

/** Three digits are more than two runs have in common. */
function round(value: number): number {
  return Number(value.toPrecision(value >= 1000 ? 5 : 3));
}

await main();
