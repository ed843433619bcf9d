import { readCsv } from "../../core/csv.ts";
import { AppError } from "../../core/errors.ts";
import { createUuid } from "../../core/ids.ts";
import { parseTime } from "../../core/iso-time.ts";
import type { Random } from "../../core/random.ts";
import type { ChainMessage } from "./message.ts";

const TIME_COLUMNS: ReadonlySet<string> = new Set(["ts", "time", "date", "datetime", "timestamp"]);
const DELIMITERS = [",", ";", "\t"] as const;

/**
 * Telemetry of one device out of a CSV text with a heading: a column ts, time, date or timestamp (ms since 1970, or ISO 8601, UTC without an
 * offset), every other column a key. Rows with one field more than the heading begin with their number. In the order of time.
 *
 * @throws AppError INVALID_PAYLOAD that names the line
 */
export function readHistoryCsv(
  text: string,
  { originator, metadata, random }: Pick<ChainMessage, "originator" | "metadata"> & { readonly random: Random },
): readonly ChainMessage[] {
  const [first = ""] = text.split("\n", 1);
  const delimiter = DELIMITERS.reduce((best, one) => (count(first, one) > count(first, best) ? one : best));
  const [heading, ...rows] = [...readCsv(text, delimiter)];
  const names = heading?.fields.map((name) => name.trim()) ?? [];
  const timeColumn = names.findIndex((name) => TIME_COLUMNS.has(name.toLowerCase()));
  if (timeColumn === -1) {
    throw new AppError("INVALID_PAYLOAD", `The heading names no column of the time: ${[...TIME_COLUMNS].join(", ")}`);
  }
  const messages = rows.map(({ line, fields: all }) => {
    const fields = all.length === names.length + 1 ? all.slice(1) : all;
    const tsMs = timeOfField(fields[timeColumn] ?? "");
    if (fields.length > names.length || tsMs === undefined) {
      throw new AppError(
        "INVALID_PAYLOAD",
        `Line ${line}: expected ${names.length} fields, with a time in ${names[timeColumn] ?? ""}`,
      );
    }
    const values = fields.flatMap((field, index) =>
      index === timeColumn || field.trim() === ""
        ? []
        : [`${JSON.stringify(names[index] ?? "")}:${jsonOf(field.trim())}`],
    );
    return messageOf({ tsMs, data: `{${values.join(",")}}` }, { originator, metadata, random });
  });
  return messages.toSorted((one, other) => one.tsMs - other.tsMs);
}

export function messageOf(
  { tsMs, data }: Pick<ChainMessage, "tsMs" | "data">,
  { originator, metadata, random }: Pick<ChainMessage, "originator" | "metadata"> & { readonly random: Random },
): ChainMessage {
  return {
    id: createUuid({ nowMs: () => tsMs }, random),
    type: "POST_TELEMETRY_REQUEST",
    originator,
    tsMs,
    data,
    metadata: { ...metadata, ts: String(tsMs) },
    callers: [],
  };
}

function timeOfField(field: string): number | undefined {
  return /^\d{10,15}$/.test(field.trim()) ? Number(field) : parseTime(field);
}

/** Numbers and truth values as they stand, so that no digit changes. */
function jsonOf(field: string): string {
  return /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$|^(true|false)$/.test(field) ? field : JSON.stringify(field);
}

function count(text: string, part: string): number {
  return text.split(part).length - 1;
}
