import type { CommandCall } from "../../shared/config/command-line.ts";
import { AppError } from "../../shared/core/errors.ts";
import { pageSchema } from "../../shared/entities/fields.ts";
import { UPLINK_LANES } from "../../shared/sync/lanes.ts";
import { discardResultSchema, parkedItemSchema, replayResultSchema } from "../api/parked.ts";
import type { SettingsCommand } from "./command.ts";
import { JSON_OPTION, wantsJson } from "./command.ts";
import { alignColumns } from "./format.ts";

const PATH = "/api/edge/parked";
const LISTED_MAX = 1_000;

const LANE_OPTION = { flag: "lane", placeholder: "LANE", description: `Only of lane ${UPLINK_LANES.join(" or ")}` };
const CODE_OPTION = { flag: "code", placeholder: "CODE", description: "Only what was refused with this code" };
const SELECTION = [
  LANE_OPTION,
  { flag: "seq", placeholder: "N", description: "The item with this sequence; needs --lane" },
  CODE_OPTION,
  { flag: "all", placeholder: null, description: "Everything that is parked" },
] as const;

export const parkedListCommand: SettingsCommand = {
  name: "parked list",
  positionals: [],
  options: [LANE_OPTION, CODE_OPTION, JSON_OPTION],
  summary: "List what the cloud refused for good, newest first, with the reason",
  readsSettings: true,
  run: async (call, { client, print, formatTime }) => {
    const filter = filterParameters(call);
    const query = ["pageSize=1000", "page=0", "sortOrder=DESC", ...filter].join("&");
    const { data, totalElements } = await client.get(`${PATH}?${query}`, pageSchema(parkedItemSchema));
    if (wantsJson(call)) {
      print(JSON.stringify(data));
      return;
    }
    const rows = data.map((item) => [
      item.lane,
      String(item.seq),
      formatTime(item.parkedTime),
      item.entity === null ? "" : `${item.entity.entityType} ${item.entity.id}`,
      `${item.code}: ${item.reason}`,
    ]);
    for (const line of alignColumns([["LANE", "SEQ", "TIME", "SUBJECT", "REASON"], ...rows])) print(line);
    if (totalElements > LISTED_MAX) print(`${totalElements - LISTED_MAX} older ones; see --lane and --code`);
  },
};

export const parkedReplayCommand: SettingsCommand = {
  name: "parked replay",
  positionals: [],
  options: [...SELECTION, JSON_OPTION],
  summary: "Send parked items again, once the cause is gone",
  readsSettings: true,
  run: async (call, { client, print }) => {
    const { item, query } = readSelection(call);
    const path = item === null ? `${PATH}/replay${query}` : `${PATH}/${item}/replay`;
    const result = await client.post(path, {}, replayResultSchema);
    if (wantsJson(call)) print(JSON.stringify(result));
    else {
      print(`${result.replayed} sent again`);
      if (result.kept > 0) print(`${result.kept} kept: what they are about is no longer on this edge`);
    }
  },
};

export const parkedDiscardCommand: SettingsCommand = {
  name: "parked discard",
  positionals: [],
  options: [...SELECTION, JSON_OPTION],
  summary: "Give parked items up for good",
  readsSettings: true,
  run: async (call, { client, print }) => {
    const { item, query } = readSelection(call);
    const result = await client.delete(item === null ? `${PATH}${query}` : `${PATH}/${item}`, discardResultSchema);
    print(wantsJson(call) ? JSON.stringify(result) : `${result.discarded} discarded`);
  },
};

/** One item, `lane/seq`, or a query that selects several. @throws AppError CONFIG_INVALID when nothing is selected */
function readSelection(call: CommandCall): { readonly item: string | null; readonly query: string } {
  const parameters = filterParameters(call);
  const { lane, seq } = { lane: call.options.get("lane"), seq: call.options.get("seq") };
  const isAll = call.options.get("all") === "true";
  if (seq !== undefined) {
    if (lane === undefined || isAll || call.options.has("code"))
      throw new AppError("CONFIG_INVALID", "--seq: expected with --lane alone");
    if (!/^\d{1,15}$/.test(seq)) throw new AppError("CONFIG_INVALID", `--seq: expected an integer, got ${seq}`);
    return { item: `${lane}/${seq}`, query: "" };
  }
  if (isAll === parameters.length > 0)
    throw new AppError("CONFIG_INVALID", `Command ${call.name} needs --lane, --seq, --code, or --all alone`);
  return { item: null, query: parameters.length === 0 ? "" : `?${parameters.join("&")}` };
}

function filterParameters({ options }: CommandCall): readonly string[] {
  const lane = options.get("lane");
  const code = options.get("code");
  if (lane !== undefined && !UPLINK_LANES.some((known) => known === lane))
    throw new AppError("CONFIG_INVALID", `--lane: expected ${UPLINK_LANES.join(" or ")}, got ${lane}`);
  return [
    ...(lane === undefined ? [] : [`lane=${lane}`]),
    ...(code === undefined ? [] : [`code=${encodeURIComponent(code)}`]),
  ];
}
