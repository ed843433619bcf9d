import { expect, test } from "bun:test";
import { admitMachine, MACHINE_KEPT_MS } from "../../cloud/store/edge-identity.ts";
import type { Uuid } from "../../shared/core/ids.ts";

const FIRST = "00000000-0000-4000-8000-000000000001" as Uuid;
const SECOND = "00000000-0000-4000-8000-000000000002" as Uuid;
const REPLICA = "00000000-0000-4000-8000-000000000003";
const CONNECTED_MS = 1_000_000;

/** SECOND took over from FIRST, and was there for so long. */
function afterSession(durationMs: number | null) {
  return {
    machineId: SECOND,
    displacedMachines: [FIRST],
    replicaId: durationMs === null ? REPLICA : null,
    connectedMs: CONNECTED_MS,
    disconnectedMs: durationMs === null ? null : CONNECTED_MS + durationMs,
  };
}

test("admitMachine() lets a new machine take over and refuses the one that comes back while the other is there", () => {
  const before = { ...afterSession(null), machineId: FIRST, displacedMachines: [] };
  expect(admitMachine(before, SECOND, CONNECTED_MS)).toEqual({ machineId: SECOND, displacedMachines: [FIRST] });
  expect(admitMachine(afterSession(null), FIRST, CONNECTED_MS)).toBeNull();
});

test("admitMachine() keeps an edge for a machine that was there, and gives it back in time", () => {
  const before = afterSession(60_000);
  const endedMs = CONNECTED_MS + 60_000;
  expect(admitMachine(before, FIRST, endedMs + MACHINE_KEPT_MS - 1)).toBeNull();
  expect(admitMachine(before, FIRST, endedMs + MACHINE_KEPT_MS)?.machineId).toBe(FIRST);
});

test("admitMachine() keeps nothing for a machine that fell silent at once, which is noticed 15 s later", () => {
  expect(admitMachine(afterSession(15_100), FIRST, CONNECTED_MS + 15_200)?.machineId).toBe(FIRST);
});
