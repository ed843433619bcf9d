import { ERROR_CODES, AppError } from "../shared/core/errors.ts";
import { CLOCK_SKEW_MS_MAX } from "../shared/core/sync-states.ts";
import { LOG_LEVELS, type LogLevel } from "../shared/observe/log.ts";
import { BACKLOG_ORDERS, type BacklogOrder } from "../shared/sync/frames.ts";
import type { CommandCall, CommandSyntax, SettingFlag } from "./cli/syntax.ts";
import { parseCommandLine } from "./cli/syntax.ts";
import type { DiskPolicy } from "./disk-quota.ts";
import { DISK_POLICIES, parseDiskQuota } from "./disk-quota.ts";
import { Secret } from "./secret.ts";
import type { Setting } from "./setting.ts";
import {
  booleanSetting,
  choiceSetting,
  flagOf,
  integerSetting,
  secretSetting,
  switchedSetting,
  textSetting,
  variableOf,
} from "./setting.ts";

/** As the REST interface wants it of new passwords. */
const PASSWORD_LENGTH_MIN = 6;
const PORT_RANGE = { min: 0, max: 65_535 } as const;

/** Every setting of the edge, in the order of the help. The key is the name in the file; flag and variable follow from it. */
export const EDGE_SETTINGS = {
  dataDir: textSetting({
    placeholder: "DIR",
    default: "./skerry-data",
    description: "Everything that the edge keeps: database, config.json, access for the commands",
  }),
  databaseUrl: {
    ...secretSetting({
      placeholder: "URL",
      variable: "DATABASE_URL",
      description: "External PostgreSQL 14 or newer instead of the one inside",
    }),
    expected: "an address as postgres://user:password@host:5432/name",
    read: readDatabaseUrl,
  },
  cloudUrl: {
    ...textSetting({
      placeholder: "URL",
      default: null,
      description: "RPC address of the cloud, as https://cloud.example:7070; without it the edge works alone",
    }),
    expected: "an address as https://cloud.example:7070",
    read: readCloudUrl,
  },
  edgeKey: textSetting({ placeholder: "KEY", default: null, description: "Routing key of this edge, from the cloud" }),
  edgeSecret: secretSetting({ placeholder: "SECRET", description: "Secret of this edge, from the cloud" }),
  secretFile: textSetting({
    placeholder: "FILE",
    default: null,
    description: "File with the secret of this edge, in place of edgeSecret",
  }),
  insecure: booleanSetting({ description: "Send the secret to another host without TLS" }),
  tlsCaFile: textSetting({
    placeholder: "FILE",
    default: null,
    description: "PEM file of the authorities that may sign the cloud's certificate, in place of the system's",
  }),
  backlogOrder: choiceSetting<BacklogOrder>({
    placeholder: "ORDER",
    choices: BACKLOG_ORDERS,
    default: "interleaved",
    description:
      "Order of telemetry that waited for the link: interleaved and newest-first send fresh telemetry at once beside it, oldest-first sends everything in its order",
  }),
  mqttHost: textSetting({ placeholder: "ADDRESS", default: "0.0.0.0", description: "Address that MQTT listens on" }),
  mqttPort: integerSetting({
    placeholder: "PORT",
    default: 1883,
    range: PORT_RANGE,
    description: "Port of MQTT; 0 takes any free one",
  }),
  mqttTlsPort: integerSetting({
    placeholder: "PORT",
    default: 8883,
    range: PORT_RANGE,
    description: "Port of MQTT over TLS, on mqttHost; only with tlsCertFile; 0 takes any free one",
  }),
  tlsCertFile: textSetting({
    placeholder: "FILE",
    default: null,
    description: "PEM file of the certificate that this edge shows to devices",
  }),
  tlsKeyFile: textSetting({ placeholder: "FILE", default: null, description: "PEM file of the key of tlsCertFile" }),
  httpHost: textSetting({
    placeholder: "ADDRESS",
    default: "0.0.0.0",
    description: "Address that HTTP listens on: devices, REST, status, metrics",
  }),
  httpPort: integerSetting({
    placeholder: "PORT",
    default: 8080,
    range: PORT_RANGE,
    description: "Port of HTTP; 0 takes any free one",
  }),
  coapHost: textSetting({ placeholder: "ADDRESS", default: "0.0.0.0", description: "Address that CoAP listens on" }),
  coapPort: switchedSetting({
    placeholder: "PORT",
    default: 5683,
    range: PORT_RANGE,
    description: "UDP port of CoAP; 0 takes any free one, off serves none",
  }),
  adminEmail: {
    ...textSetting({
      placeholder: "EMAIL",
      default: "admin@skerry.local",
      description: "User name of the administrator that the first start creates",
    }),
    expected: "an e-mail address",
    read: readEmail,
  },
  adminPassword: {
    ...secretSetting({
      placeholder: "PASSWORD",
      description: "Password of that administrator; without it one is made and printed once",
    }),
    expected: `a text of at least ${PASSWORD_LENGTH_MIN} characters`,
    read: readPassword,
  },
  diskQuota: {
    ...textSetting({
      placeholder: "SIZE",
      default: "80%",
      description:
        "What the data directory may take: as 4GB, 500MB, off, or a part of what it takes and what is free at the start. Above it telemetry is removed by diskPolicy; not with databaseUrl",
    }),
    expected: "a size as 4GB or 500MB (at least 256MB), a part as 80%, or off",
    read: (value: unknown) => (typeof value === "string" && parseDiskQuota(value) !== undefined ? value : undefined),
  },
  diskPolicy: choiceSetting<DiskPolicy>({
    placeholder: "POLICY",
    choices: DISK_POLICIES,
    default: "thin",
    description:
      "What happens to unsent telemetry when the quota is reached and nothing else can go: thin keeps every second record before it drops the oldest",
  }),
  historyDays: integerSetting({
    placeholder: "DAYS",
    default: 30,
    range: { min: 1, max: 3_650 },
    description: "Days of running that telemetry stays on the edge",
  }),
  historyMaxMb: integerSetting({
    placeholder: "MB",
    default: 4_096,
    range: { min: 16, max: 1_000_000 },
    description: "Telemetry on the edge beyond this size goes earlier, oldest first",
  }),
  transferredDays: integerSetting({
    placeholder: "DAYS",
    default: 7,
    range: { min: 1, max: 3_650 },
    description: "Days of running that events stay in the list of events after the cloud has them",
  }),
  transferredMaxMb: integerSetting({
    placeholder: "MB",
    default: 1_024,
    range: { min: 16, max: 1_000_000 },
    description: "Such events beyond this size go earlier, oldest first; per lane",
  }),
  clockSkewMaxMs: integerSetting({
    placeholder: "MS",
    default: CLOCK_SKEW_MS_MAX,
    range: { min: 1, max: 86_400_000 },
    description: "Difference between the clocks of edge and cloud from which on it is a warning",
  }),
  contentMaxMib: integerSetting({
    placeholder: "MIB",
    default: 512,
    range: { min: 1, max: 65_536 },
    description: "The largest content of an item that is taken from the cloud",
  }),
  logLevel: choiceSetting<LogLevel>({
    placeholder: "LEVEL",
    choices: LOG_LEVELS,
    default: "info",
    description: "Least important lines that go to the log",
  }),
} as const satisfies Readonly<Record<string, Setting<unknown>>>;

export type EdgeSettingName = keyof typeof EDGE_SETTINGS;

type SettingValues = {
  readonly [Name in EdgeSettingName]: (typeof EDGE_SETTINGS)[Name] extends Setting<infer T> ? T : never;
};

export interface EdgeConfig extends Omit<SettingValues, "secretFile" | "tlsCaFile" | "tlsCertFile" | "tlsKeyFile"> {
  /** For devices, PEM; null: no TLS. */
  readonly tls: { readonly cert: string; readonly key: string } | null;
  /** What tlsCaFile holds, PEM. */
  readonly tlsCa: string | null;
}

/** The claim code of `enroll`: no setting, because it is of no use once it was used. */
export const CLAIM_CODE_VARIABLE = "SKERRY_CLAIM_CODE";

/** Where the file of settings is; no setting itself, because it can't stand in the file. */
export const CONFIG_FILE = {
  flag: "config",
  variable: "SKERRY_CONFIG",
  placeholder: "FILE",
  description: "JSON file of settings; without it config.json in the data directory, if it exists",
} as const;

export type SettingSource = "flag" | "environment" | "file" | "default";

/** A setting for people: secrets as `[hidden]`. */
export interface EffectiveSetting {
  readonly name: EdgeSettingName;
  readonly value: string | number | boolean | null;
  readonly source: SettingSource;
  /** The flag, variable or file it comes from. */
  readonly origin: string;
}

export interface EdgeConfigInput {
  /** What stands behind the program's name. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Throws what the system says; `code` ENOENT for a file that is not there. */
  readonly readFile: (path: string) => string;
  readonly commands: readonly CommandSyntax[];
}

export interface EdgeConfigResult {
  readonly command: CommandCall;
  readonly config: EdgeConfig;
  readonly settings: readonly EffectiveSetting[];
  /** The file that they come from, whether it is there or not. */
  readonly settingsFile: string;
  /** One sentence each, for the log or standard error. */
  readonly warnings: readonly string[];
}

/**
 * The settings from flag, environment, file and default, in that order of precedence.
 *
 * @throws AppError CONFIG_INVALID that names every fault with its source; its text holds no secret
 */
export function readEdgeConfig(input: EdgeConfigInput): EdgeConfigResult {
  const commandLine = parseCommandLine(input.argv, input.commands, edgeSettingFlags());
  const problems = [...commandLine.problems];
  const file = readSettingsFile(input, commandLine.settings, problems);
  const found = new Map<EdgeSettingName, Found>();
  for (const name of SETTING_NAMES) found.set(name, findSetting(name, input, commandLine.settings, file, problems));
  // Every value is what the setting's `read` or `default` gave.
  const values = Object.fromEntries([...found].map(([name, { value }]) => [name, value])) as unknown as SettingValues;
  const config = resolveFiles(values, input, problems);
  problems.push(...findContradictions(values, config, commandLine.call.name));
  if (problems.length > 0) throw new AppError("CONFIG_INVALID", describeProblems(problems));
  return {
    command: commandLine.call,
    config,
    settingsFile: settingsFileOf(input, commandLine.settings).path,
    settings: [...found].map(([name, { value, source, origin }]) => ({
      name,
      value: showValue(value),
      source,
      origin,
    })),
    warnings: findWarnings(input, found, config),
  };
}

// Object.keys gives text; these keys are the names.
const SETTING_NAMES = Object.keys(EDGE_SETTINGS) as EdgeSettingName[];

/** Every setting as a flag, `--config` included. */
export function edgeSettingFlags(): readonly SettingFlag[] {
  const flags = SETTING_NAMES.map((name) => ({
    flag: flagOf(name),
    takesValue: EDGE_SETTINGS[name].placeholder !== null,
  }));
  return [{ flag: CONFIG_FILE.flag, takesValue: true }, ...flags];
}

interface SettingsFile {
  readonly path: string;
  readonly values: ReadonlyMap<string, unknown>;
}

/** Null: there is none. */
function readSettingsFile(
  input: EdgeConfigInput,
  flags: ReadonlyMap<string, string>,
  problems: string[],
): SettingsFile | null {
  const { given, path } = settingsFileOf(input, flags);
  let text: string;
  try {
    text = input.readFile(path);
  } catch (error) {
    if (given === undefined && isMissing(error)) return null;
    problems.push(`File of settings ${path} can't be read: ${systemReason(error)}`);
    return null;
  }
  const values = parseObject(text);
  if (values === null) {
    problems.push(`File of settings ${path} is not a JSON object`);
    return null;
  }
  for (const name of values.keys()) {
    if (!Object.hasOwn(EDGE_SETTINGS, name)) problems.push(`${name} (file ${path}) is not a setting; see --help`);
  }
  if (given === undefined && values.has("dataDir")) {
    problems.push(
      `dataDir (file ${path}) can't be set in the data directory itself; use --data-dir or SKERRY_DATA_DIR`,
    );
  }
  return { path, values };
}

/** `given`: named by flag or variable. */
function settingsFileOf(
  { env }: Pick<EdgeConfigInput, "env">,
  flags: ReadonlyMap<string, string>,
): { readonly given: string | undefined; readonly path: string } {
  const given = flags.get(CONFIG_FILE.flag) ?? nonEmpty(env[CONFIG_FILE.variable]);
  const dataDir = flags.get(flagOf("dataDir")) ?? nonEmpty(env["SKERRY_DATA_DIR"]) ?? EDGE_SETTINGS.dataDir.default;
  return { given, path: given ?? `${dataDir.replace(/\/+$/, "")}/config.json` };
}

/** Null when it is anything else. JSON.parse quotes what it stumbles over, which may be a secret: its text is dropped. */
function parseObject(text: string): ReadonlyMap<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
    return new Map(Object.entries(value));
  } catch {
    return null;
  }
}

interface Found {
  readonly value: unknown;
  readonly source: SettingSource;
  readonly origin: string;
}

/** The value of the source that takes precedence; each source that holds something wrong is a problem. */
function findSetting(
  name: EdgeSettingName,
  input: EdgeConfigInput,
  flags: ReadonlyMap<string, string>,
  file: SettingsFile | null,
  problems: string[],
): Found {
  const setting: Setting<unknown> = EDGE_SETTINGS[name];
  const variable = variableOf(name, setting);
  const flagText = flags.get(flagOf(name));
  const variableText = nonEmpty(input.env[variable]);
  const candidates: { source: SettingSource; origin: string; raw: unknown }[] = [];
  if (flagText !== undefined) {
    candidates.push({ source: "flag", origin: `flag --${flagOf(name)}`, raw: setting.fromText(flagText) });
  }
  if (variableText !== undefined) {
    candidates.push({ source: "environment", origin: `variable ${variable}`, raw: setting.fromText(variableText) });
  }
  if (file?.values.has(name) === true) {
    candidates.push({ source: "file", origin: `file ${file.path}`, raw: file.values.get(name) });
  }
  let result: Found | undefined;
  for (const { source, origin, raw } of candidates) {
    const value = setting.read(raw);
    if (value === undefined) {
      problems.push(`${name} (${origin}): expected ${setting.expected}, got ${describeValue(raw, setting.secret)}`);
    } else {
      result ??= { value, source, origin };
    }
  }
  return result ?? { value: setting.default, source: "default", origin: "default" };
}

function resolveFiles(values: SettingValues, input: EdgeConfigInput, problems: string[]): EdgeConfig {
  const { secretFile, tlsCaFile, tlsCertFile, tlsKeyFile, ...rest } = values;
  const readNamed = (name: EdgeSettingName, path: string | null): string | null => {
    if (path === null) return null;
    try {
      return input.readFile(path);
    } catch (error) {
      problems.push(`${name}: file ${path} can't be read: ${systemReason(error)}`);
      return null;
    }
  };
  const secretText = readNamed("secretFile", secretFile)?.trim();
  if (secretText === "") problems.push(`secretFile: expected the secret in file ${secretFile ?? ""}, but it is empty`);
  const tlsCa = readNamed("tlsCaFile", tlsCaFile);
  if (tlsCa?.includes("-----BEGIN CERTIFICATE-----") === false) {
    problems.push(`tlsCaFile: expected a certificate in PEM form in file ${tlsCaFile ?? ""}, found none`);
  }
  const cert = readNamed("tlsCertFile", tlsCertFile);
  const key = readNamed("tlsKeyFile", tlsKeyFile);
  if ((tlsCertFile === null) !== (tlsKeyFile === null))
    problems.push("tlsCertFile and tlsKeyFile belong together, but only one is set");
  const tls = cert === null || key === null ? null : { cert, key };
  const edgeSecret = secretText === undefined || secretText === "" ? rest.edgeSecret : new Secret(secretText);
  return { ...rest, edgeSecret, tlsCa, tls };
}

/** What is right by itself, but not together. */
function findContradictions(values: SettingValues, config: EdgeConfig, command: string): readonly string[] {
  const problems: string[] = [];
  const hasSecret = values.edgeSecret !== null || values.secretFile !== null;
  if (values.edgeSecret !== null && values.secretFile !== null) {
    problems.push("edgeSecret and secretFile are both set, expected one of them");
  }
  if (config.edgeKey !== null && !hasSecret) problems.push("edgeKey is set without edgeSecret or secretFile");
  if (config.edgeKey === null && hasSecret) problems.push("The edge's secret is set without edgeKey");
  // `enroll` is there to fetch them.
  if (config.cloudUrl !== null && config.edgeKey === null && !hasSecret && command !== "enroll") {
    problems.push(
      "cloudUrl is set without edgeKey and edgeSecret, which the cloud shows when the edge is created there, or which `enroll` fetches",
    );
  }
  if (config.cloudUrl !== null && travelsInPlainText(config.cloudUrl) && !config.insecure) {
    problems.push(`cloudUrl ${config.cloudUrl} (INSECURE_TRANSPORT): ${ERROR_CODES.INSECURE_TRANSPORT}`);
  }
  if (config.mqttPort !== 0 && config.mqttPort === config.httpPort && config.mqttHost === config.httpHost) {
    problems.push(`mqttPort and httpPort are both ${config.mqttPort}, expected different ports`);
  }
  return problems;
}

function findWarnings(
  input: EdgeConfigInput,
  found: ReadonlyMap<EdgeSettingName, Found>,
  config: EdgeConfig,
): readonly string[] {
  const warnings: string[] = [];
  const variables = SETTING_NAMES.map((name) => variableOf(name, EDGE_SETTINGS[name]));
  const known = new Set<string>([...variables, CONFIG_FILE.variable, CLAIM_CODE_VARIABLE]);
  for (const variable of Object.keys(input.env).toSorted()) {
    if (!variable.startsWith("SKERRY_") || known.has(variable)) continue;
    warnings.push(`Variable ${variable} is not a setting and has no effect`);
  }
  for (const [name, { source }] of found) {
    if (!EDGE_SETTINGS[name].secret || source !== "flag") continue;
    const variable = variableOf(name, EDGE_SETTINGS[name]);
    const instead =
      name === "edgeSecret"
        ? `--secret-file, ${variable} or the file of settings`
        : `${variable} or the file of settings`;
    warnings.push(`A secret given by flag --${flagOf(name)} is visible in the list of processes; use ${instead}`);
  }
  if (config.cloudUrl === null && config.edgeKey !== null) {
    warnings.push("Key and secret are set, but no cloudUrl: the edge works alone");
  }
  if (config.cloudUrl !== null && travelsInPlainText(config.cloudUrl)) {
    warnings.push(`The link to ${config.cloudUrl} is not encrypted: key, secret and data can be read on the way`);
  }
  return warnings;
}

export function travelsInPlainText(url: string): boolean {
  const { protocol, hostname } = new URL(url);
  return protocol === "http:" && !isLoopback(hostname);
}

function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "[::1]" || /^127(\.\d{1,3}){3}$/.test(hostname);
}

/** The origin alone: a path, a query or credentials in it mean that something else was meant. */
function readCloudUrl(value: unknown): string | undefined {
  if (typeof value !== "string" || !URL.canParse(value)) return undefined;
  const url = new URL(value);
  const isWeb = url.protocol === "https:" || url.protocol === "http:";
  const isOrigin =
    url.pathname === "/" && url.search === "" && url.hash === "" && url.username === "" && url.password === "";
  return isWeb && isOrigin && url.hostname !== "" ? url.origin : undefined;
}

function readDatabaseUrl(value: unknown): Secret | undefined {
  return typeof value === "string" && /^postgres(ql)?:\/\/\S+$/.test(value) ? new Secret(value) : undefined;
}

function readPassword(value: unknown): Secret | undefined {
  return typeof value === "string" && value.length >= PASSWORD_LENGTH_MIN ? new Secret(value) : undefined;
}

function readEmail(value: unknown): string | undefined {
  return typeof value === "string" && /^[^\s@]+@[^\s@]+$/.test(value) ? value : undefined;
}

function showValue(value: unknown): string | number | boolean | null {
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return value;
  return value === null || value === undefined ? null : "[hidden]";
}

const SHOWN_LENGTH_MAX = 60;

/** A wrong value as an error may show it. */
function describeValue(value: unknown, isSecret: boolean): string {
  if (value === "") return "an empty text";
  if (isSecret && typeof value === "string") return "a text that is not shown";
  if (isSecret) return value === null ? "null" : `a ${Array.isArray(value) ? "list" : typeof value} that is not shown`;
  const text = JSON.stringify(value).replaceAll(/\/\/[^/@]*@/g, "//[hidden]@");
  return text.length > SHOWN_LENGTH_MAX ? `${text.slice(0, SHOWN_LENGTH_MAX)}…` : text;
}

function describeProblems(problems: readonly string[]): string {
  const count = problems.length === 1 ? "1 setting or argument is" : `${problems.length} settings or arguments are`;
  return [`${count} wrong:`, ...problems.map((problem) => `  ${problem}`)].join("\n");
}

/** Service managers and compose files pass variables that nobody filled in as empty ones. */
function nonEmpty(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR");
}

function systemReason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return "code" in error ? String(error.code) : error.message;
}
