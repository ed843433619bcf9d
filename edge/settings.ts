import type { SettingList, SettingName, SettingsForm } from "../shared/config/read-settings.ts";
import {
  booleanSetting,
  choiceSetting,
  databaseUrlSetting,
  emailSetting,
  integerSetting,
  passwordSetting,
  PORT_RANGE,
  secretSetting,
  smtpUrlSetting,
  switchedSetting,
  textSetting,
} from "../shared/config/setting.ts";
import { CLOCK_SKEW_MS_MAX } from "../shared/core/sync-states.ts";
import { LOG_LEVELS, type LogLevel } from "../shared/observe/log.ts";
import { BACKLOG_ORDERS, type BacklogOrder } from "../shared/sync/frames.ts";
import type { DiskPolicy } from "./disk-quota.ts";
import { DISK_POLICIES, parseDiskQuota } from "./disk-quota.ts";

/** Every setting of the edge, in the order of the help. The key is the name in the file; flag and variable follow from it. */
export const EDGE_SETTINGS = {
  dataDir: textSetting({
    placeholder: "DIR",
    default: "./skerry-data",
    description: "Everything that the edge keeps: database, config.json, access for the commands",
  }),
  databaseUrl: databaseUrlSetting({ description: "External PostgreSQL 14 or newer instead of the one inside" }),
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
  mqttConnectionsPerAddress: switchedSetting({
    placeholder: "NUMBER",
    default: "off",
    range: { min: 1, max: 100_000 },
    description: "Connections of MQTT that one address may hold at once; further ones are refused",
  }),
  failedLoginsPerAddress: {
    ...textSetting({
      placeholder: "LIMIT",
      default: "off",
      description:
        "Sign-ins of devices with wrong credentials that one address may make over MQTT and HTTP, as 10:60 (count:seconds); beyond them it is refused until these seconds are over",
    }),
    expected: "a limit as 10:60 (count:seconds), or off",
    read: (value: unknown) =>
      typeof value === "string" && /^(?:off|[1-9][0-9]{0,5}:[1-9][0-9]{0,5})$/.test(value) ? value : undefined,
  },
  coapHost: textSetting({ placeholder: "ADDRESS", default: "0.0.0.0", description: "Address that CoAP listens on" }),
  coapPort: switchedSetting({
    placeholder: "PORT",
    default: 5683,
    range: PORT_RANGE,
    description: "UDP port of CoAP; 0 takes any free one, off serves none",
  }),
  adminEmail: emailSetting({
    placeholder: "EMAIL",
    default: "admin@skerry.local",
    description: "User name of the administrator that the first start creates",
  }),
  adminPassword: passwordSetting({
    placeholder: "PASSWORD",
    description: "Password of that administrator; without it one is made and printed once",
  }),
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
  smtpUrl: smtpUrlSetting(),
  mailFrom: emailSetting({
    placeholder: "EMAIL",
    default: "skerry@localhost",
    description: "Sender of notifications",
  }),
  notifyAfterS: integerSetting({
    placeholder: "S",
    default: 30,
    range: { min: 5, max: 3_600 },
    description: "Without a link for so long, the edge sends notifications of alarms itself, by rules that say so",
  }),
  logLevel: choiceSetting<LogLevel>({
    placeholder: "LEVEL",
    choices: LOG_LEVELS,
    default: "info",
    description: "Least important lines that go to the log",
  }),
} as const satisfies SettingList;

export type EdgeSettingName = SettingName<typeof EDGE_SETTINGS>;

export const EDGE_FORM = {
  list: EDGE_SETTINGS,
  variablePrefix: "SKERRY_",
  file: { flag: "config", variable: "SKERRY_CONFIG", placeholder: "FILE" },
} as const satisfies SettingsForm<SettingList>;

/** The origin alone: a path, a query or credentials in it mean that something else was meant. */
function readCloudUrl(value: unknown): string | undefined {
  if (typeof value !== "string" || !URL.canParse(value)) return undefined;
  const url = new URL(value);
  const isWeb = url.protocol === "https:" || url.protocol === "http:";
  const isOrigin =
    url.pathname === "/" && url.search === "" && url.hash === "" && url.username === "" && url.password === "";
  return isWeb && isOrigin && url.hostname !== "" ? url.origin : undefined;
}
