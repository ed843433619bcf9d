import { stat } from "node:fs/promises";
import { join } from "node:path";
import { PROJECT_ROOT, runTool } from "../support/tools.ts";
import type { Measure } from "./measure.ts";

/** Size of the edge for arm64 as it is copied to a gateway, PostgreSQL included. */
export const binarySizeArm64: Measure = {
  figures: { binary_size_arm64: "MB" },
  async prepare() {
    const { exitCode, output } = await runTool(["bun", "edge/build.ts", "--target", "arm64"]);
    if (exitCode !== 0) throw new Error(`Building the edge for arm64 failed with code ${exitCode}:\n${output}`);
  },
  async runOnce() {
    const { size } = await stat(join(PROJECT_ROOT, "dist/skerry-edge-linux-arm64"));
    return { binary_size_arm64: size / 1e6 };
  },
};
