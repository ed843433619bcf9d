/**
 * Seeds that show a fault that was in the product or its model once, checked against a build that has it again. A change of the
 * simulation's dice sends them elsewhere: look for new ones then, with mutants.ts.
 */
export const REGRESSION_SEEDS: readonly { readonly seed: number; readonly found: string }[] = [
  { seed: 1, found: "a cloud's first downlinks reached an edge that was still storing the Welcome, and were refused" },
  {
    seed: 62,
    found: "an edge began its next session while the last one's downlinks were being applied, and applied them twice",
  },
  {
    seed: 151,
    found:
      "a cloud that was set back resumed the edge below what it had applied; the Welcome was lost, downlinks were skipped",
  },
  {
    seed: 1_276,
    found: "an edge was set back and wrote on; the record that would have shown it was removed by the full disk",
  },
];
