import { readFileSync } from "node:fs";
import process from "node:process";

/** The variables of the process as they are now. */
export function readEnv(): Readonly<Record<string, string | undefined>> {
  return { ...process.env };
}

/** The arguments behind the program's name. */
export function readArguments(): readonly string[] {
  return process.argv.slice(2);
}

/** @throws what the system says, when the file can't be read */
export function readTextFile(path: string): string {
  return readFileSync(path, "utf8");
}

/** More than anybody types. */
const STDIN_LENGTH_MAX = 65_536;

/** Standard input to its end, or as much of it as is taken. */
export async function readStdin(): Promise<string> {
  process.stdin.setEncoding("utf8");
  let text = "";
  for await (const chunk of process.stdin as AsyncIterable<string>) {
    text += chunk; // text because of its encoding
    if (text.length > STDIN_LENGTH_MAX) break;
  }
  return text;
}

/** One line on standard output: what scripts read. */
export function writeLine(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** As it is on standard error: the log. */
export function writeLog(text: string): void {
  process.stderr.write(text);
}
