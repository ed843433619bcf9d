import { parseCommandLine, type CommandCall, type CommandSyntax } from "../shared/config/command-line.ts";
import {
  flagsOf,
  readNamedFile,
  readSettings,
  readTlsFiles,
  settingWarnings,
  throwProblems,
  type EffectiveSetting,
  type SettingsInput,
  type SettingValues,
} from "../shared/config/read-settings.ts";
import { Secret } from "../shared/config/secret.ts";
import { ERROR_CODES } from "../shared/core/errors.ts";
import { isLoopback } from "../shared/core/hosts.ts";
import { EDGE_FORM, type EDGE_SETTINGS, type EdgeSettingName } from "./settings.ts";

type EdgeValues = SettingValues<typeof EDGE_SETTINGS>;

export interface EdgeConfig extends Omit<EdgeValues, "secretFile" | "tlsCaFile" | "tlsCertFile" | "tlsKeyFile"> {
  /** For devices, PEM; null: no TLS. */
  readonly tls: { readonly cert: string; readonly key: string } | null;
  /** What tlsCaFile holds, PEM. */
  readonly tlsCa: string | null;
}

/** The claim code of `enroll`: no setting, because it is of no use once it was used. */
export const CLAIM_CODE_VARIABLE = "SKERRY_CLAIM_CODE";

export interface EdgeConfigInput extends Omit<SettingsInput, "flags"> {
  /** What stands behind the program's name. */
  readonly argv: readonly string[];
  readonly commands: readonly CommandSyntax[];
}

export interface EdgeConfigResult {
  readonly command: CommandCall;
  readonly config: EdgeConfig;
  readonly settings: readonly EffectiveSetting<EdgeSettingName>[];
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
  const commandLine = parseCommandLine(input.argv, input.commands, flagsOf(EDGE_FORM));
  const problems = [...commandLine.problems];
  const read = readSettings(EDGE_FORM, { ...input, flags: commandLine.settings }, problems);
  const config = resolveFiles(read.values, input, problems);
  problems.push(...findContradictions(read.values, config, commandLine.call.name));
  throwProblems(problems);
  return {
    command: commandLine.call,
    config,
    settingsFile: read.path,
    settings: read.effective,
    warnings: findWarnings(input, read.effective, config),
  };
}

function resolveFiles(values: EdgeValues, { readFile }: EdgeConfigInput, problems: string[]): EdgeConfig {
  const { secretFile, tlsCaFile, tlsCertFile, tlsKeyFile, ...rest } = values;
  const reader = { readFile, problems };
  const secretText = readNamedFile("secretFile", secretFile, reader)?.trim();
  if (secretText === "") problems.push(`secretFile: expected the secret in file ${secretFile ?? ""}, but it is empty`);
  const tlsCa = readNamedFile("tlsCaFile", tlsCaFile, reader);
  if (tlsCa?.includes("-----BEGIN CERTIFICATE-----") === false) {
    problems.push(`tlsCaFile: expected a certificate in PEM form in file ${tlsCaFile ?? ""}, found none`);
  }
  const edgeSecret = secretText === undefined || secretText === "" ? rest.edgeSecret : new Secret(secretText);
  return { ...rest, edgeSecret, tlsCa, tls: readTlsFiles({ tlsCertFile, tlsKeyFile }, reader) };
}

/** What is right by itself, but not together. */
function findContradictions(values: EdgeValues, config: EdgeConfig, command: string): readonly string[] {
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
  effective: readonly EffectiveSetting<EdgeSettingName>[],
  config: EdgeConfig,
): readonly string[] {
  const warnings = [...settingWarnings(EDGE_FORM, { env: input.env, effective, alsoKnown: [CLAIM_CODE_VARIABLE] })];
  if (config.cloudUrl === null && config.edgeKey !== null) {
    warnings.push("Key and secret are set, but no cloudUrl: the edge works alone");
  }
  if (config.cloudUrl !== null && travelsInPlainText(config.cloudUrl)) {
    warnings.push(`The link to ${config.cloudUrl} is not encrypted: key, secret and data can be read on the way`);
  }
  return warnings;
}

/** Whether what goes to this address can be read on the way. */
export function travelsInPlainText(url: string): boolean {
  const { protocol, hostname } = new URL(url);
  return protocol === "http:" && !isLoopback(hostname);
}
