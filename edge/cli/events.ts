import type { CommandCall } from "../../shared/config/command-line.ts";
import { AppError } from "../../shared/core/errors.ts";
import { pageSchema } from "../../shared/entities/fields.ts";
import { UPLINK_LANES } from "../../shared/sync/lanes.ts";
import { cloudEventSchema } from "../api/cloud-event.ts";
import type { SettingsCommand } from "./command.ts";
import { JSON_OPTION, wantsJson } from "./command.ts";
import { alignColumns } from "./format.ts";

const LIMIT_DEFAULT = 20;
const LIMIT_MAX = 1_000;

const PATHS = { config: "/api/edge/events", telemetry: "/api/edge/events/timeseries" } as const;

export const eventsCommand: SettingsCommand = {
  name: "events",
  positionals: [],
  options: [
    { flag: "lane", placeholder: "LANE", description: `Which events, ${UPLINK_LANES.join(" or ")} [config]` },
    { flag: "limit", placeholder: "N", description: `How many, from 1 to ${LIMIT_MAX} [${LIMIT_DEFAULT}]` },
    JSON_OPTION,
  ],
  summary: "List what the running edge has sent or will send to the cloud, newest first, with its state",
  readsSettings: true,
  run: async (call, { client, print, formatTime }) => {
    const path = `${PATHS[readLane(call)]}?pageSize=${readLimit(call)}&page=0&sortProperty=createdTime&sortOrder=DESC`;
    const { data, totalElements } = await client.get(path, pageSchema(cloudEventSchema));
    if (wantsJson(call)) {
      print(JSON.stringify(data));
      return;
    }
    const rows = data.map((event) => [
      String(event.seqId),
      formatTime(event.createdTime),
      event.state,
      event.action,
      event.entityBody === null ? `${event.type} ${event.entityId ?? ""}` : `${event.entityBody.count} records`,
      event.reason ?? "",
    ]);
    for (const line of alignColumns([["SEQ", "TIME", "STATE", "ACTION", "SUBJECT", "REASON"], ...rows])) print(line);
    if (totalElements > data.length) print(`${totalElements - data.length} older ones; see --limit`);
  },
};

function readLane(call: CommandCall): keyof typeof PATHS {
  const text = call.options.get("lane") ?? "config";
  const lane = UPLINK_LANES.find((known) => known === text);
  if (lane === undefined)
    throw new AppError("CONFIG_INVALID", `--lane: expected ${UPLINK_LANES.join(" or ")}, got ${text}`);
  return lane;
}

function readLimit(call: CommandCall): number {
  const text = call.options.get("limit") ?? String(LIMIT_DEFAULT);
  const limit = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > LIMIT_MAX) {
    throw new AppError("CONFIG_INVALID", `--limit: expected an integer from 1 to ${LIMIT_MAX}, got ${text}`);
  }
  return limit;
}
