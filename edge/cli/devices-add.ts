import * as z from "zod";
import type { SettingsCommand } from "./command.ts";
import { JSON_OPTION, wantsJson } from "./command.ts";
import { alignColumns } from "./format.ts";

const deviceSchema = z.looseObject({ id: z.object({ id: z.string() }), name: z.string(), type: z.string() });

const credentialsSchema = z.looseObject({ credentialsId: z.string() });

export const devicesAddCommand: SettingsCommand = {
  name: "devices add",
  positionals: ["NAME"],
  options: [
    { flag: "token", placeholder: "TOKEN", description: "Access token of the device; without it one is made" },
    {
      flag: "type",
      placeholder: "TYPE",
      description: "Name of its device profile, made if there is none; without it the default one",
    },
    JSON_OPTION,
  ],
  summary: "Create a device on the running edge; it appears in the cloud as well",
  readsSettings: true,
  run: async (call, { client, print }) => {
    const [name = ""] = call.positionals;
    const token = call.options.get("token");
    const type = call.options.get("type");
    const query = token === undefined ? "" : `?accessToken=${encodeURIComponent(token)}`;
    const body = type === undefined ? { name } : { name, type };
    const device = await client.post(`/api/device${query}`, body, deviceSchema);
    const { credentialsId } = await client.get(`/api/device/${device.id.id}/credentials`, credentialsSchema);
    if (wantsJson(call)) {
      print(JSON.stringify({ id: device.id.id, name: device.name, type: device.type, token: credentialsId }));
      return;
    }
    const rows = [
      ["name", device.name],
      ["type", device.type],
      ["id", device.id.id],
      ["token", credentialsId],
    ];
    for (const line of alignColumns(rows)) print(line);
  },
};
