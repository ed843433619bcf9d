import type { EntityRecord } from "./entity-record.ts";
import { resourceKind, resourceType } from "./resource.ts";

// Texts of entities name files of their tenant or of the system by link: the picture of a profile, the modules of a dashboard. A link is
// kept as `TYPE key`, on both sides of it: of what names the file, and of the file. Of what names a file of the system, as `system/TYPE key`.

/** No type begins with it. */
export const SYSTEM_LINK = "system/";

/** Links beyond it are not followed. */
const LINKS_MAX = 1_000;
/** Of the part behind the type, in characters. */
const KEY_LENGTH_MAX = 1_000;
/** What a link begins with wherever it is; before it may stand `tb-image;` or `tb-resource;`, which lets it go on to the end of the text. */
const BEGIN = "/api";
const MARK = /tb-(?:image|resource);\\?$/;
const MARK_LENGTH = "tb-resource;\\".length;

/** The files that this record names in its texts, whether they are there or not; in order, each once. */
export function linksIn({
  body,
  content,
  entityType,
}: Pick<EntityRecord, "body" | "content" | "entityType">): string[] {
  if (entityType === resourceKind.type) return [];
  const links = new Set<string>();
  for (const text of [JSON.stringify(body), content ?? ""]) findLinks(text, links);
  return [...links].sort();
}

/** What names this record among those of its tenant, or of the system, if it is a file. */
export function linkTo(record: Pick<EntityRecord, "body" | "entityType" | "subtype">): string | null {
  const { resourceKey } = record.body;
  if (record.entityType !== resourceKind.type || typeof resourceKey !== "string") return null;
  return `${resourceType(record)} ${resourceKey}`;
}

function findLinks(text: string, links: Set<string>): void {
  // Texts may have many megabytes: only what begins like a link is looked at. A slash may be escaped, and so may letters.
  const place = new RegExp(
    String.raw`/api\\?/(?:images|resource\\?/(\w{1,32}))\\?/(tenant|system)\\?/((?:[^"'\\?#<>]|\\u[\da-f]{4}){1,${KEY_LENGTH_MAX}})`,
    "iy",
  );
  for (let at = text.indexOf(BEGIN); at !== -1 && links.size < LINKS_MAX; at = text.indexOf(BEGIN, at + 1)) {
    place.lastIndex = at;
    const [, type = "IMAGE", scope = "", rest = ""] = place.exec(text) ?? [];
    if (rest === "") continue;
    const isMarked = MARK.test(text.slice(Math.max(0, at - MARK_LENGTH), at));
    const key = isMarked ? rest : rest.replace(/[\s),;].*$/s, "");
    const prefix = scope.toLowerCase() === "system" ? SYSTEM_LINK : "";
    links.add(`${prefix}${type.toUpperCase()} ${decodeKey(key)}`);
  }
}

function decodeKey(key: string): string {
  try {
    return decodeURIComponent(JSON.parse(`"${key}"`) as string);
  } catch {
    return key;
  }
}
