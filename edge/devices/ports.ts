import type { Uuid } from "../../shared/core/ids.ts";
import type { AttributeEntry } from "../../shared/entities/attributes.ts";
import type { CredentialsType, MqttLogin } from "../../shared/entities/device-credentials.ts";
import type { OtaType } from "../../shared/entities/ota-package.ts";
import type { CanonicalJson, TelemetryRecord } from "../../shared/entities/telemetry.ts";

// What the device protocols (MQTT, HTTP, later CoAP) need of the rest of the edge.

/** A device that has shown valid credentials. */
export interface AuthenticatedDevice {
  readonly deviceId: Uuid;
  readonly name: string;
  readonly isGateway: boolean;
  /** Undefined: not known. */
  readonly profileId?: Uuid;
}

/** Finds devices by what they show; null when there is none. Cached; true at the moment of the call. */
export interface DeviceDirectory {
  findByAccessToken(token: string): Promise<AuthenticatedDevice | null>;
  /** @param chain DER as base64; the peer holds the key of the first, each other one may have signed the one before */
  findByCertificate(chain: readonly string[]): Promise<AuthenticatedDevice | null>;
  /** By client id and user name, else by the user name, which may be an access token; without one by the client id. */
  findByMqttLogin(login: MqttLogin): Promise<AuthenticatedDevice | null>;
  /** The device with this name that a gateway speaks for; made when there is none, with the profile `type`. */
  openBehind(
    gateway: AuthenticatedDevice,
    device: { readonly name: string; readonly type: string },
  ): Promise<AuthenticatedDevice>;
}

/** Each promise resolves after the commit (fsync), and rejects when nothing was stored. */
export interface DeviceData {
  saveTelemetry(records: readonly TelemetryRecord[]): Promise<void>;
  saveClientAttributes(deviceId: Uuid, attributes: readonly AttributeEntry[]): Promise<void>;
  /** Keys left out mean all of the scope. Only the scopes asked for are returned. */
  readAttributes(deviceId: Uuid, request: AttributeRequest): Promise<AttributeAnswer>;
  /** From now on a user of a customer who knows the secret may take the device; nothing happens while a customer has it. */
  openClaim(deviceId: Uuid, claim: ClaimRequest): Promise<void>;
}

export interface ClaimRequest {
  /** May be empty. */
  readonly secretKey: string;
  readonly durationMs: number;
}

/** Firmware and software that devices are to run. */
export interface DevicePackages {
  /** The file of the device's package, else that of its profile's; null: none, or one that is elsewhere. */
  find(deviceId: Uuid, type: OtaType): Promise<DevicePackage | null>;
}

export interface DevicePackage {
  readonly title: string;
  readonly version: string;
  readonly fileName: string;
  readonly contentType: string;
  readonly bytes: number;
  /** At least one byte from `offset` on, at most `bytesMax`; none behind the end. */
  read(offset: number, bytesMax: number): Promise<Uint8Array>;
}

/** Makes devices known that nobody has entered. */
export interface DeviceProvisioning {
  /** Resolves after the commit. */
  provision(request: ProvisionRequest): Promise<ProvisionOutcome>;
}

export interface ProvisionRequest {
  /** Empty: any. */
  readonly deviceName: string;
  /** Key and secret of a device profile. */
  readonly key: string;
  readonly secret: string;
  readonly isGateway: boolean;
  /** What it wants to sign in with; null: whatever it is given. */
  readonly credentials: ProvisionedCredentials | null;
}

export interface ProvisionedCredentials {
  readonly credentialsType: CredentialsType;
  readonly credentialsId: string;
  readonly credentialsValue: string | null;
}

/** NOT_FOUND: no profile has the key and the secret, or it provisions none. FAILURE: not this device. */
export type ProvisionOutcome =
  | { readonly status: "SUCCESS"; readonly credentials: ProvisionedCredentials }
  | { readonly status: "NOT_FOUND" }
  | { readonly status: "FAILURE" };

export interface AttributeRequest {
  /** undefined: the client scope is not asked for; empty: all of it. */
  readonly clientKeys?: readonly string[];
  readonly sharedKeys?: readonly string[];
}

export interface AttributeAnswer {
  readonly client?: ReadonlyMap<string, CanonicalJson>;
  readonly shared?: ReadonlyMap<string, CanonicalJson>;
}

/** What happened to devices on this edge, after the commit, whoever caused it. */
export type DeviceEvent =
  | { readonly kind: "shared-saved"; readonly deviceId: Uuid; readonly attributes: readonly AttributeEntry[] }
  | { readonly kind: "shared-deleted"; readonly deviceId: Uuid; readonly keys: readonly string[] }
  /** The device was removed, or else its credentials changed: its connections end. */
  | { readonly kind: "access-ended"; readonly deviceId: Uuid; readonly isRemoved: boolean };

export interface DeviceEvents {
  /** @returns the function that ends the subscription */
  subscribe(listener: (event: DeviceEvent) => void): () => void;
}
