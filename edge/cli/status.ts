import type { EdgeStatus } from "../api/status.ts";
import { edgeStatusSchema } from "../api/status.ts";
import type { SettingsCommand } from "./command.ts";
import { JSON_OPTION, wantsJson } from "./command.ts";
import { alignColumns, formatBytes, formatDuration } from "./format.ts";

export const statusCommand: SettingsCommand = {
  name: "status",
  positionals: [],
  options: [JSON_OPTION],
  summary: "Show how the running edge is: link to the cloud, what waits to be sent, database, disk",
  readsSettings: true,
  run: async (call, { client, print }) => {
    const status = await client.get("/status", edgeStatusSchema);
    if (wantsJson(call)) {
      print(JSON.stringify(status));
      return;
    }
    for (const line of alignColumns(statusRows(status))) print(line);
    for (const problem of status.problems) print(`! ${problem}`);
  },
};

function statusRows(status: EdgeStatus): readonly (readonly string[])[] {
  const { database, disk, time } = status;
  const rows = [
    ["state", status.state],
    ["version", `${status.version} (${status.runtime}), up ${formatDuration(time - status.startedTime)}`],
    ["sync", syncText(status)],
    ["link", linkText(status)],
    ...laneRows(status),
    ["parked", status.parked === null ? "not known" : String(status.parked)],
    [
      "database",
      database === null
        ? "not known"
        : `${database.state}, ${database.kind} PostgreSQL ${database.version ?? ""}`.trim(),
    ],
    ["disk", disk === null ? "not known" : diskText(disk)],
    ["mqtt", status.mqttConnections === null ? "not known" : `${status.mqttConnections} connections`],
  ];
  return rows;
}

function diskText({ freeBytes, quotaBytes, removed, usedBytes }: NonNullable<EdgeStatus["disk"]>): string {
  const quota = quotaBytes === null ? "" : ` of ${formatBytes(quotaBytes)}`;
  const gone = removed.thinned + removed.dropped;
  const gaps = gone === 0 ? "" : `, ${gone} records removed unsent`;
  return `${formatBytes(usedBytes)}${quota} used, ${formatBytes(freeBytes)} free${gaps}`;
}

function syncText({ sync, time }: EdgeStatus): string {
  if (sync === null) return "not known";
  const ago = (atMs: number): string => formatDuration(Math.max(0, time - atMs));
  const parts = [`${sync.state} for ${ago(sync.sinceTime)}`];
  if (sync.nextAttemptTime !== null) {
    parts.push(`next attempt in ${formatDuration(Math.max(0, sync.nextAttemptTime - time))}`);
  }
  if (sync.state !== "IN_SYNC" && sync.lastInSyncTime !== null)
    parts.push(`last in sync ${ago(sync.lastInSyncTime)} ago`);
  const details = sync.reasons.flatMap(({ code, detail }) => (detail === null ? [] : [`${code}: ${detail}`]));
  return [...parts, ...details].join("; ");
}

function linkText({ link, time }: EdgeStatus): string {
  if (link === null) return "not known";
  if (link.state === "disabled") return "disabled: no cloudUrl is set";
  const parts: string[] = [link.state];
  if (link.sinceTime !== null) parts.push(`for ${formatDuration(Math.max(0, time - link.sinceTime))}`);
  if (link.cloudUrl !== null) parts.push(`with ${link.cloudUrl}`);
  const reason = link.reason === null ? "" : `: ${link.reason.text} (${link.reason.code})`;
  return `${parts.join(" ")}${reason}`;
}

function laneRows({ lanes, time }: EdgeStatus): readonly (readonly string[])[] {
  if (lanes === null) return [["lanes", "not known"]];
  return Object.entries(lanes).map(([lane, { nextSeq, backlogItems, backlogBytes, oldestUnsentTime }]) => {
    const age =
      oldestUnsentTime === null ? "" : `, the oldest for ${formatDuration(Math.max(0, time - oldestUnsentTime))}`;
    const size = backlogItems === 0 ? "" : ` (${formatBytes(backlogBytes)})`;
    return [lane, `${backlogItems} wait${size}${age}; ${nextSeq - 1 - backlogItems} in the cloud`];
  });
}
