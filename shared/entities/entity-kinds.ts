import { assetProfileKind } from "./asset-profile.ts";
import { assetKind } from "./asset.ts";
import { customerKind } from "./customer.ts";
import { dashboardKind } from "./dashboard.ts";
import { deviceProfileKind } from "./device-profile.ts";
import { deviceKind } from "./device.ts";
import type { EntityKind, ProfileType, Reference } from "./entity-kind.ts";
import type { EntityRecord } from "./entity-record.ts";
import { isKindType, KIND_TYPES, type EntityType, type KindType } from "./entity-types.ts";
import { entityViewKind } from "./entity-view.ts";
import { otaPackageKind } from "./ota-package.ts";
import { resourceKind } from "./resource.ts";
import { ruleChainKind } from "./rule-chain.ts";

/** Every kind, one line each. */
export const ENTITY_KINDS: Readonly<Record<KindType, EntityKind>> = {
  CUSTOMER: customerKind,
  RULE_CHAIN: ruleChainKind,
  DASHBOARD: dashboardKind,
  OTA_PACKAGE: otaPackageKind,
  TB_RESOURCE: resourceKind,
  DEVICE_PROFILE: deviceProfileKind,
  ASSET_PROFILE: assetProfileKind,
  DEVICE: deviceKind,
  ASSET: assetKind,
  ENTITY_VIEW: entityViewKind,
};

const OTHER_TITLES: Readonly<Record<Exclude<EntityType, KindType>, string>> = {
  TENANT: "Tenant",
  USER: "User",
  EDGE: "Edge",
};

/** What entities of a type are called in texts for people, e.g. `Device profile`. */
export function titleOf(type: EntityType): string {
  return isKindType(type) ? ENTITY_KINDS[type].title : OTHER_TITLES[type];
}

/** The kind of this name; null for what has no row in the table `entity`, and for what a newer peer knows. */
export function findKind(type: string): EntityKind | null {
  return isKindType(type) ? ENTITY_KINDS[type] : null;
}

export const UNIQUE_NAME_TYPES: readonly KindType[] = KIND_TYPES.filter((type) => ENTITY_KINDS[type].hasUniqueName);

/** Whether entities of this type are assigned to edges one by one. */
export function isAssignableType(type: string): type is KindType {
  return findKind(type)?.isAssignable ?? false;
}

/** Kinds that devices or assets have as their profile. */
export function isProfileType(type: string): type is ProfileType {
  return type === "DEVICE_PROFILE" || type === "ASSET_PROFILE";
}

/** All that a record needs: its profile, its customer, and what its kind says. */
export function needsOf(record: EntityRecord): readonly Reference[] {
  const { references, profileType } = ENTITY_KINDS[record.entityType];
  const { customerId, profileId } = record;
  return [
    ...references(record),
    ...(profileType === null || profileId === null ? [] : [{ type: profileType, id: profileId }]),
    ...(customerId === null ? [] : [{ type: "CUSTOMER" as const, id: customerId }]),
  ];
}
