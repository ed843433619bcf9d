import { expect, test } from "bun:test";
import { createRepeatFilter } from "../../cloud/sync/repeat-filter.ts";
import type { Uuid } from "../../shared/core/ids.ts";
import type { Change } from "../../shared/entities/change.ts";

const PROFILE = "00000000-0000-4000-8000-000000000001" as Uuid;
const DEVICE = "00000000-0000-4000-8000-000000000002" as Uuid;

const saved = (id: Uuid, body: string): Change => ({ kind: "entity-saved", entity: { type: "DEVICE", id }, body });
const removed = (id: Uuid): Change => ({ kind: "entity-removed", entity: { type: "DEVICE", id }, deleted: false });

test("createRepeatFilter() leaves out what a batch has said, and nothing that is different", () => {
  const withoutRepeats = createRepeatFilter();
  expect(withoutRepeats([saved(PROFILE, "a"), saved(DEVICE, "a")])).toHaveLength(2);
  expect(withoutRepeats([saved(PROFILE, "a"), saved(DEVICE, "b")])).toEqual([saved(DEVICE, "b")]);
  expect(withoutRepeats([saved(PROFILE, "b")])).toEqual([saved(PROFILE, "b")]);
  expect(withoutRepeats([saved(PROFILE, "a")])).toEqual([saved(PROFILE, "a")]);
});

test("createRepeatFilter() says again what was removed in between", () => {
  const withoutRepeats = createRepeatFilter();
  withoutRepeats([saved(DEVICE, "a")]);
  expect(withoutRepeats([removed(DEVICE)])).toEqual([removed(DEVICE)]);
  expect(withoutRepeats([saved(DEVICE, "a")])).toEqual([saved(DEVICE, "a")]);
});
