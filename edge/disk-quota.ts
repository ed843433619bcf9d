/** What happens to unsent telemetry when the quota is reached and nothing else is left to remove. */
export const DISK_POLICIES = ["thin", "drop-oldest"] as const;

export type DiskPolicy = (typeof DISK_POLICIES)[number];

/** The setting diskQuota: nothing, a size, or a part of the room that was there at the start. */
export type DiskQuota =
  | { readonly kind: "off" }
  | { readonly kind: "size"; readonly bytes: number }
  | { readonly kind: "part"; readonly share: number };

const UNITS: Readonly<Record<string, number>> = { MB: 1e6, GB: 1e9, TB: 1e12 };
/** Program, empty database and its log take about half of it. */
const SIZE_MIN_BYTES = 256e6;

/** Undefined when the text is no quota. */
export function parseDiskQuota(text: string): DiskQuota | undefined {
  if (text === "off") return { kind: "off" };
  const [, digits = "", unit = ""] = /^(\d{1,6})(%|MB|GB|TB)$/.exec(text) ?? [];
  const number = Number(digits);
  if (unit === "%") return number >= 1 && number <= 100 ? { kind: "part", share: number / 100 } : undefined;
  const bytes = number * (UNITS[unit] ?? 0);
  return bytes >= SIZE_MIN_BYTES ? { kind: "size", bytes } : undefined;
}

/** What the log of the database may take, in MB: a small part of a small quota. Undefined: as usual. */
export function walMaxMb(quota: DiskQuota): number | undefined {
  if (quota.kind !== "size") return undefined;
  const mb = Math.floor(quota.bytes / 1e6 / 8);
  return mb < WAL_USUAL_MB ? mb : undefined;
}

const WAL_USUAL_MB = 256;

/** In bytes; null: there is none. */
export function quotaBytes(
  quota: DiskQuota,
  atStart: { readonly usedBytes: number; readonly freeBytes: number },
): number | null {
  switch (quota.kind) {
    case "off":
      return null;
    case "size":
      return quota.bytes;
    case "part":
      return Math.round(quota.share * (atStart.usedBytes + atStart.freeBytes));
  }
}
