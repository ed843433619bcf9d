import { pino } from "pino";

/** Structured fields of a log line: ids, counts, durations; never a secret, token or payload. */
export type LogFields = Readonly<Record<string, unknown>>;

/** error: someone must act; warn: degraded; info: a state changed; debug: per item. Messages are constant, details are fields. */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A log whose lines all carry `fields`. */
  child(fields: LogFields): Log;
}

export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface LogOptions {
  /** @default "info" */
  readonly level?: LogLevel;
  /** Takes one JSON line with its line end. */
  readonly write: (line: string) => void;
}

/** JSON lines by pino, without worker threads, which a compiled binary can't start. */
export function createLog(options: LogOptions): Log {
  const logger = pino(
    {
      level: options.level ?? "info",
      base: null,
      messageKey: "message",
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: options.write },
  );
  return wrap(logger);
}

/** Drops everything; for tests and for libraries used without a log. */
export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLog,
};

interface PinoLike {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  child(fields: object): PinoLike;
}

function wrap(logger: PinoLike): Log {
  return {
    debug: (message, fields = {}) => logger.debug(printable(fields), message),
    info: (message, fields = {}) => logger.info(printable(fields), message),
    warn: (message, fields = {}) => logger.warn(printable(fields), message),
    error: (message, fields = {}) => logger.error(printable(fields), message),
    child: (fields) => wrap(logger.child(printable(fields))),
  };
}

/** Errors don't enumerate; keep what helps: code, message and causes; not the parameters of a statement, which may be secrets. */
function printable(fields: LogFields): object {
  const entries = Object.entries(fields).map(([key, value]) => [
    key,
    value instanceof Error ? errorText(value) : value,
  ]);
  return Object.fromEntries(entries) as Record<string, unknown>; // what LogFields held
}

/** As Drizzle writes them behind the statement. */
const PARAMETERS = /\nparams: .*/s;

function errorText(error: Error): string {
  const parts: string[] = [];
  let current: unknown = error;
  for (let depth = 0; depth < 5 && current instanceof Error; depth += 1) {
    const code = "code" in current ? ` (${String(current.code)})` : "";
    parts.push(`${current.message.replace(PARAMETERS, "")}${code}`);
    current = current.cause;
  }
  return parts.join(": ");
}
