import type { SettingList, SettingsForm } from "../shared/config/read-settings.ts";
import {
  booleanSetting,
  choiceSetting,
  databaseUrlSetting,
  emailSetting,
  integerSetting,
  passwordSetting,
  PORT_RANGE,
  smtpUrlSetting,
  switchedSetting,
  textSetting,
} from "../shared/config/setting.ts";
import { LOG_LEVELS, type LogLevel } from "../shared/observe/log.ts";

const PER_S_RANGE = { min: 1, max: 10_000_000 } as const;
const HOURS_MAX = 8_760;
const DAYS_RANGE = { min: 1, max: 36_500 } as const;

/** Every setting of the cloud, in the order of the help. The key is the name in the file; flag and variable follow from it. */
export const CLOUD_SETTINGS = {
  dataDir: textSetting({
    placeholder: "DIR",
    default: "./skerry-cloud-data",
    description: "Everything that the cloud keeps, unless DATABASE_URL names another server",
  }),
  databaseUrl: databaseUrlSetting({
    description: "External PostgreSQL 14 or newer instead of the embedded one; several cloud processes may share it",
  }),
  httpHost: textSetting({
    placeholder: "ADDRESS",
    default: null,
    description: "Address that REST listens on; 127.0.0.1 unless set, with a certificate 0.0.0.0",
  }),
  httpPort: integerSetting({
    placeholder: "PORT",
    default: 8080,
    range: PORT_RANGE,
    description: "Port of REST; 0 takes any free one",
  }),
  rpcHost: textSetting({
    placeholder: "ADDRESS",
    default: null,
    description: "Address that edges dial; 127.0.0.1 unless set, with a certificate 0.0.0.0",
  }),
  rpcPort: integerSetting({
    placeholder: "PORT",
    default: 7070,
    range: PORT_RANGE,
    description: "Port that edges dial; 0 takes any free one",
  }),
  tlsCertFile: textSetting({
    placeholder: "FILE",
    default: null,
    description: "PEM file with the certificate of both ports and its chain",
  }),
  tlsKeyFile: textSetting({
    placeholder: "FILE",
    default: null,
    description: "PEM file with the key of that certificate",
  }),
  insecure: booleanSetting({
    description: "Listen on other addresses than loopback without TLS: passwords and secrets can be read on the way",
  }),
  adminEmail: emailSetting({
    placeholder: "EMAIL",
    variable: "SKERRY_ADMIN_EMAIL",
    default: "tenant@skerry.local",
    description: "User name of the tenant administrator that the first start creates",
  }),
  adminPassword: passwordSetting({
    placeholder: "PASSWORD",
    variable: "SKERRY_ADMIN_PASSWORD",
    description: "Password of that administrator; without it one is made and printed once",
  }),
  sysadminEmail: emailSetting({
    placeholder: "EMAIL",
    variable: "SKERRY_SYSADMIN_EMAIL",
    default: "sysadmin@skerry.local",
    description: "User name of the system administrator, who makes tenants, that the first start creates",
  }),
  sysadminPassword: passwordSetting({
    placeholder: "PASSWORD",
    variable: "SKERRY_SYSADMIN_PASSWORD",
    description: "Password of that administrator; without it one is made and printed once",
  }),
  contentMaxMib: integerSetting({
    placeholder: "MIB",
    default: 512,
    range: { min: 1, max: 65_536 },
    description: "The largest content of an item that is taken from an edge",
  }),
  telemetryDays: switchedSetting({
    placeholder: "DAYS",
    default: "off",
    range: DAYS_RANGE,
    description: "Telemetry that was measured longer ago is dropped, a week at a time; off keeps all of it",
  }),
  roundsEveryS: integerSetting({
    placeholder: "SECONDS",
    default: 300,
    range: { min: 1, max: 86_400 },
    description:
      "Time between two comparisons of what a connected edge holds with what it should, beside those at each connect",
  }),
  tenantCallsPerS: switchedSetting({
    placeholder: "CALLS",
    default: 1_000,
    range: PER_S_RANGE,
    description:
      "REST calls of one tenant that each cloud process answers per second, ten seconds' worth at once; more get 429. off: any number",
  }),
  edgeItemsPerS: switchedSetting({
    placeholder: "ITEMS",
    default: "off",
    range: PER_S_RANGE,
    description:
      "Items that are taken from one edge per second, ten seconds' worth at once; more wait on the edge, nothing is refused. off: any number",
  }),
  auditDays: integerSetting({
    placeholder: "DAYS",
    default: 365,
    range: DAYS_RANGE,
    description: "How long entries of the audit log are kept",
  }),
  secretGraceH: integerSetting({
    placeholder: "HOURS",
    default: 24,
    range: { min: 0, max: HOURS_MAX },
    description: "How long the old secret of an edge still works after POST /api/edge/{edgeId}/secret",
  }),
  claimCodeH: integerSetting({
    placeholder: "HOURS",
    default: 24,
    range: { min: 1, max: HOURS_MAX },
    description: "How long a claim code is good, with which a new gateway becomes an edge",
  }),
  smtpUrl: smtpUrlSetting(),
  mailFrom: emailSetting({
    placeholder: "EMAIL",
    default: "skerry@localhost",
    description: "Sender of notifications",
  }),
  logLevel: choiceSetting<LogLevel>({
    placeholder: "LEVEL",
    variable: "SKERRY_LOG_LEVEL",
    choices: LOG_LEVELS,
    default: "info",
    description: "Least important lines that go to the log",
  }),
} as const satisfies SettingList;

export const CLOUD_FORM = {
  list: CLOUD_SETTINGS,
  variablePrefix: "SKERRY_CLOUD_",
  file: { flag: "config", variable: "SKERRY_CLOUD_CONFIG", placeholder: "FILE" },
} as const satisfies SettingsForm<SettingList>;
