import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { PrivateFiles } from "../api/local-access.ts";

/** Files that only their owner, the user who started the program, may read. */
export const privateFiles: PrivateFiles = {
  write(path, text) {
    const unfinished = `${path}.new`;
    // Maybe nothing else has made the data directory yet; the uid of the database passes through it.
    mkdirSync(dirname(path), { recursive: true, mode: 0o711 });
    rmSync(unfinished, { force: true });
    // "wx" makes the file anew: a link or a file with a looser mode that somebody left there is never written through.
    writeFileSync(unfinished, text, { mode: 0o600, flag: "wx" });
    renameSync(unfinished, path);
  },
  read(path) {
    try {
      return readFileSync(path, "utf8");
    } catch (error) {
      if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR"))
        return null;
      throw error;
    }
  },
  remove(path) {
    rmSync(path, { force: true });
  },
};
