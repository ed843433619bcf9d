import { and, asc, eq, sql } from "drizzle-orm";
import { AppError, type ErrorCode } from "../../shared/core/errors.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import { createToken } from "../../shared/core/random.ts";
import { provisioningOf } from "../../shared/entities/device-profile.ts";
import { nameInput } from "../../shared/entities/fields.ts";
import type { CanonicalJson } from "../../shared/entities/telemetry.ts";
import { readAttributeRows, saveAttributes } from "../../shared/store/attribute-store.ts";
import { findCredentials, saveDevice } from "../../shared/store/device-store.ts";
import { findEntity, findEntityByName, lockEntity } from "../../shared/store/entity-store.ts";
import type { StoreDeps } from "../../shared/store/store-deps.ts";
import { entity } from "../../shared/store/tables.ts";
import type { Outcome, Queryable, UnitOfWork } from "../../shared/store/unit-of-work.ts";
import type { DeviceProvisioning, ProvisionOutcome, ProvisionRequest } from "../devices/ports.ts";

// Devices that make themselves known by the key and the secret of a device profile, with or without a link.

export interface ProvisioningDeps extends StoreDeps {
  readonly db: Queryable;
  readonly groupCommit: UnitOfWork;
}

/** Server attribute of a device that was provisioned: it works once. */
const STATE = { key: "provisionState", value: '"provisioned"' as CanonicalJson };
const RANDOM_NAME_LENGTH = 20;

const NOT_FOUND: ProvisionOutcome = { status: "NOT_FOUND" };
const FAILURE: ProvisionOutcome = { status: "FAILURE" };
/** What the device asked for is taken or not valid. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["ALREADY_EXISTS", "INVALID_ARGUMENT", "NOT_FOUND"]);

export function createProvisioning(deps: ProvisioningDeps): DeviceProvisioning {
  return {
    provision: async (request) => {
      const profile = await findProfile(deps.db, request);
      if (profile === null) return NOT_FOUND;
      try {
        return await deps.groupCommit.run((tx) =>
          profile.type === "ALLOW_CREATE_NEW_DEVICES"
            ? createDevice(tx, deps, { request, ...profile })
            : admitDevice(tx, deps, { request, ...profile }),
        );
      } catch (thrown) {
        if (REFUSALS.has(AppError.from(thrown).code)) return FAILURE;
        throw thrown;
      }
    },
  };
}

interface FoundProfile {
  readonly profileId: Uuid;
  readonly tenantId: Uuid;
  readonly type: "ALLOW_CREATE_NEW_DEVICES" | "CHECK_PRE_PROVISIONED_DEVICES";
}

async function findProfile(db: Queryable, { key, secret }: ProvisionRequest): Promise<FoundProfile | null> {
  if (key === "" || secret === "") return null;
  const [row] = await db
    .select({ id: entity.id, tenantId: entity.tenantId })
    .from(entity)
    .where(and(eq(entity.entityType, "DEVICE_PROFILE"), sql`${entity.body} ->> 'provisionDeviceKey' = ${key}`))
    .orderBy(asc(entity.createdMs))
    .limit(1);
  if (row === undefined) return null;
  const tenantId = row.tenantId as Uuid; // a uuid column
  const profile = await findEntity(db, { type: "DEVICE_PROFILE", id: row.id as Uuid, tenantId }); // a uuid column
  const provisioning = profile === null ? null : provisioningOf(profile);
  if (profile === null || provisioning?.secret !== secret) return null;
  const { type } = provisioning;
  const isServed = type === "ALLOW_CREATE_NEW_DEVICES" || type === "CHECK_PRE_PROVISIONED_DEVICES";
  return isServed ? { profileId: profile.id, tenantId, type } : null;
}

interface Provisioning extends FoundProfile {
  readonly request: ProvisionRequest;
}

const deviceName = nameInput("Device");

async function createDevice(
  tx: Queryable,
  deps: StoreDeps,
  { request, profileId, tenantId }: Provisioning,
): Promise<Outcome<ProvisionOutcome>> {
  const { credentials, isGateway } = request;
  const isUnnamed = request.deviceName.trim() === "";
  const named = deviceName.safeParse(isUnnamed ? createToken(deps.random, RANDOM_NAME_LENGTH) : request.deviceName);
  if (!named.success) return { result: FAILURE, changes: [] };
  const name = named.data;
  const additionalInfo = isGateway ? { gateway: true } : null;
  const input = { name, deviceProfileId: profileId, additionalInfo };
  const saved = await saveDevice(tx, deps, { tenantId, input, ...(credentials === null ? {} : { credentials }) });
  const { result, changes } = await noteProvisioned(tx, deps, saved.result.id);
  return { result, changes: [...saved.changes, ...changes] };
}

/** Of a device that is known already, once. */
async function admitDevice(
  tx: Queryable,
  deps: StoreDeps,
  { request, profileId, tenantId }: Provisioning,
): Promise<Outcome<ProvisionOutcome>> {
  const found = await findEntityByName(tx, { type: "DEVICE", tenantId, name: request.deviceName });
  if (found === null || found.profileId !== profileId) return { result: FAILURE, changes: [] };
  const { id } = await lockEntity(tx, { type: "DEVICE", id: found.id });
  const [state] = await readAttributeRows(tx, { entityId: id, scopes: ["SERVER_SCOPE"], keys: [STATE.key] });
  if (state?.value === STATE.value) return { result: FAILURE, changes: [] };
  return noteProvisioned(tx, deps, id);
}

async function noteProvisioned(tx: Queryable, deps: StoreDeps, id: Uuid): Promise<Outcome<ProvisionOutcome>> {
  const credentials = await findCredentials(tx, id);
  if (credentials === null) return { result: FAILURE, changes: [] };
  const nowMs = deps.clock.nowMs();
  const scope = "SERVER_SCOPE";
  const { changes } = await saveAttributes(tx, { entity: { type: "DEVICE", id }, scope, readings: [STATE], nowMs });
  return { result: { status: "SUCCESS", credentials }, changes };
}
