import * as z from "zod";
import { readCsv } from "../core/csv.ts";
import { AppError } from "../core/errors.ts";
import type { Uuid } from "../core/ids.ts";
import type { AttributeScope } from "../entities/attributes.ts";
import type { CanonicalJson, TelemetryRecord } from "../entities/telemetry.ts";
import { joinValues, keySetOf, readValue, type AttributeReading } from "../entities/values.ts";

// CSV with a row per entity: what the routes of every kind share. A line that fails is told and does not stop the others.

/** The columns that every kind has. */
const COMMON_COLUMNS = ["NAME", "TYPE", "LABEL", "DESCRIPTION"] as const;
/** Each may be there several times, with different keys. */
export const KEYED_COLUMNS = ["SHARED_ATTRIBUTE", "SERVER_ATTRIBUTE", "TIMESERIES"] as const;

/** Lines of one call; a file with more is cut by who sends it. */
const LINES_MAX = 20_000;
const COLUMNS_MAX = 200;

export const bulkImportInput = z
  .object({
    file: z.string({ error: "The file should be specified!" }).meta({ description: "CSV text" }),
    mapping: z.object({
      columns: z
        .array(z.object({ type: z.string(), key: z.string().nullish() }))
        .min(1, "At least one column should be specified!")
        .max(COLUMNS_MAX, `At most ${COLUMNS_MAX} columns are allowed`),
      delimiter: z.string().length(1, "The delimiter should be one character!").nullish(),
      update: z
        .boolean()
        .nullish()
        .meta({ description: "Whether a name that is there is updated; otherwise it is an error" }),
      header: z.boolean().nullish().meta({ description: "Whether the first line names the columns" }),
    }),
  })
  .meta({ id: "BulkImport" });

export const bulkImportAnswer = z
  .object({ created: z.int(), updated: z.int(), errors: z.int(), errorsList: z.array(z.string()) })
  .meta({ id: "BulkImportResult" });

/** One line of the file. */
export interface ImportRow {
  readonly name: string;
  /** Cells that are empty are not there. */
  readonly cells: ReadonlyMap<string, string>;
  readonly attributes: ReadonlyMap<AttributeScope, readonly AttributeReading[]>;
  /** Of now; empty: none. */
  readonly telemetry: readonly AttributeReading[];
}

export interface ImportDeps {
  /** Creates or updates with the attributes, all or nothing. @throws AppError for what is wrong with the line */
  readonly save: (row: ImportRow, mayUpdate: boolean) => Promise<{ readonly id: Uuid; readonly isNew: boolean }>;
  /** Resolves after the commit. */
  readonly saveTelemetry: (records: readonly TelemetryRecord[]) => Promise<void>;
  readonly nowMs: () => number;
  /** Beside the common ones. */
  readonly columns: readonly string[];
}

/** @throws AppError INVALID_ARGUMENT, INVALID_PAYLOAD for a file or a mapping that can't be read; lines that fail are in the answer */
export async function importCsv(
  { file, mapping }: z.output<typeof bulkImportInput>,
  { columns, nowMs, save, saveTelemetry }: ImportDeps,
): Promise<z.input<typeof bulkImportAnswer>> {
  checkColumns(mapping.columns, columns);
  const result = { created: 0, updated: 0, errors: 0, errorsList: [] as string[] };
  for (const { fields, line } of readLines(file, mapping)) {
    try {
      const row = toRow(fields, mapping.columns);
      const { id, isNew } = await save(row, mapping.update ?? false);
      if (row.telemetry.length > 0) await saveTelemetry([toRecord(id, nowMs(), row.telemetry)]);
      if (isNew) result.created += 1;
      else result.updated += 1;
    } catch (error) {
      const { code, message } = AppError.from(error);
      // Not the line's fault: nothing that follows would do better.
      if (code === "INTERNAL" || code.startsWith("DATABASE_") || code === "DISK_FULL") throw error;
      result.errors += 1;
      result.errorsList.push(`Line ${line}: ${message}`);
    }
  }
  return result;
}

type Mapping = z.output<typeof bulkImportInput>["mapping"];

function checkColumns(columns: Mapping["columns"], ofKind: readonly string[]): void {
  const known: readonly string[] = [...COMMON_COLUMNS, ...ofKind];
  for (const { key, type } of columns) {
    if (!known.includes(type)) {
      const text = `Unsupported column type '${type.slice(0, 64)}': expected one of ${known.join(", ")}`;
      throw new AppError("INVALID_ARGUMENT", text, { field: "mapping.columns" });
    }
    if (isKeyed(type) && (key ?? "").trim() === "")
      throw new AppError("INVALID_ARGUMENT", `A column of type ${type} needs a key`, { field: "mapping.columns" });
  }
  if (!columns.some(({ type }) => type === "NAME"))
    throw new AppError("INVALID_ARGUMENT", "A column of type NAME is needed", { field: "mapping.columns" });
}

function isKeyed(type: string): type is (typeof KEYED_COLUMNS)[number] {
  return (KEYED_COLUMNS as readonly string[]).includes(type);
}

function readLines(
  file: string,
  { delimiter, header }: Mapping,
): readonly { line: number; fields: readonly string[] }[] {
  if (file.includes("\0"))
    throw new AppError("INVALID_ARGUMENT", "Validation error: file should not contain 0x00 symbol", { field: "file" });
  const lines = [...readCsv(file, delimiter ?? ",")].slice(header === true ? 1 : 0);
  if (lines.length <= LINES_MAX) return lines;
  const text = `Too many lines: at most ${LINES_MAX} are allowed, got ${lines.length}`;
  throw new AppError("INVALID_ARGUMENT", text, { field: "file" });
}

function toRow(fields: readonly string[], columns: Mapping["columns"]): ImportRow {
  const cells = new Map<string, string>();
  const attributes = new Map<AttributeScope, AttributeReading[]>();
  const telemetry: AttributeReading[] = [];
  for (const [index, { key, type }] of columns.entries()) {
    const text = fields[index]?.trim() ?? "";
    if (text === "") continue;
    if (!isKeyed(type)) {
      cells.set(type, text);
      continue;
    }
    const reading = { key: key ?? "", value: cellValue(text) };
    if (type === "TIMESERIES") telemetry.push(reading);
    else {
      const scope = type === "SHARED_ATTRIBUTE" ? "SHARED_SCOPE" : "SERVER_SCOPE";
      attributes.set(scope, [...(attributes.get(scope) ?? []), reading]);
    }
  }
  return { name: cells.get("NAME") ?? "", cells, attributes, telemetry };
}

/** Booleans and numbers as such, anything else as text. */
function cellValue(text: string): CanonicalJson {
  return readValue(/^(true|false)$/i.test(text) ? text.toLowerCase() : JSON.stringify(text));
}

function toRecord(entityId: Uuid, tsMs: number, readings: readonly AttributeReading[]): TelemetryRecord {
  const members = new Map(readings.map(({ key, value }) => [key, value]));
  return { entityId, tsMs, values: joinValues(members), keySet: keySetOf(members.keys()) };
}
