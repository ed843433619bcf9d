import { AppError } from "../core/errors.ts";
import type { SettingFlag } from "./command-line.ts";
import { flagOf, variableOf, type Setting } from "./setting.ts";

// The settings of a program from flag, variable, file and default, in that order of precedence. All that is wrong is gathered, so that
// it is reported at once; no text of a fault holds a secret.

export type SettingList = Readonly<Record<string, Setting<unknown>>>;

export type SettingName<List extends SettingList> = Extract<keyof List, string>;

export type SettingValues<List extends SettingList> = {
  readonly [Name in keyof List]: List[Name] extends Setting<infer T> ? T : never;
};

/** What a program declares of its settings. */
export interface SettingsForm<List extends SettingList> {
  /** The key is the name in the file; flag and variable follow from it. */
  readonly list: List;
  /** Of variables, as `SKERRY_`. */
  readonly variablePrefix: string;
  /** Where the file is; no setting itself, because it can't stand in the file. */
  readonly file: { readonly flag: string; readonly variable: string; readonly placeholder: string };
}

export interface SettingsInput {
  /** Flag to text, as the command line gave them. */
  readonly flags: ReadonlyMap<string, string>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Throws what the system says; `code` ENOENT for a file that is not there. */
  readonly readFile: (path: string) => string;
}

export type SettingSource = "flag" | "environment" | "file" | "default";

/** A setting for people: secrets as `[hidden]`. */
export interface EffectiveSetting<Name extends string> {
  readonly name: Name;
  readonly value: string | number | boolean | null;
  readonly source: SettingSource;
  /** The flag, variable or file it comes from. */
  readonly origin: string;
}

export interface ReadSettings<List extends SettingList> {
  readonly values: SettingValues<List>;
  readonly effective: readonly EffectiveSetting<SettingName<List>>[];
  /** The file, whether it is there or not. */
  readonly path: string;
}

/** @param problems gets one sentence for each fault; what is at fault has its default then */
export function readSettings<List extends SettingList & { readonly dataDir: Setting<string> }>(
  form: SettingsForm<List>,
  input: SettingsInput,
  problems: string[],
): ReadSettings<List> {
  const file = readSettingsFile(form, input, problems);
  const found = Object.entries(form.list).map(([name, setting]) => {
    const variable = variableOf(name, setting, form.variablePrefix);
    // Object.entries gives text; these keys are the names.
    return { name: name as SettingName<List>, ...findSetting({ name, setting, variable, input, file, problems }) };
  });
  return {
    // Every value is what the setting's `read` or `default` gave.
    values: Object.fromEntries(found.map(({ name, value }) => [name, value])) as unknown as SettingValues<List>,
    effective: found.map((one) => ({ ...one, value: showValue(one.value) })),
    path: file.path,
  };
}

/** @throws AppError CONFIG_INVALID that names every one of them */
export function throwProblems(problems: readonly string[]): void {
  if (problems.length === 0) return;
  const count = problems.length === 1 ? "1 setting or argument is" : `${problems.length} settings or arguments are`;
  throw new AppError("CONFIG_INVALID", [`${count} wrong:`, ...problems.map((problem) => `  ${problem}`)].join("\n"));
}

export function namesOf<List extends SettingList>({ list }: Pick<SettingsForm<List>, "list">): SettingName<List>[] {
  // Object.keys gives text; these keys are the names.
  return Object.keys(list) as SettingName<List>[];
}

/** Every setting as a flag, the file's included. */
export function flagsOf<List extends SettingList>(form: SettingsForm<List>): readonly SettingFlag[] {
  const flags = Object.entries(form.list).map(([name, { placeholder }]) => ({
    flag: flagOf(name),
    takesValue: placeholder !== null,
  }));
  return [{ flag: form.file.flag, takesValue: true }, ...flags];
}

/** Null when it can't be read, which is a problem then. */
export function readNamedFile(
  name: string,
  path: string | null,
  { readFile, problems }: Pick<SettingsInput, "readFile"> & { readonly problems: string[] },
): string | null {
  if (path === null) return null;
  try {
    return readFile(path);
  } catch (error) {
    problems.push(`${name}: file ${path} can't be read: ${systemReason(error)}`);
    return null;
  }
}

/** Certificate and key of servers, PEM; null: none are set. */
export function readTlsFiles(
  { tlsCertFile, tlsKeyFile }: { readonly tlsCertFile: string | null; readonly tlsKeyFile: string | null },
  reader: Pick<SettingsInput, "readFile"> & { readonly problems: string[] },
): { readonly cert: string; readonly key: string } | null {
  const readPem = (name: string, path: string | null): string | null => {
    const text = readNamedFile(name, path, reader);
    if (text?.includes("-----BEGIN ") === false)
      reader.problems.push(`${name}: expected PEM in file ${path ?? ""}, found none`);
    return text;
  };
  const cert = readPem("tlsCertFile", tlsCertFile);
  const key = readPem("tlsKeyFile", tlsKeyFile);
  if ((tlsCertFile === null) !== (tlsKeyFile === null))
    reader.problems.push("tlsCertFile and tlsKeyFile belong together, but only one is set");
  return cert === null || key === null ? null : { cert, key };
}

/** One sentence for each variable of the program that means nothing, and for each secret that the list of processes shows. */
export function settingWarnings<List extends SettingList>(
  form: SettingsForm<List>,
  { env, effective, alsoKnown = [] }: WarnedSettings<SettingName<List>>,
): readonly string[] {
  const variableOfSetting = (name: SettingName<List>): string =>
    variableOf(name, form.list[name] ?? {}, form.variablePrefix);
  const known = new Set<string>([...namesOf(form).map(variableOfSetting), form.file.variable, ...alsoKnown]);
  const unknown = Object.keys(env).filter(
    (variable) => variable.startsWith(form.variablePrefix) && !known.has(variable),
  );
  const shown = effective.filter(({ name, source }) => source === "flag" && form.list[name]?.secret === true);
  return [
    ...unknown.toSorted().map((variable) => `Variable ${variable} is not a setting and has no effect`),
    ...shown.map(({ name }) => {
      const flag = flagOf(name);
      const instead = `${variableOfSetting(name)} or the file of settings`;
      return `A secret given by flag --${flag} is visible in the list of processes; use ${instead}`;
    }),
  ];
}

interface WarnedSettings<Name extends string> {
  readonly env: SettingsInput["env"];
  readonly effective: readonly EffectiveSetting<Name>[];
  /** Variables that are no settings. @default none */
  readonly alsoKnown?: readonly string[];
}

interface SettingsFile {
  readonly path: string;
  readonly values: ReadonlyMap<string, unknown>;
}

function readSettingsFile<List extends SettingList & { readonly dataDir: Setting<string> }>(
  form: SettingsForm<List>,
  input: SettingsInput,
  problems: string[],
): SettingsFile {
  const { given, path } = findSettingsFile(form, input);
  const nothing = { path, values: new Map<string, unknown>() };
  let text: string;
  try {
    text = input.readFile(path);
  } catch (error) {
    if (given === undefined && isMissing(error)) return nothing;
    problems.push(`File of settings ${path} can't be read: ${systemReason(error)}`);
    return nothing;
  }
  const values = parseObject(text);
  if (values === null) {
    problems.push(`File of settings ${path} is not a JSON object`);
    return nothing;
  }
  for (const name of values.keys()) {
    if (!Object.hasOwn(form.list, name)) problems.push(`${name} (file ${path}) is not a setting; see --help`);
  }
  if (given === undefined && values.has("dataDir")) {
    const instead = `--data-dir or ${variableOf("dataDir", form.list.dataDir, form.variablePrefix)}`;
    problems.push(`dataDir (file ${path}) can't be set in the data directory itself; use ${instead}`);
  }
  return { path, values };
}

/** `given`: named by flag or variable. */
function findSettingsFile<List extends SettingList & { readonly dataDir: Setting<string> }>(
  { file, list, variablePrefix }: SettingsForm<List>,
  { env, flags }: SettingsInput,
): { readonly given: string | undefined; readonly path: string } {
  const given = flags.get(file.flag) ?? nonEmpty(env[file.variable]);
  const variable = variableOf("dataDir", list.dataDir, variablePrefix);
  const dataDir = flags.get(flagOf("dataDir")) ?? nonEmpty(env[variable]) ?? list.dataDir.default;
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

interface SettingSearch {
  readonly name: string;
  readonly setting: Setting<unknown>;
  readonly variable: string;
  readonly input: SettingsInput;
  readonly file: SettingsFile;
  readonly problems: string[];
}

/** The value of the source that takes precedence; each source that holds something wrong is a problem. */
function findSetting({ name, setting, variable, input, file, problems }: SettingSearch): Found {
  const flagText = input.flags.get(flagOf(name));
  const variableText = nonEmpty(input.env[variable]);
  const candidates: { source: SettingSource; origin: string; raw: unknown }[] = [];
  if (flagText !== undefined) {
    candidates.push({ source: "flag", origin: `flag --${flagOf(name)}`, raw: setting.fromText(flagText) });
  }
  if (variableText !== undefined) {
    candidates.push({ source: "environment", origin: `variable ${variable}`, raw: setting.fromText(variableText) });
  }
  if (file.values.has(name)) {
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
