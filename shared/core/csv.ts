import { AppError } from "./errors.ts";

export interface CsvRecord {
  /** Of its first character, from 1. */
  readonly line: number;
  readonly fields: readonly string[];
}

/**
 * The records of a CSV text, one after the other: fields may stand in double quotes, in which "" is a quote and delimiters and line breaks
 * are text; lines end with LF or CRLF. Empty lines and a byte order mark are passed over.
 *
 * @param delimiter one character
 * @throws AppError INVALID_PAYLOAD for a quote that is not closed
 * @example [...readCsv('a;"b;c"\n', ";")] // [{ line: 1, fields: ["a", "b;c"] }]
 */
export function* readCsv(text: string, delimiter: string): Generator<CsvRecord> {
  let position = text.startsWith("\uFEFF") ? 1 : 0;
  let line = 1;
  while (position < text.length) {
    const record = readRecord(text, position, delimiter);
    if (record === null) throw new AppError("INVALID_PAYLOAD", `Line ${line}: a quoted value is not closed`);
    if (record.fields.length > 1 || record.fields[0] !== "") yield { line, fields: record.fields };
    line += countBreaks(text, position, record.end);
    position = record.end;
  }
}

/** null: a quote is not closed. `end` is behind the line break. */
function readRecord(
  text: string,
  start: number,
  delimiter: string,
): { readonly fields: readonly string[]; readonly end: number } | null {
  const fields: string[] = [];
  let position = start;
  for (;;) {
    const field = text[position] === '"' ? readQuoted(text, position) : { value: "", end: position };
    if (field === null) return null;
    const end = endOfField(text, field.end, delimiter);
    fields.push(field.value + text.slice(field.end, end));
    if (text[end] === delimiter) {
      position = end + 1;
      continue;
    }
    return { fields, end: text.startsWith("\r\n", end) ? end + 2 : end + 1 };
  }
}

function readQuoted(text: string, start: number): { readonly value: string; readonly end: number } | null {
  let value = "";
  let position = start + 1;
  for (;;) {
    const quote = text.indexOf('"', position);
    if (quote === -1) return null;
    value += text.slice(position, quote);
    if (text[quote + 1] !== '"') return { value, end: quote + 1 };
    value += '"';
    position = quote + 2;
  }
}

function endOfField(text: string, start: number, delimiter: string): number {
  let end = start;
  while (end < text.length && text[end] !== delimiter && text[end] !== "\n" && !text.startsWith("\r\n", end)) end += 1;
  return end;
}

function countBreaks(text: string, start: number, end: number): number {
  let count = 0;
  for (let at = text.indexOf("\n", start); at !== -1 && at < end; at = text.indexOf("\n", at + 1)) count += 1;
  return count;
}
