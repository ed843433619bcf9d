import type { Patch } from "../support/patched-tree.ts";
import type { PlaceName } from "./faults.ts";

// Versions of the product that are broken on purpose, each by a patch of its sources, and by what the chaos run has to catch
// them. No hook for it is in the product.

export interface Mutant {
  readonly name: string;
  /** The field of the verdict that must not be 0. */
  readonly shows: "lost" | "twice" | "disordered" | "different";
  /** Where faults bring it to light. */
  readonly places: readonly PlaceName[];
  /** Which of them. @default all */
  readonly faults?: readonly string[];
  /** Whether a database that can't be started any more counts as well: then nothing is left. @default false */
  readonly mayNotStart?: boolean;
  readonly patches: readonly Patch[];
}

const SETTINGS = "shared/postgres/settings.ts";

/** For the run in which the power fails: nothing but a disk that forgets can tell these from the product. */
export const POWER_MUTANTS: readonly Mutant[] = [
  {
    name: "the edge's database does not sync (fsync = off)",
    shows: "lost",
    places: ["power"],
    mayNotStart: true,
    patches: [{ file: SETTINGS, find: 'fsync: "on"', replace: 'fsync: "off"' }],
  },
  {
    name: "the edge's database answers before it syncs (synchronous_commit = off)",
    shows: "lost",
    places: ["power"],
    patches: [{ file: SETTINGS, find: 'synchronous_commit: "on"', replace: 'synchronous_commit: "off"' }],
  },
];

export const MUTANTS: readonly Mutant[] = [
  {
    name: "the edge acknowledges before the commit",
    shows: "lost",
    places: ["edge"],
    patches: [
      {
        file: "edge/store/group-commit.ts",
        find: "    return group.done.promise;\n  }\n\n  run<T>",
        replace: "    return Promise.resolve();\n  }\n\n  run<T>",
      },
    ],
  },
  {
    name: "the edge acknowledges what a failed commit has lost",
    shows: "lost",
    places: ["edge"],
    faults: ["kill database", "kill a database process"],
    patches: [
      {
        file: "edge/store/group-commit.ts",
        find: "  group.done.reject(error);\n  for (const work",
        replace: "  group.done.resolve();\n  for (const work",
      },
    ],
  },
  {
    name: "the edge stores what waits behind a failed commit",
    shows: "disordered",
    places: ["edge"],
    faults: ["kill database", "kill a database process"],
    patches: [
      {
        file: "edge/store/group-commit.ts",
        find: "if (!isDataError(thrown)) this.#rejectWaiting(error);",
        replace: "void this.#rejectWaiting;",
      },
      // Somebody has to wait behind a commit: seldom while they keep apart.
      { file: "edge/store/commit-pace.ts", find: "SPACING_MS = 15;", replace: "SPACING_MS = 0;" },
    ],
  },
  {
    name: "the cloud acknowledges before the commit",
    shows: "lost",
    places: ["cloud"],
    patches: [
      {
        file: "cloud/sync/session-store.ts",
        find: 'import { applyUplink } from "../store/uplink-apply.ts";\n',
        replace: `import { applyUplink as applyLate } from "../store/uplink-apply.ts";
let last: Promise<unknown> = Promise.resolve();
const applyUplink: typeof applyLate = (...args) => {
  // Long enough for faults to come between.
  last = last.then(() => Bun.sleep(50)).then(() => applyLate(...args)).catch(() => undefined);
  return Promise.resolve({ edgeIds: [], rejections: [] });
};
`,
      },
    ],
  },
  {
    name: "the cloud notes what is committed in a transaction of its own, behind the telemetry",
    shows: "twice",
    places: ["cloud"],
    faults: ["kill program", "power failure", "kill database"],
    patches: [
      {
        file: "cloud/store/uplink-telemetry.ts",
        find: `  return db.transaction(async (tx) => {
    const { newestSeq } = await commitRange(tx, origin, { first: firstSeq, last: lastSeq }, tagOfRecords(columns));
`,
        replace: `  const commit = () => commitRange(db, origin, { first: firstSeq, last: lastSeq }, tagOfRecords(columns));
  return db.transaction(async (tx) => {
    const newestSeq = 0;
`,
      },
      {
        file: "cloud/store/uplink-telemetry.ts",
        find: "    return rejections;\n  });\n",
        replace:
          "    return rejections;\n  }).then(async (rejections) => (await Bun.sleep(50), await commit(), rejections));\n",
      },
    ],
  },
  {
    name: "the cloud does not look at what is committed, and each session starts at the oldest item",
    shows: "twice",
    places: ["cloud", "uplink"],
    patches: [
      {
        file: "cloud/store/edge-session-store.ts",
        find: "        sql`not ${edgeUplink.committed} && ${range}`,\n",
        replace: "",
      },
      {
        file: "cloud/store/edge-session-store.ts",
        find: 'position.lane === "config" ? sql`coalesce(upper(${edgeUplink.committed}), 1) = ${first}` : undefined,',
        replace: "",
      },
      {
        file: "cloud/store/edge-session-store.ts",
        find: "  const before = row?.committed ?? [];\n",
        replace: "  const before: readonly SeqRange[] = (row?.committed ?? []).slice(0, 0);\n",
      },
    ],
  },
  {
    name: "the cloud resumes downlinks at what it has recorded, not at what the edge has applied",
    shows: "different",
    places: ["cloud", "uplink"],
    patches: [
      {
        file: "cloud/store/edge-identity.ts",
        find: "return { seq: downlinkApplied, fullSync: false, note: null };",
        replace: "return { seq: downlinkLast, fullSync: false, note: null };",
      },
    ],
  },
];
