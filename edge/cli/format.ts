/** Rows as columns of equal width, two blanks between them; a row that is shorter leaves its last columns empty. */
export function alignColumns(rows: readonly (readonly string[])[]): readonly string[] {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length);
  }
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}

/** `73 s`, `5 min`, `3 h`, `12 d`: the largest unit of which there are at least two. */
export function formatDuration(durationMs: number): string {
  const units = [
    { name: "d", ms: 86_400_000 },
    { name: "h", ms: 3_600_000 },
    { name: "min", ms: 60_000 },
    { name: "s", ms: 1_000 },
  ] as const;
  const unit = units.find(({ ms }) => durationMs >= 2 * ms);
  return unit === undefined ? `${Math.round(durationMs)} ms` : `${Math.floor(durationMs / unit.ms)} ${unit.name}`;
}

/** `1.4 GB`, powers of ten. */
export function formatBytes(bytes: number): string {
  const units = [
    { name: "TB", bytes: 1e12 },
    { name: "GB", bytes: 1e9 },
    { name: "MB", bytes: 1e6 },
    { name: "kB", bytes: 1e3 },
  ] as const;
  const unit = units.find((candidate) => bytes >= candidate.bytes);
  return unit === undefined ? `${bytes} B` : `${(bytes / unit.bytes).toFixed(1)} ${unit.name}`;
}
