import * as z from "zod";
import { AppError } from "../../../core/errors.ts";
import type { AttributeScope } from "../../../entities/attributes.ts";
import type { EntityRef } from "../../../entities/change.ts";
import type { Json } from "../../../entities/entity-record.ts";
import { enriched, fetchToMembers } from "../enrich.ts";
import type { ChainMessage } from "../message.ts";
import { defineNode, fail, succeed, type NodeContext, type NodeOutcome } from "../node-kind.ts";
import { fillPattern } from "../patterns.ts";
import type { ChainReads } from "../reads.ts";
import { deviceRelationsQuery, toRelationQuery } from "../relations-query.ts";

// Attributes and newest telemetry of the originator, or of a device that is related to it; keys of attributes get a prefix by their scope.

const names = z.array(z.string()).max(1_000).nullish();

const members = {
  clientAttributeNames: names,
  sharedAttributeNames: names,
  serverAttributeNames: names,
  latestTsKeyNames: names,
  tellFailureIfAbsent: z.boolean().nullish(),
  getLatestValueWithTs: z.boolean().nullish(),
  ...fetchToMembers,
};

const config = z.object(members);
type Config = z.output<typeof config>;

export const getAttributes = defineNode({
  type: "metadata.TbGetAttributesNode",
  config,
  make: (settings) => ({ handle: (message, { reads }) => enrich(message, message.originator, { settings, reads }) }),
});

/** Related devices that are looked through for one of the profiles asked for. */
const DEVICES_MAX = 100;

const relatedConfig = z.object({ ...members, deviceRelationsQuery });

export const getDeviceAttributes = defineNode({
  type: "metadata.TbGetDeviceAttrNode",
  config: relatedConfig,
  make: (settings) => ({
    handle: async (message, context) => {
      const device = await findDevice(message, context, settings.deviceRelationsQuery);
      if (device === null) throw new AppError("NOT_FOUND", "There is no related device");
      return enrich(message, device, { settings, reads: context.reads });
    },
  }),
});

async function findDevice(
  { originator }: ChainMessage,
  { reads }: NodeContext,
  { relationType, deviceTypes, ...query }: z.output<typeof deviceRelationsQuery>,
): Promise<EntityRef | null> {
  const filters = [{ relationType: relationType ?? null, entityTypes: ["DEVICE"] }];
  for (const device of await reads.related(originator, toRelationQuery({ ...query, filters }), DEVICES_MAX)) {
    if ((deviceTypes ?? []).length === 0) return device;
    const type = (await reads.entity(device))?.type ?? null;
    if (type !== null && deviceTypes?.includes(type) === true) return device;
  }
  return null;
}

const SCOPES = [
  ["CLIENT_SCOPE", "cs_", "clientAttributeNames"],
  ["SHARED_SCOPE", "shared_", "sharedAttributeNames"],
  ["SERVER_SCOPE", "ss_", "serverAttributeNames"],
] as const satisfies readonly (readonly [AttributeScope, string, keyof Config])[];

async function enrich(
  message: ChainMessage,
  entity: EntityRef,
  { settings, reads }: { readonly settings: Config; readonly reads: ChainReads },
): Promise<NodeOutcome> {
  const values = new Map<string, Json>();
  const missing: string[] = [];
  const wanted = (keys: readonly string[] | null | undefined): readonly string[] =>
    (keys ?? []).map((key) => fillPattern(key, message));
  for (const [scope, prefix, member] of SCOPES) {
    const keys = wanted(settings[member]);
    const found = keys.length === 0 ? new Map<string, Json>() : await reads.attributes(entity, scope, keys);
    for (const key of keys) {
      const value = found.get(key);
      if (value === undefined) missing.push(`${scope} ${key}`);
      else values.set(`${prefix}${key}`, value);
    }
  }
  const keys = wanted(settings.latestTsKeyNames);
  const latest = keys.length === 0 ? null : await reads.latest(entity, keys);
  for (const key of keys) {
    const point = latest?.get(key);
    if (point === undefined) missing.push(key);
    else
      values.set(key, (settings.getLatestValueWithTs ?? false) ? { ts: point.tsMs, value: point.value } : point.value);
  }
  const changed = enriched(message, values, settings);
  const fails = missing.length > 0 && (settings.tellFailureIfAbsent ?? true);
  return fails ? fail(changed, `There is no value of ${missing.slice(0, 20).join(", ")}`) : succeed(changed);
}
