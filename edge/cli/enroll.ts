import type { CommandCall } from "../../shared/config/command-line.ts";
import { AppError, ERROR_CODES } from "../../shared/core/errors.ts";
import { CLAIM_CODE_VARIABLE, travelsInPlainText, type EdgeConfigResult } from "../config.ts";
import { EDGE_SETTINGS } from "../settings.ts";
import type { CommandContext, SettingsCommand } from "./command.ts";

/** Settings of the link that `run` needs too: given by flag, they are kept with the identity. */
const KEPT_SETTINGS = ["insecure", "tlsCaFile"] as const;

export const enrollCommand: SettingsCommand = {
  name: "enroll",
  positionals: [],
  options: [
    { flag: "cloud", placeholder: "URL", description: "RPC address of the cloud, in place of the setting cloudUrl" },
    {
      flag: "code",
      placeholder: "CODE",
      description: `Claim code; without it ${CLAIM_CODE_VARIABLE}, or "-" to read it from standard input, which other users of the machine can't see`,
    },
    { flag: "only", placeholder: null, description: "Store the identity and end, instead of running the edge" },
  ],
  summary: "Make this gateway an edge with a claim code from the cloud, and run it; once it is one, just run it",
  readsSettings: true,
  run: async (call, context) => {
    const { settings, print, reloadSettings, runEdge } = context;
    if (settings.config.edgeKey === null) await enrollNow(call, context);
    else print(`This gateway is an edge already, with the key ${settings.config.edgeKey}; no code is used`);
    if (call.options.get("only") === "true") return;
    const { config, warnings } = reloadSettings();
    await runEdge(config, warnings);
  },
};

async function enrollNow(call: CommandCall, context: CommandContext): Promise<void> {
  const { settings, enroll, print } = context;
  const { config, settingsFile } = settings;
  const cloudUrl = readUrl(call, settings);
  const claimCode = await readCode(call, context);
  const fromFlags = settings.settings.filter(({ name, source }) => isKept(name) && source === "flag");
  const kept = Object.fromEntries(
    fromFlags.flatMap(({ name, value }) => (typeof value === "string" || value === true ? [[name, value]] : [])),
  );
  const { dataDir, tlsCa } = config;
  const where = { dataDir, settingsFile, settings: kept };
  const { edgeKey, edgeName } = await enroll({ cloudUrl, claimCode, caPem: tlsCa ?? undefined, ...where });
  print(`Enrolled at ${cloudUrl} as edge ${edgeName} with the key ${edgeKey}; stored in ${settingsFile}`);
}

function isKept(name: string): boolean {
  return (KEPT_SETTINGS as readonly string[]).includes(name);
}

function readUrl(call: CommandCall, { config }: EdgeConfigResult): string {
  const given = call.options.get("cloud");
  const url = given === undefined ? config.cloudUrl : EDGE_SETTINGS.cloudUrl.read(given);
  if (url === null) throw new AppError("CONFIG_INVALID", "--cloud is missing: the RPC address of the cloud");
  if (url === undefined) throw new AppError("CONFIG_INVALID", `--cloud: expected ${EDGE_SETTINGS.cloudUrl.expected}`);
  if (travelsInPlainText(url) && !config.insecure)
    throw new AppError("CONFIG_INVALID", `--cloud ${url} (INSECURE_TRANSPORT): ${ERROR_CODES.INSECURE_TRANSPORT}`);
  return url;
}

async function readCode(call: CommandCall, { env, readStdin }: CommandContext): Promise<string> {
  const given = call.options.get("code") ?? env[CLAIM_CODE_VARIABLE];
  const code = (given === "-" ? await readStdin() : (given ?? "")).trim();
  if (code !== "") return code;
  throw new AppError("CONFIG_INVALID", `--code is missing: the claim code, also by ${CLAIM_CODE_VARIABLE} or --code -`);
}
