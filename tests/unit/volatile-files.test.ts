import { describe, expect, test } from "bun:test";
import { ROOT_ID, VolatileFiles } from "../power/volatile-files.ts";
import { Dice } from "../sim/dice.ts";

const SEEDS = 200;
const PAGE_BYTES = 4_096;
const FILE = { kind: "file", mode: 0o100_644, uid: 0, gid: 0 } as const;
const DIRECTORY = { kind: "directory", mode: 0o040_755, uid: 0, gid: 0 } as const;

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

const NONE = "no such file";

function textOf(files: VolatileFiles, name: string): string {
  try {
    return new TextDecoder().decode(files.read(files.lookUp(ROOT_ID, name).id, 0, 1_000_000));
  } catch {
    return NONE;
  }
}

/** What `find` gives after a power failure, over many seeds. */
function outcomes<T>(prepare: (files: VolatileFiles) => void, find: (files: VolatileFiles) => T): Set<T> {
  const found = new Set<T>();
  for (let seed = 0; seed < SEEDS; seed += 1) {
    const files = new VolatileFiles();
    prepare(files);
    files.losePower(new Dice(seed));
    found.add(find(files));
  }
  return found;
}

describe("VolatileFiles.losePower()", () => {
  test("keeps what was synced, name and bytes", () => {
    const found = outcomes(
      (files) => {
        const { id } = files.create(ROOT_ID, "a", FILE);
        files.write(id, 0, bytesOf("kept"));
        files.sync(id);
      },
      (files) => textOf(files, "a"),
    );
    expect([...found]).toEqual(["kept"]);
  });

  test("takes any suffix of the writes to a page that were not synced", () => {
    const found = outcomes(
      (files) => {
        const { id } = files.create(ROOT_ID, "a", FILE);
        files.write(id, 0, bytesOf("1"));
        files.sync(id);
        for (const text of ["2", "3"]) files.write(id, 0, bytesOf(text));
      },
      (files) => textOf(files, "a"),
    );
    expect([...found].toSorted()).toEqual(["1", "2", "3"]);
  });

  test("tears a write that covers two pages", () => {
    const found = outcomes(
      (files) => {
        const { id } = files.create(ROOT_ID, "a", FILE);
        files.write(id, 0, bytesOf(".".repeat(2 * PAGE_BYTES)));
        files.sync(id);
        files.write(id, 0, bytesOf("x".repeat(2 * PAGE_BYTES)));
      },
      (files) => `${textOf(files, "a")[0]}${textOf(files, "a")[PAGE_BYTES]}`,
    );
    expect([...found].toSorted()).toEqual(["..", ".x", "x.", "xx"]);
  });

  test("keeps changes of names in their order, and a renaming as a whole", () => {
    const found = outcomes(
      (files) => {
        const { id } = files.create(ROOT_ID, "old", FILE);
        files.sync(id);
        files.rename({ directory: ROOT_ID, name: "old" }, { directory: ROOT_ID, name: "new" }, true);
        files.create(ROOT_ID, "later", FILE);
      },
      (files) => ["old", "new", "later"].filter((name) => textOf(files, name) !== NONE).join(" "),
    );
    expect([...found].toSorted()).toEqual(["new", "new later", "old"]);
  });

  test("keeps every earlier change of names when a later one is synced", () => {
    const found = outcomes(
      (files) => {
        files.create(ROOT_ID, "first", FILE);
        const { id } = files.create(ROOT_ID, "directory", DIRECTORY);
        files.sync(files.create(id, "inside", FILE).id);
        files.remove(ROOT_ID, "first");
      },
      (files) => `${textOf(files, "first") !== NONE} ${files.get(files.lookUp(ROOT_ID, "directory").id).entries.size}`,
    );
    expect([...found].toSorted()).toEqual(["false 1", "true 1"]);
  });

  test("leaves what programs see as it is on the disk", () => {
    const files = new VolatileFiles();
    const { id } = files.create(ROOT_ID, "a", FILE);
    files.write(id, 0, bytesOf("text"));
    files.sync(id);
    files.resize(id, 2);
    expect(textOf(files, "a")).toBe("te");
    files.sync(id);
    files.losePower(new Dice(1));
    expect(textOf(files, "a")).toBe("te");
    expect(files.unsynced).toEqual({ bytes: 0, names: 0 });
  });
});
