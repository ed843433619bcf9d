import type { Uuid } from "../core/ids.ts";
import { assetBody, type AssetInput } from "../entities/asset.ts";
import type { EntityRecord } from "../entities/entity-record.ts";
import { customerIdOf } from "./device-store.ts";
import { saveEntity } from "./entity-store.ts";
import { resolveProfile } from "./profile-store.ts";
import type { StoreDeps } from "./store-deps.ts";
import type { Outcome, Queryable } from "./unit-of-work.ts";

/**
 * Creates or updates an asset; its profile is made when it is only named.
 *
 * @throws AppError NOT_FOUND, VERSION_CONFLICT, ALREADY_EXISTS
 */
export async function saveAsset(
  tx: Queryable,
  deps: StoreDeps,
  { tenantId, input }: { readonly tenantId: Uuid; readonly input: AssetInput },
): Promise<Outcome<EntityRecord>> {
  const profile = await resolveProfile(tx, deps, {
    type: "ASSET_PROFILE",
    tenantId,
    id: input.assetProfileId ?? null,
    name: input.type ?? null,
  });
  const saved = await saveEntity(tx, deps, {
    entityType: "ASSET",
    id: input.id ?? null,
    tenantId,
    customerId: customerIdOf(input.customerId),
    name: input.name,
    subtype: profile.result.name,
    label: input.label ?? null,
    profileId: profile.result.id,
    expectedVersion: input.version ?? null,
    body: assetBody(input),
  });
  return { result: saved.result, changes: [...profile.changes, ...saved.changes] };
}
