import { sha256Hex } from "../core/hash.ts";
import type { EntityRecord, Json } from "./entity-record.ts";

// Edits of one entity that were made on both sides without knowing of each other are joined field by field. Whoever edits says what was
// there before, a hash for each field: the other side sees by it which fields it has changed itself meanwhile.

/** What an edit began with. */
export interface EntityBase {
  readonly [field: string]: string;
}

/** A field that both sides changed. */
export interface FieldConflict {
  readonly field: string;
  /** JSON of what stays, and of what is given up. */
  readonly kept: string;
  readonly dropped: string;
}

const HASH_DIGITS = 16;

export function baseOf(record: EntityRecord): EntityBase {
  return Object.fromEntries(Object.entries(fieldsOf(record)).map(([field, text]) => [field, hashOf(text)]));
}

function hashOf(text: string): string {
  return sha256Hex(text).slice(0, HASH_DIGITS);
}

/** JSON by field. Who owns an entity is said in the cloud, and what follows from another field is none of its own. */
function fieldsOf({ name, label, subtype, profileId, content, body }: EntityRecord): Record<string, string> {
  const own: Record<string, string> = { name: JSON.stringify(name), label: JSON.stringify(label) };
  if (profileId === null) own["type"] = JSON.stringify(subtype);
  else own["profile"] = JSON.stringify(profileId);
  if (content !== undefined) own["content"] = content;
  for (const [key, value] of Object.entries(body)) own[BODY + key] = JSON.stringify(value);
  return own;
}

const BODY = "body.";

export interface MergeInput {
  /** As it was edited on the other side. */
  readonly sent: EntityRecord;
  /** The same with the ids that this side has for what it refers to. */
  readonly record: EntityRecord;
  readonly stored: EntityRecord;
  readonly base: EntityBase;
}

export interface MergedEdit {
  /** `stored` with the fields that only the other side changed; its version is that of `stored`. */
  readonly record: EntityRecord;
  /** Whether something was taken. */
  readonly isChanged: boolean;
  /** Whether the other side has something else than `record` now. */
  readonly differsFromSent: boolean;
  /** Fields that both sides changed to different values: what is stored stays. */
  readonly conflicts: readonly FieldConflict[];
}

export function mergeEdit({ sent, record, stored, base }: MergeInput): MergedEdit {
  const [edited, before, wanted] = [fieldsOf(sent), fieldsOf(stored), fieldsOf(record)];
  const taken: string[] = [];
  const conflicts: FieldConflict[] = [];
  let differsFromSent = false;
  for (const field of new Set([...Object.keys(edited), ...Object.keys(before)])) {
    const [theirs, ours] = [edited[field], before[field]];
    if (theirs === ours) continue;
    if (hashIfThere(theirs) === base[field]) differsFromSent = true;
    else if (hashIfThere(ours) === base[field]) taken.push(field);
    else {
      differsFromSent = true;
      conflicts.push({ field: nameOf(field), kept: ours ?? "null", dropped: theirs ?? "null" });
    }
  }
  if (taken.some((field) => wanted[field] !== edited[field])) differsFromSent = true;
  return {
    record: taken.reduce((merged, field) => withField(merged, field, record), stored),
    isChanged: taken.length > 0,
    differsFromSent,
    conflicts,
  };
}

function hashIfThere(text: string | undefined): string | undefined {
  return text === undefined ? undefined : hashOf(text);
}

function nameOf(field: string): string {
  return field.startsWith(BODY) ? field.slice(BODY.length) : field;
}

function withField(
  merged: EntityRecord,
  field: string,
  { name, label, subtype, profileId, content, body }: EntityRecord,
) {
  switch (field) {
    case "name":
      return { ...merged, name };
    case "label":
      return { ...merged, label };
    case "type":
      return { ...merged, subtype };
    case "profile":
      return { ...merged, profileId, subtype };
    case "content":
      return content === undefined ? merged : { ...merged, content };
    default: {
      const key = field.slice(BODY.length);
      const { [key]: _before, ...rest } = merged.body;
      const value = body[key];
      return {
        ...merged,
        body: value === undefined ? rest : ({ ...rest, [key]: value } satisfies Record<string, Json>),
      };
    }
  }
}
