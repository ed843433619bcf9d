import { expect, test } from "bun:test";
import { parseDiskQuota, quotaBytes, walMaxMb } from "../../edge/disk-quota.ts";

const AT_START = { usedBytes: 2e9, freeBytes: 8e9 };

test.each([
  ["off", null],
  ["4GB", 4e9],
  ["500MB", 5e8],
  ["1TB", 1e12],
  ["80%", 8e9],
  ["100%", 1e10],
])("quotaBytes() of %s", (text, bytes) => {
  const quota = parseDiskQuota(text);
  expect(quota === undefined ? undefined : quotaBytes(quota, AT_START)).toBe(bytes);
});

test.each(["", "0%", "101%", "255MB", "4", "4 GB", "1.5GB", "-1GB", "OFF"])("parseDiskQuota() refuses %p", (text) => {
  expect(parseDiskQuota(text)).toBeUndefined();
});

test("walMaxMb() lets the database's log take an eighth of a small quota", () => {
  const of = (text: string): number | undefined => walMaxMb(parseDiskQuota(text) ?? { kind: "off" });
  expect([of("256MB"), of("800MB"), of("4GB"), of("80%"), of("off")]).toEqual([
    32,
    100,
    undefined,
    undefined,
    undefined,
  ]);
});
