import * as z from "zod";
import { AppError } from "../../shared/core/errors.ts";
import { pageSchema } from "../../shared/entities/fields.ts";
import type { SettingsCommand } from "./command.ts";
import { JSON_OPTION, wantsJson } from "./command.ts";
import type { EdgeClient } from "./edge-client.ts";
import { alignColumns } from "./format.ts";

const deviceSchema = z.looseObject({ id: z.object({ id: z.string() }), name: z.string(), type: z.string() });

type Device = z.output<typeof deviceSchema>;

const PAGE_SIZE = 500;
/** Half a million devices: far more than an edge serves. */
const PAGES_MAX = 1_000;

export const devicesListCommand: SettingsCommand = {
  name: "devices list",
  positionals: [],
  options: [JSON_OPTION],
  summary: "List the devices of the running edge",
  readsSettings: true,
  run: async (call, { client, print }) => {
    const devices = await readAll(client);
    if (wantsJson(call)) {
      print(JSON.stringify(devices));
      return;
    }
    const rows = devices.map(({ name, type, id }) => [name, type, id.id]);
    for (const line of alignColumns([["NAME", "TYPE", "ID"], ...rows])) print(line);
  },
};

async function readAll(client: EdgeClient): Promise<readonly Device[]> {
  const devices: Device[] = [];
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const path = `/api/tenant/devices?pageSize=${PAGE_SIZE}&page=${page}&sortProperty=name`;
    const { data, hasNext } = await client.get(path, pageSchema(deviceSchema));
    devices.push(...data);
    if (!hasNext) return devices;
  }
  throw new AppError("INTERNAL", `Edge lists more than ${PAGES_MAX * PAGE_SIZE} devices`);
}
