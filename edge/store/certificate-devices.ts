import { Buffer } from "node:buffer";
import { X509Certificate } from "node:crypto";
import { and, asc, eq, sql } from "drizzle-orm";
import type { Uuid } from "../../shared/core/ids.ts";
import { provisioningOf, type Provisioning } from "../../shared/entities/device-profile.ts";
import { nameInput } from "../../shared/entities/fields.ts";
import { saveDevice, writeCredentials } from "../../shared/store/device-store.ts";
import { findEntityByName, getEntity } from "../../shared/store/entity-store.ts";
import type { StoreDeps } from "../../shared/store/store-deps.ts";
import { entity } from "../../shared/store/tables.ts";
import type { Outcome, Queryable, UnitOfWork } from "../../shared/store/unit-of-work.ts";
import type { AuthenticatedDevice, DeviceDirectory } from "../devices/ports.ts";

// Devices that show a certificate which nobody has entered, signed by the certificate of a profile: their first connection makes them
// known, with or without a link. The name is part of the certificate, and a newer certificate with that name takes the place of the older.

export interface CertificateDevicesDeps extends StoreDeps {
  readonly db: Queryable;
  readonly groupCommit: UnitOfWork;
}

interface Signer {
  readonly profileId: Uuid;
  readonly tenantId: Uuid;
  readonly provisioning: Provisioning;
}

const COMMON_NAME = /^CN=(.*)$/m;
const deviceName = nameInput("Device");

/** @returns the device, null when no profile has signed the certificate or it may not make one */
export function createCertificateDevices(deps: CertificateDevicesDeps): Pick<DeviceDirectory, "findByCertificate"> {
  return {
    findByCertificate: async (shown) => {
      const signers = await findSigners(deps.db);
      if (signers.length === 0) return null;
      const chain = provenPart(shown, deps.clock.nowMs());
      const [certificate] = chain;
      if (certificate === undefined) return null;
      const signer = signers.find(({ provisioning }) => chain.some((one) => hasSigned(provisioning.secret, one)));
      const name = signer === undefined ? null : nameOf(certificate, signer.provisioning.namePattern);
      if (signer === undefined || name === null) return null;
      return deps.groupCommit.run((tx) => admit(tx, deps, { signer, name, pem: certificate.toString() }));
    },
  };
}

async function findSigners(db: Queryable): Promise<readonly Signer[]> {
  const rows = await db
    .select({ id: entity.id, tenantId: entity.tenantId })
    .from(entity)
    .where(
      and(
        eq(entity.entityType, "DEVICE_PROFILE"),
        sql`coalesce(${entity.body} ->> 'provisionType', ${entity.body} #>> '{profileData,provisionConfiguration,type}') = 'X509_CERTIFICATE_CHAIN'`,
      ),
    )
    .orderBy(asc(entity.createdMs));
  return Promise.all(
    rows.map(async (row) => {
      const key = { id: row.id as Uuid, tenantId: row.tenantId as Uuid }; // uuid columns
      const profile = await getEntity(db, { type: "DEVICE_PROFILE", ...key });
      return { profileId: key.id, tenantId: key.tenantId, provisioning: provisioningOf(profile) };
    }),
  );
}

/** The certificate of the device, and as many of those behind it as are authorities that have signed the one before; none out of date. */
function provenPart(shown: readonly string[], nowMs: number): readonly X509Certificate[] {
  const chain: X509Certificate[] = [];
  for (const base64 of shown) {
    const certificate = new X509Certificate(Buffer.from(base64, "base64"));
    const before = chain.at(-1);
    if (certificate.validToDate.getTime() < nowMs) break;
    // Whoever is no authority may not say who others are, though its own certificate is good.
    if (before !== undefined && !(certificate.ca && isSignedBy(before, certificate))) break;
    chain.push(certificate);
  }
  return chain;
}

function hasSigned(pem: string, certificate: X509Certificate): boolean {
  try {
    return isSignedBy(certificate, new X509Certificate(pem));
  } catch {
    // People write it into the profile.
    return false;
  }
}

function isSignedBy(certificate: X509Certificate, authority: X509Certificate): boolean {
  return certificate.checkIssued(authority) && certificate.verify(authority.publicKey);
}

/** The first group of the pattern, or all that it matches; null: it does not match, or is none. */
function nameOf({ subject }: X509Certificate, pattern: string): string | null {
  const commonName = COMMON_NAME.exec(subject)?.[1] ?? "";
  try {
    const match = new RegExp(pattern === "" ? "^.*$" : pattern).exec(commonName);
    const parsed = deviceName.safeParse(match?.[1] ?? match?.[0]);
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}

async function admit(
  tx: Queryable,
  deps: StoreDeps,
  { signer, name, pem }: { readonly signer: Signer; readonly name: string; readonly pem: string },
): Promise<Outcome<AuthenticatedDevice | null>> {
  const { profileId, provisioning, tenantId } = signer;
  const credentials = { credentialsType: "X509_CERTIFICATE", credentialsValue: pem } as const;
  const found = await findEntityByName(tx, { type: "DEVICE", tenantId, name });
  if (found === null) {
    if (!provisioning.makesDevices) return { result: null, changes: [] };
    const input = { name, deviceProfileId: profileId };
    const { changes, result } = await saveDevice(tx, deps, { tenantId, input, credentials });
    return { result: { deviceId: result.id, name, isGateway: false, profileId }, changes };
  }
  if (found.profileId !== profileId) return { result: null, changes: [] };
  const { changes } = await writeCredentials(tx, deps, { deviceId: found.id, input: credentials });
  return {
    result: { deviceId: found.id, name, isGateway: isGateway(found.body["additionalInfo"]), profileId },
    changes,
  };
}

function isGateway(info: unknown): boolean {
  return typeof info === "object" && info !== null && "gateway" in info && info.gateway === true;
}
