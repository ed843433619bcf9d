import { AppError } from "../../shared/core/errors.ts";
import type { OtaType } from "../../shared/entities/ota-package.ts";
import type { AuthenticatedDevice, DevicePackage, DevicePackages } from "./ports.ts";

/** What of a package a device asks for over HTTP and CoAP. */
export interface PackageQuery {
  readonly title?: string | undefined;
  readonly version?: string | undefined;
  /** Of a part; absent: all of it. */
  readonly size?: string | undefined;
  /** Number of the part. @default 0 */
  readonly chunk?: string | undefined;
}

export interface PackagePart {
  readonly found: DevicePackage;
  readonly offset: number;
  /** 0 behind the end. */
  readonly bytes: number;
}

/** @throws AppError NOT_FOUND without a package, INVALID_ARGUMENT when the device asks for another one */
export async function findPackagePart(
  packages: DevicePackages,
  { deviceId }: AuthenticatedDevice,
  { type, query }: { readonly type: OtaType; readonly query: PackageQuery },
): Promise<PackagePart> {
  const found = await packages.find(deviceId, type);
  if (found === null) throw new AppError("NOT_FOUND", `There is no ${type.toLowerCase()} for the device`);
  checkSame("title", query.title, found.title);
  checkSame("version", query.version, found.version);
  if (query.size === undefined) return { found, offset: 0, bytes: found.bytes };
  const size = wholeNumber("size", query.size);
  const offset = Math.min(wholeNumber("chunk", query.chunk ?? "0") * size, found.bytes);
  return { found, offset, bytes: Math.min(size, found.bytes - offset) };
}

function checkSame(field: string, asked: string | undefined, actual: string): void {
  if (asked === undefined || asked === actual) return;
  throw new AppError("INVALID_ARGUMENT", `The package has another ${field}`, { field });
}

function wholeNumber(field: string, text: string): number {
  if (/^[0-9]{1,10}$/.test(text)) return Number(text);
  throw new AppError("INVALID_ARGUMENT", `Expected a whole number as ${field}`, { field });
}
