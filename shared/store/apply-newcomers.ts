import { and, eq, inArray, or } from "drizzle-orm";
import { createUuid, type Uuid } from "../core/ids.ts";
import type { AttributesSaved, Change, CredentialsSaved, SentItem } from "../entities/change.ts";
import { CONTENT_TYPES } from "../entities/content.ts";
import { ENTITY_KINDS } from "../entities/entity-kinds.ts";
import { parseEntityRecord } from "../entities/entity-record-schema.ts";
import type { EntityRecord } from "../entities/entity-record.ts";
import { isCredentialsType, isValidAttribute } from "./apply-checks.ts";
import { HalfApplied, type ItemOutcome } from "./apply-items.ts";
import type { ApplyContext } from "./apply-result.ts";
import { attributesSaved, putAttributes } from "./attribute-store.ts";
import { credentialsSaved, insertCredentials, type DeviceCredentials } from "./device-store.ts";
import { entitySaved, insertEntities } from "./entity-store.ts";
import type { StoreDeps } from "./store-deps.ts";
import { deviceCredentials, entity } from "./tables.ts";
import type { Queryable } from "./unit-of-work.ts";

// Items that only make something which is not there, many in three statements: what an edge gets when thousands of devices are assigned
// to it. An item is a newcomer when it says a record, and after that at most the credentials and attributes of the same entity, all of them
// valid; and when neither its id nor its name nor its credentials are known, and its profile is. What is no newcomer, is bad, or needs a
// decision goes the way of every item (apply-items.ts), in its place in the order. Newcomers depend on nothing but profiles, so that those
// between other items are written together with those before them.
//
// The outcome is that of applyChange for each of them. A statement that fails, or a row that meets another one all the same, ends the
// attempt, and the careful one applies item by item.

/** Items that are looked at together. */
const RUN_ITEMS_MAX = 500;
/** Characters of their records. */
const RUN_LENGTH_MAX = 4 * 1024 * 1024;

/** What an item says of one entity that may be new. */
interface Candidate {
  readonly record: EntityRecord;
  readonly credentials: CredentialsSaved | null;
  readonly attributes: readonly AttributesSaved[];
}

/** The newcomers among the items of a batch, run by run. */
export class NewcomerRuns {
  readonly #tx: Queryable;
  readonly #deps: StoreDeps;
  readonly #items: readonly SentItem[];
  #run: { readonly start: number; readonly end: number; readonly outcomes: readonly (ItemOutcome | null)[] } = {
    start: 0,
    end: 0,
    outcomes: [],
  };

  constructor(tx: Queryable, deps: StoreDeps, items: readonly SentItem[]) {
    this.#tx = tx;
    this.#deps = deps;
    this.#items = items;
  }

  /** To be asked in order; the first of a run writes all of its newcomers. null: this item is none. @throws HalfApplied */
  async outcomeOf(index: number, context: ApplyContext): Promise<ItemOutcome | null> {
    if (index >= this.#run.end) {
      const candidates = takeCandidates(this.#items, index);
      const outcomes = isWorthIt(candidates) ? await applyNewcomers(this.#tx, this.#deps, { candidates, context }) : [];
      this.#run = { start: index, end: index + Math.max(1, candidates.length), outcomes };
    }
    return this.#run.outcomes[index - this.#run.start] ?? null;
  }
}

/** A record alone may be an edit of what is there as well, and is cheaper as every item is. */
function isWorthIt(candidates: readonly Candidate[]): boolean {
  return candidates.length > 1 || candidates.some(({ credentials }) => credentials !== null);
}

/** Items from `start` on that may be newcomers; they have nothing in common with each other. */
function takeCandidates(items: readonly SentItem[], start: number): readonly Candidate[] {
  const candidates: Candidate[] = [];
  const taken = new Set<string>();
  let length = 0;
  for (const item of items.slice(start, start + RUN_ITEMS_MAX)) {
    const candidate = readCandidate(item);
    if (candidate === null) break;
    const keys = keysOf(candidate);
    length += item.changes.reduce((sum, change) => sum + ("body" in change ? change.body.length : 0), 0);
    if (keys.some((key) => taken.has(key)) || length > RUN_LENGTH_MAX) break;
    for (const key of keys) taken.add(key);
    candidates.push(candidate);
  }
  return candidates;
}

function readCandidate({ changes, isRepair, unknown }: SentItem): Candidate | null {
  const [first, ...rest] = changes;
  if (first?.kind !== "entity-saved" || isRepair === true || unknown > 0) return null;
  // Whether its file is here has to be looked at.
  if (CONTENT_TYPES.includes(first.entity.type)) return null;
  const record = parseIfValid(first.body);
  if (record === null || record.id !== first.entity.id || record.entityType !== first.entity.type) return null;
  const attributes: AttributesSaved[] = [];
  let credentials: CredentialsSaved | null = null;
  for (const change of rest) {
    if (change.entity.id !== record.id || change.entity.type !== record.entityType) return null;
    if (change.kind === "attributes-saved" && areValid(change)) attributes.push(change);
    else if (change.kind === "credentials-saved" && isValidFor(record, change) && credentials === null)
      credentials = change;
    else return null;
  }
  return { record, credentials, attributes };
}

function parseIfValid(body: string): EntityRecord | null {
  try {
    return parseEntityRecord(body);
  } catch {
    return null;
  }
}

/** One statement may write a key once only. */
function areValid({ attributes }: AttributesSaved): boolean {
  const keys = new Set(attributes.map(({ key }) => key));
  return keys.size === attributes.length && attributes.every(({ key, value }) => isValidAttribute(key, value));
}

function isValidFor({ entityType }: EntityRecord, { credentialsType }: CredentialsSaved): boolean {
  return entityType === "DEVICE" && isCredentialsType(credentialsType);
}

/** What no two entities have: an id, a name in kinds where it is unique, credentials. */
function keysOf({ credentials, record }: Candidate): string[] {
  const { entityType, id, name } = record;
  return [
    `id ${id}`,
    ...(ENTITY_KINDS[entityType].hasUniqueName ? [`name ${entityType} ${name}`] : []),
    ...(credentials === null ? [] : [`credentials ${credentials.credentialsId}`]),
  ];
}

/** Writes those of the candidates that are new. @returns in their order; null: no newcomer, nothing was written. @throws HalfApplied */
async function applyNewcomers(
  tx: Queryable,
  deps: StoreDeps,
  { candidates, context }: { readonly candidates: readonly Candidate[]; readonly context: ApplyContext },
): Promise<readonly (ItemOutcome | null)[]> {
  const known = await readKnown(tx, candidates, context);
  const newcomers = new Map<Candidate, EntityRecord>();
  for (const candidate of candidates) {
    if (keysOf(candidate).some((key) => known.keys.has(key))) continue;
    const record = withProfile(candidate.record, known.profileNames, context);
    if (record === null) continue;
    newcomers.set(candidate, record);
    known.profileNames.set(record.id, record.name);
  }
  const credentials = [...newcomers.keys()].flatMap((candidate) => toCredentials(deps, candidate) ?? []);
  const rows = [...newcomers.keys()].flatMap(({ attributes }) =>
    attributes.flatMap(({ scope, entity: { id }, attributes: entries }) =>
      entries.map((entry) => ({ entityId: id, scope, ...entry })),
    ),
  );
  // Side by side: a connection takes them in this order, and one answer is waited for instead of three.
  const [entities, secrets, attributes] = await Promise.all([
    insertEntities(tx, [...newcomers.values()]),
    insertCredentials(tx, credentials),
    putAttributes(tx, rows, "newer-or-same"),
  ]);
  const isWritten =
    entities === newcomers.size &&
    secrets === credentials.length &&
    attributes.length === new Set(rows.map(rowKey)).size;
  if (!isWritten) throw new HalfApplied();
  const credentialsOf = new Map(credentials.map((one) => [one.deviceId, one]));
  return candidates.map((candidate) => {
    const record = newcomers.get(candidate);
    if (record === undefined) return null;
    const own = credentialsOf.get(record.id);
    const effects: Change[] = [entitySaved(record), ...(own === undefined ? [] : [credentialsSaved(own)])];
    for (const { entity: ref, scope, attributes } of candidate.attributes) {
      if (attributes.length > 0) effects.push(attributesSaved(ref, scope, attributes));
    }
    return { kind: "applied", effects, followUps: [], conflicts: [] };
  });
}

function rowKey({ entityId, key, scope }: { readonly entityId: Uuid; readonly key: string; readonly scope: string }) {
  return `${entityId} ${scope} ${key}`;
}

interface Known {
  /** Of the keys of candidates those that something here has. */
  readonly keys: ReadonlySet<string>;
  /** By id; newcomers join them. */
  readonly profileNames: Map<Uuid, string>;
}

async function readKnown(tx: Queryable, candidates: readonly Candidate[], { tenantId }: ApplyContext): Promise<Known> {
  const records = candidates.map(({ record }) => record);
  const ids = [...new Set(records.flatMap(({ id, profileId }) => (profileId === null ? [id] : [id, profileId])))];
  const { id, entityType, name } = entity;
  const byName = [...Map.groupBy(records, (record) => record.entityType)].map(([type, of]) =>
    and(
      eq(entity.tenantId, tenantId),
      eq(entityType, type),
      inArray(
        name,
        of.map((record) => record.name),
      ),
    ),
  );
  const tokens = candidates.flatMap(({ credentials }) => credentials ?? []);
  const [entities, credentials] = await Promise.all([
    tx
      .select({ id, entityType, name, tenantId: entity.tenantId })
      .from(entity)
      .where(or(inArray(id, ids), ...byName)),
    tokens.length === 0 ? [] : readKnownCredentials(tx, tokens),
  ]);
  return {
    keys: new Set([
      ...entities.flatMap((row) => [`id ${row.id}`, `name ${row.entityType} ${row.name}`]),
      ...credentials.flatMap((row) => [`id ${row.deviceId}`, `credentials ${row.credentialsId}`]),
    ]),
    profileNames: new Map(
      entities.filter((row) => row.tenantId === tenantId).map((row) => [row.id as Uuid, row.name]), // a uuid column
    ),
  };
}

async function readKnownCredentials(tx: Queryable, tokens: readonly CredentialsSaved[]) {
  const { credentialsId, deviceId } = deviceCredentials;
  const known = or(
    inArray(
      credentialsId,
      tokens.map((token) => token.credentialsId),
    ),
    inArray(
      deviceId,
      tokens.map((token) => token.entity.id),
    ),
  );
  return tx.select({ deviceId, credentialsId }).from(deviceCredentials).where(known);
}

/** As it is stored here; null: its profile is not there, which has to be settled. */
function withProfile(
  sent: EntityRecord,
  profileNames: ReadonlyMap<Uuid, string>,
  { tenantId }: ApplyContext,
): EntityRecord | null {
  const { profileType } = ENTITY_KINDS[sent.entityType];
  if (profileType === null || sent.profileId === null) return { ...sent, tenantId };
  const profileName = profileNames.get(sent.profileId);
  return profileName === undefined ? null : { ...sent, tenantId, subtype: profileName };
}

function toCredentials({ clock, random }: StoreDeps, { credentials, record }: Candidate): DeviceCredentials | null {
  if (credentials === null || !isCredentialsType(credentials.credentialsType)) return null;
  const { credentialsType, credentialsId, credentialsValue } = credentials;
  const own = { deviceId: record.id, id: createUuid(clock, random), version: 1, createdMs: clock.nowMs() };
  return { ...own, credentialsType, credentialsId, credentialsValue };
}
