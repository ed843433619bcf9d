import type { Dice } from "../sim/dice.ts";
import type { RestClient, TestDevice } from "../support/rest-client.ts";
import { within } from "../support/wait-for.ts";
import { LIMIT } from "./load.ts";
import { Register } from "./register.ts";

// What people do while everything fails: in the cloud they rename devices, set shared attributes, give devices to the edge
// and take them away, change tokens; on the edge they create devices. Each answer of 200 is a promise that is checked.

/** A device of the cloud and what its state may be. */
export interface ManagedDevice {
  readonly id: string;
  readonly name: Register<string>;
  readonly token: Register<string>;
  readonly limit: Register<number>;
  readonly isAssigned: Register<boolean>;
}

export interface ChangeLog {
  attempted: number;
  acknowledged: number;
}

export interface ChangeTargets {
  readonly cloudApi: RestClient;
  readonly edgeApi: RestClient;
  readonly edgeId: string;
}

/** An answer that takes longer counts as none. */
const ANSWER_WITHIN_MS = 5_000;
const PAUSE_MS = 250;
const EDGE_PAUSE_MS = 1_500;

export function manage({ id, name, token }: TestDevice, isAssigned: boolean): ManagedDevice {
  return {
    id,
    name: new Register(name),
    token: new Register(token),
    limit: new Register(0),
    isAssigned: new Register(isAssigned),
  };
}

/** Changes `steady` devices in place, and moves the `moving` ones to the edge and away from it. */
export class CloudChanges implements ChangeLog {
  attempted = 0;
  acknowledged = 0;
  readonly #targets: ChangeTargets;
  readonly #steady: readonly ManagedDevice[];
  readonly #moving: readonly ManagedDevice[];
  readonly #dice: Dice;
  #count = 0;

  constructor(
    targets: ChangeTargets,
    devices: { readonly steady: readonly ManagedDevice[]; readonly moving: readonly ManagedDevice[] },
    dice: Dice,
  ) {
    this.#targets = targets;
    this.#steady = devices.steady;
    this.#moving = devices.moving;
    this.#dice = dice;
  }

  get devices(): readonly ManagedDevice[] {
    return [...this.#steady, ...this.#moving];
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await Bun.sleep(this.#dice.between(0, 2 * PAUSE_MS));
      const change = this.#pick();
      this.attempted += 1;
      if (await change()) this.acknowledged += 1;
    }
  }

  #pick(): () => Promise<boolean> {
    const { cloudApi, edgeId } = this.#targets;
    const isMoving = this.#dice.chance(0.5);
    const device = this.#dice.pick(isMoving ? this.#moving : this.#steady);
    if (device === undefined) throw new Error("Expected devices to change");
    const { id, isAssigned, limit, name, token } = device;
    const number = (this.#count += 1);
    const path = `/api/device/${id}`;
    const kind = this.#dice.between(0, 1);
    if (isMoving && kind < 0.4) {
      const assign = this.#dice.chance(0.5);
      return () =>
        isAssigned.write(assign, () =>
          answered(assign ? cloudApi.assignDevice(edgeId, id) : cloudApi.unassignDevice(edgeId, id)),
        );
    }
    if (isMoving && kind < 0.6) {
      const value = `token${id.slice(-8)}${number}`;
      const body = { deviceId: { id, entityType: "DEVICE" }, credentialsType: "ACCESS_TOKEN", credentialsId: value };
      return () => token.write(value, () => answered(cloudApi.request("POST", "/api/device/credentials", body)));
    }
    if (kind < 0.8) {
      return () =>
        limit.write(number, () => answered(cloudApi.saveAttributes(id, "SHARED_SCOPE", { [LIMIT]: number })));
    }
    const value = `Chaos ${number}`;
    return () =>
      name.write(value, () =>
        answered(
          cloudApi
            .request<object>("GET", path)
            .then((record) => cloudApi.request("POST", "/api/device", { ...record, name: value, version: null })),
        ),
      );
  }
}

/** Devices made on the edge, by their unique names. */
export class EdgeChanges implements ChangeLog {
  attempted = 0;
  acknowledged = 0;
  readonly names = new Set<string>();
  readonly ackedNames = new Set<string>();
  readonly #targets: ChangeTargets;
  readonly #dice: Dice;

  constructor(targets: ChangeTargets, dice: Dice) {
    this.#targets = targets;
    this.#dice = dice;
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await Bun.sleep(this.#dice.between(0, 2 * EDGE_PAUSE_MS));
      const name = `Born on the edge ${(this.attempted += 1)}`;
      this.names.add(name);
      try {
        await answered(this.#targets.edgeApi.request("POST", "/api/device", { name }));
        this.acknowledged += 1;
        this.ackedNames.add(name);
      } catch {
        // It may be there or not.
      }
    }
  }
}

function answered<T>(work: Promise<T>): Promise<T> {
  // It may fail when nobody waits for it any more.
  work.catch(() => undefined);
  return within("an answer", ANSWER_WITHIN_MS, work);
}
