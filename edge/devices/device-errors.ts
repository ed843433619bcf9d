import type { Clock } from "../../shared/core/clock.ts";
import type { Uuid } from "../../shared/core/ids.ts";

/** Why a device was refused or cut off last, for its page and the status. */
export interface DeviceError {
  readonly atMs: number;
  readonly reason: string;
}

export interface DeviceErrors {
  note(deviceId: Uuid, reason: string): void;
  last(deviceId: Uuid): DeviceError | undefined;
}

/** Keeps the last error of each device, in memory; above `devicesMax` the one that is quiet the longest is forgotten. */
export function createDeviceErrors(clock: Clock, devicesMax = 10_000): DeviceErrors {
  const errors = new Map<Uuid, DeviceError>();
  return {
    note: (deviceId, reason) => {
      errors.delete(deviceId);
      errors.set(deviceId, { atMs: clock.nowMs(), reason });
      if (errors.size <= devicesMax) return;
      for (const oldest of errors.keys()) {
        errors.delete(oldest);
        return;
      }
    },
    last: (deviceId) => errors.get(deviceId),
  };
}
