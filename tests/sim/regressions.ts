/** Seeds that once found something, kept with what it was. They run in every test. */
export const REGRESSION_SEEDS: readonly { readonly seed: number; readonly found: string }[] = [
  {
    seed: 11,
    found:
      "an edge began its next session while the last one's downlinks were still being applied, and applied them twice",
  },
  { seed: 2, found: "a cloud's first downlinks reached an edge that was still storing the Welcome, and were refused" },
  { seed: 34, found: "a row written while the outbox was being read stayed there" },
  { seed: 99, found: "an edge with a new database went on where its old one was" },
  {
    seed: 11549,
    found:
      "a cloud set back to before its first session resumed the edge below what it had applied; the Welcome was lost, and the next session skipped downlinks",
  },
  { seed: 6240, found: "the same, after a partition" },
  { seed: 3956, found: "the simulated stream itself reordered frames that arrived at one time" },
  { seed: 4581, found: "acknowledgements were lost after the trouble was over" },
];
