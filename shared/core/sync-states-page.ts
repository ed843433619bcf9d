import { SYNC_STATE_NAMES, SYNC_STATES } from "./sync-states.ts";

/** docs/states.md. */
export function renderSyncStates(): string {
  const rows = SYNC_STATE_NAMES.map((name) => {
    const { action, cause } = SYNC_STATES[name];
    return `| \`${name}\` | ${cause} | ${action} |`;
  });
  return [
    "# States of sync",
    "",
    "Made from `shared/core/sync-states.ts` by `bun run generate`; gravest first. Several may hold at once: the gravest is the state, all of",
    "them are its reasons. `CLOCK_SKEW` only stands beside a state.",
    "",
    "They show in `/status` and `skerry-edge status` of the edge, in `status.sync` of its record in the cloud, and as the label `state` of",
    "`skerry_sync_state` (edge: 1 for each that holds) and `skerry_edges` (cloud: how many edges are in each).",
    "",
    "| State | Cause | What to do |",
    "| --- | --- | --- |",
    ...rows,
    "",
  ].join("\n");
}
