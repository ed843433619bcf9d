import { describe, expect, test } from "bun:test";
import { GroupSize } from "../../edge/store/group-size.ts";

describe("GroupSize", () => {
  test("shrinks to what rules decide within their time, and grows again when they are fast", () => {
    const size = new GroupSize(10_000);
    size.note(1_000, 1_000);
    expect(size.records).toBe(100);
    size.note(100, 200);
    expect(size.records).toBe(50);
    size.note(50, 70);
    expect(size.records).toBe(50);
    for (let commit = 0; commit < 10; commit += 1) size.note(size.records, 1);
    expect(size.records).toBe(10_000);
  });

  test("leaves some records in a commit, however slow rules are, and learns nothing from one without", () => {
    const size = new GroupSize(10_000);
    size.note(100, 1_000_000);
    expect(size.records).toBe(16);
    size.note(0, 1_000_000);
    size.note(1, 0);
    expect(size.records).toBe(32);
  });

  test("starts anew with rules that changed, and lets no single record speak for thousands", () => {
    const size = new GroupSize(10_000);
    for (let commit = 0; commit < 10; commit += 1) size.note(1_000, 1);
    size.heed(1);
    expect(size.records).toBe(50);
    for (let commit = 0; commit < 10; commit += 1) size.note(1, 1);
    expect(size.records).toBe(100);
    size.heed(1);
    expect(size.records).toBe(100);
  });
});
