import { parseCommandLine } from "../shared/config/command-line.ts";
import {
  flagsOf,
  readSettings,
  readTlsFiles,
  settingWarnings,
  throwProblems,
  type SettingsInput,
} from "../shared/config/read-settings.ts";
import type { Secret } from "../shared/config/secret.ts";
import { helpRows } from "../shared/config/settings-text.ts";
import { isLoopback } from "../shared/core/hosts.ts";
import type { BucketLimits } from "../shared/core/token-buckets.ts";
import type { LogLevel } from "../shared/observe/log.ts";
import { CLOUD_FORM } from "./settings.ts";

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

export interface CloudConfig {
  readonly dataDir: string;
  /** null: the embedded server. */
  readonly databaseUrl: Secret | null;
  readonly http: ListenAddress;
  readonly rpc: ListenAddress;
  /** PEM texts; null: plain. */
  readonly tls: { readonly cert: string; readonly key: string } | null;
  readonly adminEmail: string;
  /** null: make one and print it. */
  readonly adminPassword: Secret | null;
  readonly sysadminEmail: string;
  /** null: make one and print it. */
  readonly sysadminPassword: Secret | null;
  /** The largest content of an item that is taken from an edge. */
  readonly contentBytesMax: number;
  /** How long ago telemetry may have been measured; null: nothing is dropped. */
  readonly telemetryKeptMs: number | null;
  readonly roundsEveryMs: number;
  /** How long entries of the audit log are kept. */
  readonly auditKeptMs: number;
  /** REST calls of one tenant; null: any number. */
  readonly tenantLimits: BucketLimits | null;
  /** Items of one edge; null: any number. */
  readonly edgeLimits: BucketLimits | null;
  /** How long the secret before the newest one of an edge opens sessions. */
  readonly secretGraceMs: number;
  /** How long a claim code is good. */
  readonly claimCodeLifeMs: number;
  /** Sends mails; null: none is set. */
  readonly smtpUrl: Secret | null;
  readonly mailFrom: string;
  readonly logLevel: LogLevel;
}

export interface CloudConfigInput extends Omit<SettingsInput, "flags"> {
  /** What stands behind the program's name. */
  readonly argv: readonly string[];
}

export interface CloudConfigResult {
  readonly config: CloudConfig;
  /** One sentence each, for the log. */
  readonly warnings: readonly string[];
}

/** The cloud has no commands but the one that runs it. */
const RUN = { name: "run", positionals: [], options: [], summary: "Run the cloud" };

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
/** How much may come at once. */
const BURST_S = 10;

/** @throws AppError CONFIG_INVALID that names every fault with its source; its text holds no secret */
export function readCloudConfig({ argv, env, readFile }: CloudConfigInput): CloudConfigResult {
  const commandLine = parseCommandLine(argv, [RUN], flagsOf(CLOUD_FORM));
  const problems = [...commandLine.problems];
  const { values, effective } = readSettings(CLOUD_FORM, { flags: commandLine.settings, env, readFile }, problems);
  const tls = readTlsFiles(values, { readFile, problems });
  const anywhere = tls === null ? "127.0.0.1" : "0.0.0.0";
  const config: CloudConfig = {
    dataDir: values.dataDir,
    databaseUrl: values.databaseUrl,
    http: { host: values.httpHost ?? anywhere, port: values.httpPort },
    rpc: { host: values.rpcHost ?? anywhere, port: values.rpcPort },
    tls,
    adminEmail: values.adminEmail,
    adminPassword: values.adminPassword,
    sysadminEmail: values.sysadminEmail,
    sysadminPassword: values.sysadminPassword,
    contentBytesMax: values.contentMaxMib * 1024 * 1024,
    telemetryKeptMs: values.telemetryDays === "off" ? null : values.telemetryDays * DAY_MS,
    roundsEveryMs: values.roundsEveryS * 1_000,
    auditKeptMs: values.auditDays * DAY_MS,
    tenantLimits: toLimits(values.tenantCallsPerS),
    edgeLimits: toLimits(values.edgeItemsPerS),
    secretGraceMs: values.secretGraceH * HOUR_MS,
    claimCodeLifeMs: values.claimCodeH * HOUR_MS,
    smtpUrl: values.smtpUrl,
    mailFrom: values.mailFrom,
    logLevel: values.logLevel,
  };
  throwProblems([...problems, ...findContradictions(config, { isInsecure: values.insecure })]);
  return { config, warnings: settingWarnings(CLOUD_FORM, { env, effective }) };
}

/** What is right by itself, but not together. */
function findContradictions(config: CloudConfig, { isInsecure }: { readonly isInsecure: boolean }): readonly string[] {
  const { adminEmail, http, rpc, sysadminEmail, tls } = config;
  const problems: string[] = [];
  if (tls === null && !isInsecure) {
    for (const [name, host] of [
      ["httpHost", http.host],
      ["rpcHost", rpc.host],
    ] as const) {
      if (isLoopback(host)) continue;
      problems.push(
        `${name} is ${host}, which other machines can reach: set --tls-cert-file and --tls-key-file, or accept plain text with --insecure`,
      );
    }
  }
  if (adminEmail.toLowerCase() === sysadminEmail.toLowerCase()) {
    problems.push(`adminEmail and sysadminEmail are both ${adminEmail}, expected different ones`);
  }
  if (http.port !== 0 && http.port === rpc.port && http.host === rpc.host) {
    problems.push(`httpPort and rpcPort are both ${http.port}, expected different ports`);
  }
  return problems;
}

function toLimits(perS: number | "off"): BucketLimits | null {
  return perS === "off" ? null : { perS, burst: perS * BURST_S };
}

/** What `--help` prints. */
export function describeSettings(): string {
  const lines = helpRows(CLOUD_FORM).map(
    ([flag, variable, , text]) => `  ${flag ?? ""}\n      ${text ?? ""}\n      (${variable ?? ""})`,
  );
  return `Usage: bun run cloud [SETTING...]\n\nSettings, by flag, variable or key of the JSON file:\n${lines.join("\n")}`;
}
