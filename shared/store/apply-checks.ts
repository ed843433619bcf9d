import { CREDENTIALS_TYPES, type CredentialsType } from "../entities/device-credentials.ts";
import { KEY_LENGTH_MAX, splitValues } from "../entities/values.ts";

// What of the other side's changes has to be looked at before it is written.

export function isValidAttribute(key: string, value: string): boolean {
  if (key === "" || key.length > KEY_LENGTH_MAX || key.includes("\0")) return false;
  try {
    return splitValues(`{"v":${value}}`).size === 1;
  } catch {
    return false;
  }
}

export function isCredentialsType(text: string): text is CredentialsType {
  return (CREDENTIALS_TYPES as readonly string[]).includes(text);
}
