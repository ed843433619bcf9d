import { appendFile, rename, stat } from "node:fs/promises";

/**
 * The server's own log: the file `path` and one older file `path.1`, both bounded, and the last lines in memory for error texts.
 * Writing never blocks or fails the program: on a full disk lines are lost.
 */
export interface ServerLog {
  /** Takes complete lines. */
  write(line: string): void;
  /** The newest lines, oldest first. */
  tail(): readonly string[];
  /** Resolves when what was written so far is in the file. */
  flush(): Promise<void>;
}

const FILE_BYTES_MAX = 1024 * 1024;
const PENDING_LINES_MAX = 1000;
const TAIL_LINES = 30;
const LINE_LENGTH_MAX = 2000;

export function createServerLog(path: string): ServerLog {
  const tail: string[] = [];
  let pending: string[] = [];
  let writing: Promise<void> | undefined;

  const drain = async (): Promise<void> => {
    while (pending.length > 0) {
      const text = `${pending.join("\n")}\n`;
      pending = [];
      try {
        const bytes = await stat(path).then(
          (stats) => stats.size,
          () => 0,
        );
        if (bytes > FILE_BYTES_MAX) await rename(path, `${path}.1`);
        await appendFile(path, text, { mode: 0o640 });
      } catch {
        // See above: the log gives way.
      }
    }
    writing = undefined;
  };

  return {
    write(line) {
      const bounded = line.slice(0, LINE_LENGTH_MAX);
      tail.push(bounded);
      if (tail.length > TAIL_LINES) tail.shift();
      if (pending.length < PENDING_LINES_MAX) pending.push(bounded);
      writing ??= drain();
    },
    tail: () => tail,
    flush: async () => {
      await writing;
    },
  };
}
