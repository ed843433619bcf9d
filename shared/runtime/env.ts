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

/** One line on standard output: what scripts read. */
export function writeLine(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** As it is on standard error: the log. */
export function writeLog(text: string): void {
  process.stderr.write(text);
}
