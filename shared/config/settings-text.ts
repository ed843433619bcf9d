import type { SettingList, SettingsForm } from "./read-settings.ts";
import { defaultText, flagOf, variableOf, type Setting } from "./setting.ts";

// Settings for people: rows of the help and of the generated pages.

type Form = SettingsForm<SettingList>;

export const SETTINGS_FILE_DESCRIPTION =
  "JSON file of settings; without it config.json in the data directory, if it exists";

/** Flag, variable, key in the file and what it is, the file of settings first. */
export function helpRows({ file, list, variablePrefix }: Form): readonly (readonly string[])[] {
  return [
    [flagText(file.flag, file.placeholder), file.variable, "", SETTINGS_FILE_DESCRIPTION],
    ...Object.entries(list).map(([name, setting]) => [
      flagText(flagOf(name), setting.placeholder),
      variableOf(name, setting, variablePrefix),
      name,
      `${setting.description}${bracketed(defaultText(setting))}`,
    ]),
  ];
}

/** What `--flag` looks like in a usage line. */
export function flagText(flag: string, placeholder: string | null): string {
  return placeholder === null ? `--${flag}` : `--${flag} ${placeholder}`;
}

/** A table in Markdown with a row for each setting. */
export function settingsTable({ list, variablePrefix }: Form): readonly string[] {
  return [
    "| Key in the file | Flag | Variable | Default | Meaning | Value |",
    "| --- | --- | --- | --- | --- | --- |",
    ...Object.entries(list).map(([name, setting]) => tableRow(name, setting, variablePrefix)),
  ];
}

/** Where a value comes from, as the pages say it. */
export function precedenceText({ file, list, variablePrefix }: Form, example: string): readonly string[] {
  const setting = list[example];
  const variable = setting === undefined ? "" : variableOf(example, setting, variablePrefix);
  return [
    "A setting comes from the first of these that holds it:",
    "",
    `1. its flag, as in \`--${flagOf(example)} 1884\` or \`--${flagOf(example)}=1884\`;`,
    `2. its variable of the environment, as \`${variable}\` (an empty one counts as absent);`,
    `3. its key in a JSON file: the one that \`--${file.flag} ${file.placeholder}\` or \`${file.variable}\` names, otherwise \`config.json\` in the data directory, if it exists;`,
    "4. its default.",
  ];
}

export function secretNames({ list }: Pick<Form, "list">): string {
  const names = Object.entries(list).filter(([, { secret }]) => secret);
  return names.map(([name]) => `\`${name}\``).join(", ");
}

function tableRow(name: string, setting: Setting<unknown>, prefix: string): string {
  const { placeholder, description, expected } = setting;
  const value = defaultText(setting);
  const quotedDefault = value === "" ? "" : `\`${value}\``;
  return `| \`${name}\` | \`${flagText(flagOf(name), placeholder)}\` | \`${variableOf(name, setting, prefix)}\` | ${quotedDefault} | ${description} | ${expected} |`;
}

function bracketed(text: string): string {
  return text === "" || text === "false" ? "" : ` [${text}]`;
}
