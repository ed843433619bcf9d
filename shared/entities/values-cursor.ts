import { AppError } from "../core/errors.ts";
import type { CanonicalJson } from "./telemetry.ts";

/** Says what is wrong with the text of a number, or undefined. */
export type NumberCheck = (lexeme: string) => string | undefined;

/** Nesting of objects and arrays inside a value. */
const DEPTH_MAX = 64;

const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?/y;
const WHITESPACE = /[ \t\n\r]*/y;
// oxlint-disable-next-line no-control-regex -- JSON forbids exactly these in strings
const PLAIN_CHARACTERS = /[^"\\\u0000-\u001f]*/y;
const LITERAL = /true|false|null/y;

/**
 * A strict reader of JSON text (RFC 8259) that sees numbers as they are written. It does not recurse: nesting is counted,
 * and limited to DEPTH_MAX inside a value. It also refuses what PostgreSQL's jsonb can't hold: \u0000 and half surrogate pairs.
 */
export class JsonCursor {
  readonly #text: string;
  position = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** The next character that is not whitespace, "" at the end; moves to it. */
  peek(): string {
    const code = this.#text.charCodeAt(this.position);
    if (code === 0x20 || (code >= 0x09 && code <= 0x0d)) this.position = this.#endOf(WHITESPACE);
    return this.#text.charAt(this.position);
  }

  expectEnd(): void {
    if (this.peek() !== "") throw this.error("the end of the text");
  }

  /** An error for what is at `at`: a place and one character, never the payload. @default at the position */
  error(expected: string, at: number = this.position): AppError {
    const current = at < this.#text.length ? JSON.stringify(this.#text.charAt(at)) : "the end";
    return new AppError("INVALID_PAYLOAD", `Expected ${expected} at position ${at}, got ${current}`);
  }

  /** Calls `read` with the cursor at each value of the object; `read` has to step over it. */
  eachMember(read: (key: string) => void): void {
    this.#expect("{", "an object");
    if (this.peek() === "}") {
      this.position += 1;
      return;
    }
    for (;;) {
      read(this.#readKey());
      if (!this.#more("}")) return;
    }
  }

  /** Calls `read` with the cursor at each element of the array; `read` has to step over it. */
  eachElement(read: () => void): void {
    this.#expect("[", "an array");
    if (this.peek() === "]") {
      this.position += 1;
      return;
    }
    for (;;) {
      read();
      if (!this.#more("]")) return;
    }
  }

  /** The content of a string. */
  readString(): string {
    return this.#unquote(this.#readQuoted());
  }

  /** The text of a number as it is written. */
  readNumber(): string {
    this.peek();
    return this.#take(NUMBER);
  }

  /** Any value without whitespace, its numbers as they are written, its strings with the fewest escapes. */
  compactValue(check: NumberCheck): CanonicalJson {
    const closers: string[] = [];
    let text = "";
    for (;;) {
      const first = this.peek();
      if (first === "{" || first === "[") {
        if (closers.length === DEPTH_MAX) throw this.error(`at most ${DEPTH_MAX} levels of nesting`);
        this.position += 1;
        const closer = first === "{" ? "}" : "]";
        text += first;
        if (this.peek() === closer) {
          this.position += 1;
          text += closer;
        } else {
          closers.push(closer);
          if (closer === "}") text += `${JSON.stringify(this.#readKey())}:`;
          continue;
        }
      } else {
        text += this.#readScalar(first, check);
      }
      // A value is complete: close what ends here, or go on behind the comma.
      for (;;) {
        const closer = closers.at(-1);
        if (closer === undefined) return text as CanonicalJson;
        if (this.#more(closer)) {
          text += closer === "}" ? `,${JSON.stringify(this.#readKey())}:` : ",";
          break;
        }
        closers.pop();
        text += closer;
      }
    }
  }

  #readScalar(first: string, check: NumberCheck): string {
    if (first === '"') {
      const quoted = this.#readQuoted();
      return quoted.includes("\\") ? JSON.stringify(this.#unquote(quoted)) : quoted;
    }
    if (first === "t" || first === "f" || first === "n") {
      return this.#take(LITERAL);
    }
    const at = this.position;
    const lexeme = this.readNumber();
    const wrong = check(lexeme);
    if (wrong !== undefined) throw this.error(wrong, at);
    return lexeme;
  }

  #readKey(): string {
    if (this.peek() !== '"') throw this.error("a key in double quotes");
    const key = this.readString();
    this.#expect(":", '":"');
    this.peek();
    return key;
  }

  /** The string with its quotes, as written. */
  #readQuoted(): string {
    const start = this.position;
    this.position += 1;
    for (;;) {
      this.position = this.#endOf(PLAIN_CHARACTERS);
      const next = this.#text.charAt(this.position);
      if (next === '"') break;
      if (next !== "\\")
        throw this.error(next === "" ? "the closing quote of a string" : "an escaped control character");
      this.position += 2;
    }
    this.position += 1;
    const quoted = this.#text.slice(start, this.position);
    if (!quoted.isWellFormed()) throw this.error("text without half surrogate pairs", start);
    return quoted;
  }

  #unquote(quoted: string): string {
    if (!quoted.includes("\\")) return quoted.slice(1, -1);
    const start = this.position - quoted.length;
    let content: string;
    try {
      content = parseJsonText(quoted);
    } catch {
      throw this.error("a string with valid escapes", start);
    }
    if (content.includes("\u0000")) throw this.error("text without \\u0000", start);
    if (!content.isWellFormed()) throw this.error("text without half surrogate pairs", start);
    return content;
  }

  /** True at a comma, which is stepped over; false at `closer`, likewise. */
  #more(closer: string): boolean {
    const next = this.peek();
    if (next !== "," && next !== closer) throw this.error(`"," or "${closer}"`);
    this.position += 1;
    return next === ",";
  }

  #expect(character: string, expected: string): void {
    if (this.peek() !== character) throw this.error(expected);
    this.position += 1;
  }

  #take(pattern: RegExp): string {
    const start = this.position;
    const end = this.#endOf(pattern);
    if (end === start) throw this.error("a value");
    this.position = end;
    return this.#text.slice(start, end);
  }

  /** Where the match that begins at the position ends; the position itself when there is none. */
  #endOf(pattern: RegExp): number {
    pattern.lastIndex = this.position;
    return pattern.test(this.#text) ? pattern.lastIndex : this.position;
  }
}

/** The content of a JSON string. */
export function parseJsonText(quoted: string): string {
  const content: unknown = JSON.parse(quoted);
  if (typeof content !== "string") throw new AppError("INVALID_PAYLOAD", "Expected a JSON string");
  return content;
}
