import { Secret } from "./secret.ts";

/** One setting of a program, declared once: reading, `--help` and the generated page follow from it. */
export interface Setting<T> {
  /** One line for people. */
  readonly description: string;
  /** What stands for the value in the help; null: a flag without a value, which means true. */
  readonly placeholder: string | null;
  /** What a value has to be, as errors say it. */
  readonly expected: string;
  /** Never shown, neither by errors nor by `config`. */
  readonly secret: boolean;
  /** @default the prefix of the program and the name in upper case */
  readonly variable?: string;
  readonly default: T;
  /** Text of a flag or variable as the JSON value that the file would hold; what makes no sense stays text. */
  readonly fromText: (text: string) => unknown;
  /** A JSON value as the setting's value; undefined when it is not what is expected. */
  readonly read: (value: unknown) => T | undefined;
}

export interface SettingText {
  readonly description: string;
  readonly placeholder: string;
  readonly variable?: string;
}

export const PORT_RANGE = { min: 0, max: 65_535 } as const;

const TEXT_EXPECTED = "a text that is not empty";

export function textSetting<D extends string | null>(text: SettingText & { readonly default: D }): Setting<string | D> {
  return {
    ...text,
    expected: TEXT_EXPECTED,
    secret: false,
    fromText: (value) => value,
    read: (value) => (typeof value === "string" && value.trim() !== "" ? value : undefined),
  };
}

export function secretSetting(text: SettingText): Setting<Secret | null> {
  return {
    ...text,
    expected: TEXT_EXPECTED,
    secret: true,
    default: null,
    fromText: (value) => value,
    read: (value) => (typeof value === "string" && value.trim() !== "" ? new Secret(value) : undefined),
  };
}

/** As the REST interface wants it of new passwords. */
const PASSWORD_LENGTH_MIN = 6;

export function passwordSetting(text: SettingText): Setting<Secret | null> {
  return {
    ...secretSetting(text),
    expected: `a text of at least ${PASSWORD_LENGTH_MIN} characters`,
    read: (value) => (typeof value === "string" && value.length >= PASSWORD_LENGTH_MIN ? new Secret(value) : undefined),
  };
}

export function emailSetting(text: SettingText & { readonly default: string }): Setting<string> {
  return {
    ...textSetting(text),
    expected: "an e-mail address",
    read: (value) => (typeof value === "string" && /^[^\s@]+@[^\s@]+$/.test(value) ? value : undefined),
  };
}

/** An address of an external database, which may hold a password. */
export function databaseUrlSetting(text: Omit<SettingText, "placeholder" | "variable">): Setting<Secret | null> {
  return {
    ...secretSetting({ ...text, placeholder: "URL", variable: "DATABASE_URL" }),
    expected: "an address as postgres://user:password@host:5432/name",
    read: (value) =>
      typeof value === "string" && /^postgres(ql)?:\/\/\S+$/.test(value) ? new Secret(value) : undefined,
  };
}

export interface IntegerRange {
  readonly min: number;
  readonly max: number;
}

export function integerSetting(
  text: SettingText & { readonly default: number; readonly range: IntegerRange },
): Setting<number> {
  const { min, max } = text.range;
  return {
    ...text,
    expected: `an integer from ${min} to ${max}`,
    secret: false,
    fromText: (value) => (/^-?\d{1,15}$/.test(value) ? Number(value) : value),
    read: (value) =>
      typeof value === "number" && Number.isInteger(value) && value >= min && value <= max ? value : undefined,
  };
}

/** An integer, or the word `off`. */
export function switchedSetting(
  text: SettingText & { readonly default: number | "off"; readonly range: IntegerRange },
): Setting<number | "off"> {
  const integer = integerSetting({ ...text, default: text.range.min });
  return {
    ...integer,
    default: text.default,
    expected: `${integer.expected}, or off`,
    read: (value) => (value === "off" ? value : integer.read(value)),
  };
}

export function booleanSetting(text: Omit<SettingText, "placeholder">): Setting<boolean> {
  return {
    ...text,
    placeholder: null,
    expected: "true or false",
    secret: false,
    default: false,
    fromText: (value) =>
      value === "true" || value === "1" ? true : value === "false" || value === "0" ? false : value,
    read: (value) => (typeof value === "boolean" ? value : undefined),
  };
}

export function choiceSetting<T extends string>(
  text: SettingText & { readonly choices: readonly T[]; readonly default: T },
): Setting<T> {
  return {
    ...text,
    expected: `one of ${text.choices.join(", ")}`,
    secret: false,
    fromText: (value) => value,
    read: (value) => text.choices.find((choice) => choice === value),
  };
}

/** `mqttPort` as `mqtt-port`, the flag. */
export function flagOf(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** `mqttPort` with the prefix `SKERRY_` as `SKERRY_MQTT_PORT`, the variable of the environment. */
export function variableOf(name: string, setting: Pick<Setting<unknown>, "variable">, prefix: string): string {
  return setting.variable ?? `${prefix}${flagOf(name).replaceAll("-", "_").toUpperCase()}`;
}

/** The default for people; empty when there is none. */
export function defaultText({ default: value }: Pick<Setting<unknown>, "default">): string {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? String(value) : "";
}

/** A mail server: smtps://user:password@host:465, or smtp:// with STARTTLS. */
export function smtpUrlSetting() {
  return {
    ...secretSetting({
      placeholder: "URL",
      variable: "SKERRY_SMTP_URL",
      description:
        "Mail server for notifications: smtps://user:password@host, or smtp://…:587 with STARTTLS, which is not asked for on loopback",
    }),
    expected: "an address as smtps://user:password@host:465",
    read: (value: unknown) => (typeof value === "string" && isSmtpUrl(value) ? new Secret(value) : undefined),
  };
}

function isSmtpUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { hostname, pathname, protocol, search } = new URL(text);
  return /^smtps?:$/.test(protocol) && hostname !== "" && /^\/?$/.test(pathname) && search === "";
}
