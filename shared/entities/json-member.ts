/**
 * The text of a member of a JSON object, as it is written: order of keys, spaces and forms of numbers stay. Of members with one name
 * the last, as with JSON.parse.
 *
 * @param text JSON that was parsed already: an object
 */
export function rawMember(text: string, name: string): string | undefined {
  let found: string | undefined;
  let position = skipSpace(text, 0) + 1;
  for (;;) {
    position = skipSpace(text, position);
    if (text.charAt(position) !== '"') return found;
    const keyEnd = skipString(text, position);
    const key: unknown = JSON.parse(text.slice(position, keyEnd));
    const start = skipSpace(text, skipSpace(text, keyEnd) + 1);
    const end = skipValue(text, start);
    if (key === name) found = text.slice(start, end);
    position = skipSpace(text, end);
    if (text.charAt(position) !== ",") return found;
    position += 1;
  }
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

function skipSpace(text: string, from: number): number {
  let position = from;
  while (text.charCodeAt(position) <= 0x20) position += 1;
  return position;
}

function skipString(text: string, from: number): number {
  let position = from + 1;
  for (;;) {
    const code = text.charCodeAt(position);
    if (code === QUOTE) return position + 1;
    position += code === BACKSLASH ? 2 : 1;
  }
}

/** A number or word ends at what can't be part of it; objects and arrays where as many are closed as were opened. */
function skipValue(text: string, from: number): number {
  let depth = 0;
  let position = from;
  for (;;) {
    const character = text.charAt(position);
    if (character === '"') position = skipString(text, position);
    else {
      if (character === "{" || character === "[") depth += 1;
      if (character === "}" || character === "]") depth -= 1;
      position += 1;
    }
    if (depth > 0) continue;
    const next = text.charCodeAt(position);
    const isEnd = Number.isNaN(next) || next <= 0x20 || next === 0x2c || next === 0x7d || next === 0x5d;
    if (isEnd) return position;
  }
}
