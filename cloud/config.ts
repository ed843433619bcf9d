import { AppError } from "../shared/core/errors.ts";
import type { BucketLimits } from "../shared/core/token-buckets.ts";
import { LOG_LEVELS, type LogLevel } from "../shared/observe/log.ts";

// Settings of the cloud: a flag, else a variable, else the default. All that is wrong is reported at once.

interface SettingSpec {
  /** `--name`; a value follows, or stands behind "=". */
  readonly flag: string;
  readonly variable: string;
  /** null: a switch without a value. */
  readonly placeholder: string | null;
  readonly description: string;
  /** As the help shows it. */
  readonly default: string;
}

/** Every setting, in the order of the help. */
export const CLOUD_SETTINGS = {
  dataDir: {
    flag: "data-dir",
    variable: "SKERRY_CLOUD_DATA_DIR",
    placeholder: "DIR",
    description: "Everything that the cloud keeps, unless DATABASE_URL names another server",
    default: "./skerry-cloud-data",
  },
  databaseUrl: {
    flag: "database-url",
    variable: "DATABASE_URL",
    placeholder: "URL",
    description: "External PostgreSQL 14 or newer instead of the embedded one; several cloud processes may share it",
    default: "none",
  },
  httpHost: {
    flag: "http-host",
    variable: "SKERRY_CLOUD_HTTP_HOST",
    placeholder: "ADDRESS",
    description: "Address that REST listens on",
    default: "127.0.0.1; with a certificate 0.0.0.0",
  },
  httpPort: {
    flag: "http-port",
    variable: "SKERRY_CLOUD_HTTP_PORT",
    placeholder: "PORT",
    description: "Port of REST; 0 takes any free one",
    default: "8080",
  },
  rpcHost: {
    flag: "rpc-host",
    variable: "SKERRY_CLOUD_RPC_HOST",
    placeholder: "ADDRESS",
    description: "Address that edges dial",
    default: "127.0.0.1; with a certificate 0.0.0.0",
  },
  rpcPort: {
    flag: "rpc-port",
    variable: "SKERRY_CLOUD_RPC_PORT",
    placeholder: "PORT",
    description: "Port that edges dial; 0 takes any free one",
    default: "7070",
  },
  tlsCertFile: {
    flag: "tls-cert-file",
    variable: "SKERRY_CLOUD_TLS_CERT_FILE",
    placeholder: "FILE",
    description: "PEM file with the certificate of both ports and its chain",
    default: "none",
  },
  tlsKeyFile: {
    flag: "tls-key-file",
    variable: "SKERRY_CLOUD_TLS_KEY_FILE",
    placeholder: "FILE",
    description: "PEM file with the key of that certificate",
    default: "none",
  },
  insecure: {
    flag: "insecure",
    variable: "SKERRY_CLOUD_INSECURE",
    placeholder: null,
    description: "Listen on other addresses than loopback without TLS: passwords and secrets can be read on the way",
    default: "false",
  },
  adminEmail: {
    flag: "admin-email",
    variable: "SKERRY_ADMIN_EMAIL",
    placeholder: "EMAIL",
    description: "User name of the tenant administrator that the first start creates",
    default: "tenant@skerry.local",
  },
  adminPassword: {
    flag: "admin-password",
    variable: "SKERRY_ADMIN_PASSWORD",
    placeholder: "PASSWORD",
    description: "Password of that administrator; a flag is visible in the list of processes",
    default: "made at random and printed once",
  },
  sysadminEmail: {
    flag: "sysadmin-email",
    variable: "SKERRY_SYSADMIN_EMAIL",
    placeholder: "EMAIL",
    description: "User name of the system administrator, who makes tenants, that the first start creates",
    default: "sysadmin@skerry.local",
  },
  sysadminPassword: {
    flag: "sysadmin-password",
    variable: "SKERRY_SYSADMIN_PASSWORD",
    placeholder: "PASSWORD",
    description: "Password of that administrator; a flag is visible in the list of processes",
    default: "made at random and printed once",
  },
  contentMaxMib: {
    flag: "content-max-mib",
    variable: "SKERRY_CLOUD_CONTENT_MAX_MIB",
    placeholder: "MIB",
    description: "The largest content of an item that is taken from an edge",
    default: "512",
  },
  telemetryDays: {
    flag: "telemetry-days",
    variable: "SKERRY_CLOUD_TELEMETRY_DAYS",
    placeholder: "DAYS",
    description: "Telemetry that was measured longer ago is dropped, a week at a time; off keeps all of it",
    default: "off",
  },
  roundsEveryS: {
    flag: "rounds-every-s",
    variable: "SKERRY_CLOUD_ROUNDS_EVERY_S",
    placeholder: "SECONDS",
    description:
      "Time between two comparisons of what a connected edge holds with what it should, beside those at each connect",
    default: "300",
  },
  tenantCallsPerS: {
    flag: "tenant-calls-per-s",
    variable: "SKERRY_CLOUD_TENANT_CALLS_PER_S",
    placeholder: "CALLS",
    description:
      "REST calls of one tenant that each cloud process answers per second, ten seconds' worth at once; more get 429. off: any number",
    default: "1000",
  },
  edgeItemsPerS: {
    flag: "edge-items-per-s",
    variable: "SKERRY_CLOUD_EDGE_ITEMS_PER_S",
    placeholder: "ITEMS",
    description:
      "Items that are taken from one edge per second, ten seconds' worth at once; more wait on the edge, nothing is refused. off: any number",
    default: "off",
  },
  auditDays: {
    flag: "audit-days",
    variable: "SKERRY_CLOUD_AUDIT_DAYS",
    placeholder: "DAYS",
    description: "How long entries of the audit log are kept",
    default: "365",
  },
  secretGraceH: {
    flag: "secret-grace-h",
    variable: "SKERRY_CLOUD_SECRET_GRACE_H",
    placeholder: "HOURS",
    description: "How long the old secret of an edge still works after POST /api/edge/{edgeId}/secret",
    default: "24",
  },
  claimCodeH: {
    flag: "claim-code-h",
    variable: "SKERRY_CLOUD_CLAIM_CODE_H",
    placeholder: "HOURS",
    description: "How long a claim code is good, with which a new gateway becomes an edge",
    default: "24",
  },
  logLevel: {
    flag: "log-level",
    variable: "SKERRY_LOG_LEVEL",
    placeholder: "LEVEL",
    description: `Least important lines of the log: ${LOG_LEVELS.join(", ")}`,
    default: "info",
  },
} as const satisfies Readonly<Record<string, SettingSpec>>;

type SettingName = keyof typeof CLOUD_SETTINGS;

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

export interface CloudConfig {
  readonly dataDir: string;
  /** null: the embedded server. A function, so that no log prints the password in it. */
  readonly databaseUrl: (() => string) | null;
  readonly http: ListenAddress;
  readonly rpc: ListenAddress;
  /** PEM texts; null: plain. */
  readonly tls: { readonly cert: string; readonly key: string } | null;
  readonly adminEmail: string;
  /** null: make one and print it. */
  readonly adminPassword: (() => string) | null;
  readonly sysadminEmail: string;
  /** null: make one and print it. */
  readonly sysadminPassword: (() => string) | null;
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
  readonly logLevel: LogLevel;
}

export interface CloudConfigInput {
  /** What stands behind the program's name. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Throws when the file can't be read. */
  readonly readFile: (path: string) => string;
}

/** @throws AppError CONFIG_INVALID that names every fault */
export function readCloudConfig(input: CloudConfigInput): CloudConfig {
  const problems: string[] = [];
  const values = readValues(input, problems);
  const tls = readTls(values, input, problems);
  const loopback = tls === null ? "127.0.0.1" : "0.0.0.0";
  const isInsecure = readSwitch(values, problems);
  const integer = (name: SettingName, range: IntegerRange): number => readInteger(name, range, { values, problems });
  const config: CloudConfig = {
    dataDir: values.get("dataDir")?.text ?? CLOUD_SETTINGS.dataDir.default,
    databaseUrl: hidden(values.get("databaseUrl")?.text),
    http: { host: values.get("httpHost")?.text ?? loopback, port: readPort("httpPort", values, problems) },
    rpc: { host: values.get("rpcHost")?.text ?? loopback, port: readPort("rpcPort", values, problems) },
    tls,
    adminEmail: readEmail("adminEmail", values, problems),
    adminPassword: readPassword("adminPassword", values, problems),
    sysadminEmail: readEmail("sysadminEmail", values, problems),
    sysadminPassword: readPassword("sysadminPassword", values, problems),
    contentBytesMax: integer("contentMaxMib", { min: 1, max: 65_536 }) * 1024 * 1024,
    telemetryKeptMs: readTelemetryKeptMs(values, problems),
    roundsEveryMs: integer("roundsEveryS", { min: 1, max: 86_400 }) * 1_000,
    auditKeptMs: integer("auditDays", { min: 1, max: 36_500 }) * DAY_MS,
    tenantLimits: readLimits("tenantCallsPerS", values, problems),
    edgeLimits: readLimits("edgeItemsPerS", values, problems),
    secretGraceMs: integer("secretGraceH", { min: 0, max: 8_760 }) * 3_600_000,
    claimCodeLifeMs: integer("claimCodeH", { min: 1, max: 8_760 }) * 3_600_000,
    logLevel: readLogLevel(values, problems),
  };
  if (tls === null && !isInsecure) {
    for (const [name, { host }] of [
      ["httpHost", config.http],
      ["rpcHost", config.rpc],
    ] as const) {
      if (isLoopback(host)) continue;
      problems.push(
        `${name} is ${host}, which other machines can reach: set ${flagList("tlsCertFile", "tlsKeyFile")}, or accept plain text with --insecure`,
      );
    }
  }
  if (config.adminEmail.toLowerCase() === config.sysadminEmail.toLowerCase()) {
    problems.push(`adminEmail and sysadminEmail are both ${config.adminEmail}, expected different ones`);
  }
  if (config.http.port !== 0 && config.http.port === config.rpc.port && config.http.host === config.rpc.host) {
    problems.push(`httpPort and rpcPort are both ${config.http.port}, expected different ports`);
  }
  if (problems.length === 0) return config;
  const count = problems.length === 1 ? "1 setting is" : `${problems.length} settings are`;
  throw new AppError("CONFIG_INVALID", [`${count} wrong:`, ...problems.map((problem) => `  ${problem}`)].join("\n"));
}

/** What `--help` prints. */
export function describeSettings(): string {
  const lines = Object.values(CLOUD_SETTINGS).map((setting: SettingSpec) => {
    const flag = setting.placeholder === null ? `--${setting.flag}` : `--${setting.flag} ${setting.placeholder}`;
    return `  ${flag}\n      ${setting.description}\n      (${setting.variable}; default: ${setting.default})`;
  });
  return `Usage: bun run cloud [SETTING...]\n\nSettings, by flag or variable:\n${lines.join("\n")}`;
}

interface Given {
  readonly text: string;
  /** The flag or variable that it comes from. */
  readonly origin: string;
}

type Values = ReadonlyMap<SettingName, Given>;

// Object.keys gives text; these keys are the names.
const SETTING_NAMES = Object.keys(CLOUD_SETTINGS) as SettingName[];

function readValues({ argv, env }: CloudConfigInput, problems: string[]): Values {
  const values = new Map<SettingName, Given>();
  for (const name of SETTING_NAMES) {
    const { variable } = CLOUD_SETTINGS[name];
    const text = env[variable];
    // Compose files pass variables that nobody filled in as empty ones.
    if (text !== undefined && text !== "") values.set(name, { text, origin: `variable ${variable}` });
  }
  for (const [name, text] of readFlags(argv, problems)) {
    values.set(name, { text, origin: `flag --${CLOUD_SETTINGS[name].flag}` });
  }
  return values;
}

function readFlags(argv: readonly string[], problems: string[]): Map<SettingName, string> {
  const flags = new Map<SettingName, string>();
  for (let index = 0; index < argv.length; index += 1) {
    const argument = argv[index] ?? "";
    const match = /^--([a-z-]+)(?:=(.*))?$/s.exec(argument);
    const name = SETTING_NAMES.find((candidate) => CLOUD_SETTINGS[candidate].flag === match?.[1]);
    if (match === null || name === undefined) {
      problems.push(`${argument.slice(0, 64)} is not a setting; see --help`);
      continue;
    }
    if (CLOUD_SETTINGS[name].placeholder === null) {
      flags.set(name, match[2] ?? "true");
      continue;
    }
    let value = match[2];
    if (value === undefined) {
      index += 1;
      value = argv[index];
    }
    if (value === undefined || value === "")
      problems.push(`--${CLOUD_SETTINGS[name].flag}: expected a value behind it`);
    else flags.set(name, value);
  }
  return flags;
}

function hidden(text: string | undefined): (() => string) | null {
  return text === undefined ? null : () => text;
}

function readPort(name: "httpPort" | "rpcPort", values: Values, problems: string[]): number {
  const given = values.get(name);
  if (given === undefined) return Number(CLOUD_SETTINGS[name].default);
  const port = Number(given.text);
  if (/^\d{1,5}$/.test(given.text) && port <= 65_535) return port;
  problems.push(`${name} (${given.origin}): expected a number from 0 to 65535, got ${given.text.slice(0, 64)}`);
  return 0;
}

interface IntegerRange {
  readonly min: number;
  readonly max: number;
}

function readInteger(
  name: SettingName,
  { min, max }: IntegerRange,
  { values, problems }: { readonly values: Values; readonly problems: string[] },
): number {
  const given = values.get(name);
  const number = Number(given?.text ?? CLOUD_SETTINGS[name].default);
  if (Number.isInteger(number) && number >= min && number <= max) return number;
  problems.push(
    `${name} (${given?.origin ?? ""}): expected a whole number from ${min} to ${max}, got ${given?.text.slice(0, 64) ?? ""}`,
  );
  return max;
}

/** How much may come at once. */
const BURST_S = 10;
const PER_S_MAX = 10_000_000;

function readLimits(
  name: "tenantCallsPerS" | "edgeItemsPerS",
  values: Values,
  problems: string[],
): BucketLimits | null {
  const given = values.get(name);
  const text = given?.text ?? CLOUD_SETTINGS[name].default;
  if (text === "off") return null;
  const perS = Number(text);
  if (Number.isInteger(perS) && perS >= 1 && perS <= PER_S_MAX) return { perS, burst: perS * BURST_S };
  problems.push(
    `${name} (${given?.origin ?? ""}): expected a whole number from 1 to ${PER_S_MAX} or off, got ${text.slice(0, 64)}`,
  );
  return null;
}

function readSwitch(values: Values, problems: string[]): boolean {
  const given = values.get("insecure");
  if (given === undefined || given.text === "false") return false;
  if (given.text !== "true")
    problems.push(`insecure (${given.origin}): expected true or false, got ${given.text.slice(0, 64)}`);
  return given.text === "true";
}

function readEmail(name: "adminEmail" | "sysadminEmail", values: Values, problems: string[]): string {
  const given = values.get(name);
  if (given === undefined) return CLOUD_SETTINGS[name].default;
  if (!/^[^\s@]+@[^\s@]+$/.test(given.text)) {
    problems.push(`${name} (${given.origin}): expected an e-mail address, got ${given.text.slice(0, 64)}`);
  }
  return given.text;
}

/** As in the password policy of the REST API. */
const PASSWORD_LENGTH_MIN = 6;

function readPassword(
  name: "adminPassword" | "sysadminPassword",
  values: Values,
  problems: string[],
): (() => string) | null {
  const given = values.get(name);
  if (given !== undefined && given.text.length < PASSWORD_LENGTH_MIN) {
    problems.push(
      `${name} (${given.origin}): expected ${PASSWORD_LENGTH_MIN} characters or more, got ${given.text.length}`,
    );
  }
  return hidden(given?.text);
}

const DAY_MS = 86_400_000;
const TELEMETRY_DAYS_MAX = 36_500;

function readTelemetryKeptMs(values: Values, problems: string[]): number | null {
  const given = values.get("telemetryDays");
  if (given === undefined || given.text === "off") return null;
  const days = Number(given.text);
  if (Number.isInteger(days) && days >= 1 && days <= TELEMETRY_DAYS_MAX) return days * DAY_MS;
  problems.push(
    `telemetryDays (${given.origin}): expected days from 1 to ${TELEMETRY_DAYS_MAX} or off, got ${given.text.slice(0, 64)}`,
  );
  return null;
}

function readLogLevel(values: Values, problems: string[]): LogLevel {
  const given = values.get("logLevel");
  const level = LOG_LEVELS.find((candidate) => candidate === (given?.text ?? CLOUD_SETTINGS.logLevel.default));
  if (level !== undefined) return level;
  problems.push(
    `logLevel (${given?.origin ?? ""}): expected one of ${LOG_LEVELS.join(", ")}, got ${given?.text.slice(0, 64) ?? ""}`,
  );
  return "info";
}

function readTls(values: Values, { readFile }: CloudConfigInput, problems: string[]): CloudConfig["tls"] {
  const certFile = values.get("tlsCertFile");
  const keyFile = values.get("tlsKeyFile");
  if (certFile === undefined && keyFile === undefined) return null;
  if (certFile === undefined || keyFile === undefined) {
    problems.push(`${flagList("tlsCertFile", "tlsKeyFile")} belong together, but only one is set`);
    return null;
  }
  const readPem = (name: SettingName, { text, origin }: Given): string => {
    try {
      const pem = readFile(text);
      if (!pem.includes("-----BEGIN ")) problems.push(`${name} (${origin}): expected PEM in file ${text}, found none`);
      return pem;
    } catch (error) {
      problems.push(
        `${name} (${origin}): file ${text} can't be read: ${error instanceof Error ? error.message : String(error)}`,
      );
      return "";
    }
  };
  return { cert: readPem("tlsCertFile", certFile), key: readPem("tlsKeyFile", keyFile) };
}

function flagList(...names: readonly SettingName[]): string {
  return names.map((name) => `--${CLOUD_SETTINGS[name].flag}`).join(" and ");
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}
