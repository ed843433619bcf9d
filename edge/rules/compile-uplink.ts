import type { Uuid } from "../../shared/core/ids.ts";
import type { Log } from "../../shared/observe/log.ts";
import { compileUplinkPolicy, type UplinkPolicy } from "../../shared/rules/thinning/compile-policy.ts";
import { DeviceThinner, type DeviceThinning, type Purse } from "../../shared/rules/thinning/device-thinner.ts";
import { readUplinkPolicy } from "../../shared/rules/thinning/policy.ts";

// What only edges with a policy load.

export interface ThinningEngine {
  /** A policy that can't be read is left out: all is sent. */
  compile(bodies: ReadonlyMap<Uuid, unknown>, log: Log): ReadonlyMap<Uuid, UplinkPolicy>;
  /** @param policy null: its profile has none any more; what waits goes */
  open(id: Uuid, policy: UplinkPolicy | null, from: OpenedFrom): DeviceThinner;
}

export interface OpenedFrom {
  readonly keys: DeviceThinning["keys"];
  readonly purse: Purse;
}

export function createThinningEngine(): ThinningEngine {
  const everything = compileUplinkPolicy({});
  return {
    compile: (bodies, log) => {
      const compiled = new Map<Uuid, UplinkPolicy>();
      for (const [profileId, body] of bodies) {
        const { form, problem } = readUplinkPolicy(body);
        if (form !== null) compiled.set(profileId, compileUplinkPolicy(form));
        if (problem !== null)
          log.warn("The uplink policy of a device profile can't be read; all of its telemetry is sent", {
            profileId,
            problem,
          });
      }
      return compiled;
    },
    open: (id, policy, from) => new DeviceThinner(id, policy ?? everything, from),
  };
}
