import { existsSync } from "node:fs";
import { join } from "node:path";
import { PROJECT_ROOT } from "./tools.ts";

/** One row of real measurements. */
export interface Reading {
  /** ms since 1970 UTC. */
  readonly ts: number;
  readonly values: Readonly<Record<string, number | string>>;
}

/** Hourly pressure, temperature and wind of Seattle, from the npm package vega-datasets. */
export const WEATHER_PATH = join(PROJECT_ROOT, "node_modules/vega-datasets/data/seattle-weather-hourly-normals.csv");

/** One office room, minute by minute; lies beside the project, not in it. */
export const OCCUPANCY_PATH = join(PROJECT_ROOT, "../shared/data/occupancy/datatest.txt");

const OFFICE_MINUTES = 2_880;
const OFFICE_START_MS = Date.UTC(2015, 1, 2);

/** The readings of a CSV file with a header, by ascending time, one per moment. @throws Error that names the file and what is wrong */
export async function readReadings(path: string): Promise<Reading[]> {
  try {
    return parseReadings(await Bun.file(path).text());
  } catch (error) {
    throw new Error(`Can't read the readings of ${path}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

/** The readings of OCCUPANCY_PATH as CSV; where the file is absent, two days of the same kind that were made up. */
export async function readOfficeText(): Promise<string> {
  if (existsSync(OCCUPANCY_PATH)) return Bun.file(OCCUPANCY_PATH).text();
  const rows = Array.from({ length: OFFICE_MINUTES }, (_, minute) => {
    const wave = Math.sin(minute / 200);
    const ripple = Math.sin(minute / 3);
    const isLit = minute % 1_440 > 480;
    const co2 = (850 + 400 * wave + 10 * ripple).toFixed(1);
    const values = [
      (22 + 1.5 * wave + 0.05 * ripple).toFixed(2),
      25,
      isLit ? 400 + (minute % 7) : 0,
      co2,
      0.004,
      Number(isLit),
    ];
    const time = new Date(OFFICE_START_MS + minute * 60_000).toISOString().slice(0, 19).replace("T", " ");
    return [minute + 1, time, ...values].join(",");
  });
  return ["date,Temperature,Humidity,Light,CO2,HumidityRatio,Occupancy", ...rows].join("\n");
}

export async function readOffice(): Promise<Reading[]> {
  return parseReadings(await readOfficeText());
}

/**
 * One column is the time, the first whose value in the first row is a date; times without a zone are UTC. Columns that are
 * missing from the header (R writes its row numbers so) lead the row and are left out. Of two rows with one time the later counts.
 */
export function parseReadings(text: string): Reading[] {
  const [header, ...rows] = text
    .split(/\r?\n/)
    .filter((line) => line.trim() !== "")
    .map(splitRow);
  const first = rows[0];
  if (header === undefined || first === undefined) throw new Error("Expected a header and at least one row");
  const unnamed = Math.max(0, first.length - header.length);
  const timeColumn = header.findIndex((_, index) => parseTime(first[index + unnamed] ?? "") !== undefined);
  if (timeColumn < 0) throw new Error(`Expected a column with a date, got ${first.join(", ")}`);

  const readings = new Map<number, Reading>();
  for (const [index, row] of rows.entries()) {
    const cells = row.slice(unnamed);
    const ts = parseTime(cells[timeColumn] ?? "");
    if (ts === undefined) throw new Error(`Expected a date in column ${header[timeColumn]} of row ${index + 1}`);
    const named = header.map((name, column) => [name, parseValue(cells[column] ?? "")] as const);
    const values = Object.fromEntries(named.filter(([, value], column) => column !== timeColumn && value !== ""));
    readings.set(ts, { ts, values });
  }
  return [...readings.values()].toSorted((one, other) => one.ts - other.ts);
}

/**
 * `reading` with every number as a number: by the device convention one with more than 16 digits behind the point is kept
 * as text, so that no digit is lost, and comes back as text.
 */
export function withNumbers({ ts, values }: Reading): Reading {
  const entries = Object.entries(values).map(([key, value]) => [key, parseValue(String(value))] as const);
  return { ts, values: Object.fromEntries(entries) };
}

function splitRow(line: string): string[] {
  const cells = line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g);
  return [...cells].map(([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? "");
}

function parseTime(text: string): number | undefined {
  const match = /^(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d(?::\d\d(?:\.\d+)?)?))?(Z|[+-]\d\d:\d\d)?$/.exec(text.trim());
  if (match === null) return undefined;
  const ts = Date.parse(`${match[1]}T${match[2] ?? "00:00:00"}${match[3] ?? "Z"}`);
  return Number.isNaN(ts) ? undefined : ts;
}

function parseValue(text: string): number | string {
  const trimmed = text.trim();
  return trimmed !== "" && Number.isFinite(Number(trimmed)) ? Number(trimmed) : trimmed;
}
